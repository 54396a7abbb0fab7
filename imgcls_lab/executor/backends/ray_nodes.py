"""The job of a run on several nodes of Ray: it takes them as a placement group and starts a node agent on each.

`ray.py` submits it as `python -m imgcls_lab.executor.backends.ray_nodes SHAPE AGENT...`; it runs on the cluster, where
Ray is installed. All nodes are taken at once, or the job waits. Each agent ends with its Ray worker, and each worker
with this process, so nothing outlives the job.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import Any

from imgcls_lab.child_environment import child_environment
from imgcls_lab.executor.node import AFTER_END, INTERRUPT, LAUNCH_VARIABLE, REFUSED, TIED
from imgcls_lab.executor.node_folder import STORE_KEY

POLL = 1.0  # seconds
OUTPUT = 16_384  # characters of an agent's output that reach the log of the job


class Agent:
    """A Ray actor on one node: starts the node agent and passes words to it."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None

    def rendezvous(self) -> str:
        """An address of this node where the ranks of the run can meet."""
        import ray

        util: Any = ray.util
        host = util.get_node_ip_address()
        with socket.socket() as probe:
            probe.bind((host, 0))
            return f"{host}:{probe.getsockname()[1]}"

    def run(self, argv: list[str], of_job: dict[str, str]) -> tuple[int, str]:
        """Run the agent until it ends; its exit code and the end of what it wrote."""
        environment = child_environment(changes=of_job)
        self._child = subprocess.Popen(
            argv, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/"
        )
        assert self._child.stdout is not None  # noqa: S101
        output = self._child.stdout.read().decode(errors="replace")
        return self._child.wait(), output[-OUTPUT:]

    def interrupt(self) -> None:
        if self._child is not None and self._child.stdin is not None:
            with contextlib.suppress(OSError):
                self._child.stdin.write(INTERRUPT)
                self._child.stdin.flush()


def main(shape: dict[str, Any], argv: list[str]) -> int:
    """Exit code of the first node's agent; 1 where a node refused the run or the first one died."""
    try:
        import ray
    except ImportError as error:
        print(f"{REFUSED}{sys.executable} has no Ray, which a run of several nodes needs ({error}). Install there: "
              "pip install 'imgcls-lab[ray]'", flush=True)  # fmt: skip
        return 1
    of_job = {name: os.environ[name] for name in (LAUNCH_VARIABLE, STORE_KEY) if name in os.environ}
    stopping = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    try:
        ray.init(log_to_driver=False)
    except RuntimeError as error:  # another version of Ray or Python than the cluster's
        print(f"{REFUSED}{sys.executable} does not fit this cluster, so a run of several nodes cannot start. "
              f"{' '.join(str(error).split())} Install there the versions of the cluster, or set IMGCLS_NODE_PYTHON.",
              flush=True)  # fmt: skip
        return 1
    agents = _agents(shape)
    meeting = ray.get(agents[0].rendezvous.remote())
    running = {
        agent.run.remote([*argv, TIED, "--node", str(node), "--rendezvous", meeting], of_job): node
        for node, agent in enumerate(agents)
    }
    return _wait(agents, running, stopping)


def _agents(shape: dict[str, Any]) -> list[Any]:
    """An actor on each node. Waits until the cluster has all of them free at once."""
    import ray
    from ray.util.placement_group import placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    resources = {"CPU": max(shape["cpus"], 0.01), **({"GPU": shape["gpus"]} if shape["gpus"] else {})}
    kind = {f"accelerator_type:{shape['kind']}": 0.001} if shape["kind"] else {}
    group = placement_group([{**resources, **kind}] * shape["nodes"], strategy="STRICT_SPREAD")
    ray.get(group.ready())
    return [
        ray.remote(Agent)
        .options(
            num_cpus=resources["CPU"],
            num_gpus=shape["gpus"],
            max_concurrency=3,
            scheduling_strategy=PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=node),
        )
        .remote()
        for node in range(shape["nodes"])
    ]


def _wait(agents: list[Any], running: dict[Any, int], stopping: threading.Event) -> int:
    import ray

    over: tuple[int, float] | None = None  # exit code of the first node, and when
    while running and (over is None or time.monotonic() - over[1] < 2 * AFTER_END):
        if stopping.is_set():
            stopping.clear()
            agents[0].interrupt.remote()
        for done in ray.wait(list(running), timeout=POLL)[0]:
            node = running.pop(done)
            try:
                code, output = ray.get(done)
            except ray.exceptions.RayError as error:
                print(f"Node {node} of the run: {error}", flush=True)
                code, output = 1, ""
            print(output, flush=True)
            if node == 0:
                over = code, time.monotonic()
            elif REFUSED in output:
                return 1
    return over[0] if over else 1


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1]), sys.argv[2:]))

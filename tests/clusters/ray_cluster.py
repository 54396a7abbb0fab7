"""A real Ray cluster of three nodes on this host: a head, and two nodes with two logical GPUs each.

Each node has an address of its own in 127.0.0.0/8. All processes carry a mark in their environment, by which they are
found and ended; `ray stop` would end other clusters of the host, too.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from imgcls_lab.executor.node import LOGICAL_GPUS, NODE_NAMES
from imgcls_lab.executor.node_folder import NODE_HOME
from tests.waiting import free_port, until

ROOT = Path(__file__).parents[2]
MARK = "IMGCLS_TEST_CLUSTER"
APART, APART_NET, APART_KIND = 4, "10.214.77", "APART"  # a node with a network, and a kind of GPU, of its own
GPUS = 2  # of each node but the head
OWN = (b"/site-packages/ray/", b"ray::DashboardAgent", b"ray::RuntimeEnvAgent", b"ray-dashboard-")  # Ray's own programs
PORTS = (
    "dashboard-agent-listen-port", "dashboard-agent-grpc-port", "runtime-env-agent-port", "metrics-export-port",
    "node-manager-port", "object-manager-port",
)  # fmt: skip
START = 240.0  # seconds that a busy machine may take until all of a node lives
ONCE = 120.0  # seconds after which one `ray start` is given up: where its raylet has died, it waits for ever
TRIES = 3  # a busy machine: Ray gives up early


class RayCluster:
    """Node 1 is the head. environment: of all nodes; gpus: of each but the head."""

    def __init__(self, environment: Mapping[str, str] | None = None, gpus: int = GPUS) -> None:
        self.environment, self.gpus = dict(environment or {}), gpus
        self.mark = secrets.token_hex(8)
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self.homes = Path(tempfile.mkdtemp(prefix="homes-", dir="/tmp"))  # every user may write Ray's own folder
        self.port, self.dashboard = free_port(), free_port()
        self.address = f"http://127.0.0.1:{self.dashboard}"

    def start(self, *nodes: int, words: Sequence[str] = (), prefix: Sequence[str] = ()) -> None:
        """Start nodes one after the other, and wait until their raylets live.

        words: what a person writes behind `ray start`; by default what makes a head, or a node that joins it. prefix:
        the command under which Ray starts.
        """
        for node in nodes:
            for _ in range(TRIES):
                output, code = self._started(self._spawn(node, *prefix, words=words))
                if code == 0:
                    break
                self.kill_raylet(node)
                self.clean(node)
            assert code == 0, f"{output}\n{self._last_words()}"
        until(lambda: all(self.pids(node, "raylet/raylet") for node in nodes), START)

    def _started(self, process: subprocess.Popen[bytes]) -> tuple[str, int]:
        try:
            output, _ = process.communicate(timeout=ONCE)
        except subprocess.TimeoutExpired:
            process.kill()
            output, _ = process.communicate()
        return output.decode(), process.returncode

    def _last_words(self) -> str:
        """What the raylets and their agents wrote before they died."""
        logs = sorted(self.folder.glob("session_*/logs/*"), key=lambda log: log.stat().st_mtime)
        said = [log for log in logs if log.is_file() and log.name.startswith(("raylet", "dashboard_agent", "runtime"))]
        return "\n".join(f"{log.name}: …{log.read_text(errors='replace')[-1500:]}" for log in said[-6:])

    @property
    def head(self) -> str:
        """HOST:PORT by which a node joins."""
        return f"{host_address()}:{self.port}"

    def _spawn(self, node: int, *prefix: str, words: Sequence[str] = ()) -> subprocess.Popen[bytes]:
        # ports are given, since a raylet of a busy machine does not wait long enough for agents that choose theirs
        options = [f"--node-ip-address={ip(node)}", *(f"--{name}={free_port()}" for name in PORTS)]
        if node == 1:
            options += [f"--port={self.port}", f"--dashboard-port={self.dashboard}", "--num-gpus=0"]
            options += ["--dashboard-host=127.0.0.1", f"--temp-dir={self.folder}", *(words or ["--head"])]
        else:
            options += [f"--num-gpus={self.gpus}", *(words or [f"--address={self.head}"])]
        if node == APART:
            options.append(f'--resources={{"accelerator_type:{APART_KIND}": 1}}')
        command = [
            *prefix,
            sys.executable,
            "-m",
            "ray.scripts.scripts",
            "start",
            "--num-cpus=2",
            "--disable-usage-stats",
        ]
        command += ["--include-log-monitor=False"]
        return subprocess.Popen(
            [*command, "--object-store-memory=80000000", *options],
            env=self._environment(node), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            cwd="/", start_new_session=True,
        )  # fmt: skip

    def _environment(self, node: int) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("IMGCLS_", "RAY_"))}
        quick = {"RAY_raylet_start_wait_time_s": "180", "RAY_health_check_failure_threshold": "5"}
        quick["RAY_AUTH_MODE"] = "disabled"  # by default it is on where this user once had a token
        return {
            **kept, **quick, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "RAY_TMPDIR": str(self.folder),
            MARK: f"{self.mark}/{node}", LOGICAL_GPUS: "1", NODE_NAMES[0]: ip(node),
            NODE_HOME: str(self.homes / ip(node)), **self.environment,
        }  # fmt: skip

    def wait(self) -> None:
        """Until the dashboard answers."""

        def answers() -> bool:
            with contextlib.suppress(OSError):
                opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
                return bool(opener.open(f"{self.address}/api/version", timeout=5).read())
            return False

        until(answers, START)

    def of_node(self, node: int) -> list[int]:
        """All processes of a node: Ray's own, and what its jobs started."""
        return [pid for pid in _pids() if f"{MARK}={self.mark}/{node}\0".encode() in _read(pid, "environ")]

    def pids(self, node: int, program: str) -> list[int]:
        return [pid for pid in self.of_node(node) if program.encode() in _read(pid, "cmdline").split(b"\0")[0]]

    def kill_raylet(self, node: int) -> None:
        """`kill -9` of the raylet alone: Ray's other processes, and the jobs, are left to find out."""
        for pid in self.pids(node, "raylet/raylet"):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def kill_head(self) -> None:
        """`kill -9` of all that makes the head: its state is gone."""
        self._end(self.of_node(1))

    def clean(self, node: int) -> None:
        """End what Ray left of a dead node, but no process of a run: those must end by themselves.

        Its agents hold the ports that the node's next ones are given, and without agents a raylet dies.
        """
        self._end([pid for pid in self.of_node(node) if any(name in _read(pid, "cmdline") for name in OWN)])

    def close(self) -> None:
        for _ in range(3):
            self._end([pid for node in (1, 2, 3, APART) for pid in self.of_node(node)])
            time.sleep(0.2)
        for folder in (self.folder, self.homes):
            shutil.rmtree(folder, ignore_errors=True)

    def _end(self, pids: list[int]) -> None:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    @contextlib.contextmanager
    def apart(self) -> Iterator[Apart]:
        """A further node, in a network namespace of its own."""
        node = Apart(self)
        try:
            node.start()
            yield node
        finally:
            node.close()


class Apart:
    """A node whose network can be cut: it still sees the home, and neither head nor node sees the other."""

    def __init__(self, cluster: RayCluster) -> None:
        self._cluster = cluster
        self._space, self._link = f"ray{os.getpid()}", f"ray{os.getpid() % 10**6}"
        _run("ip", "netns", "add", self._space)
        _run("ip", "link", "add", self._link, "type", "veth", "peer", "name", "eth0", "netns", self._space)
        _run("ip", "addr", "add", f"{APART_NET}.1/30", "dev", self._link)
        _run("ip", "-n", self._space, "addr", "add", f"{APART_NET}.2/30", "dev", "eth0")
        _run("ip", "-n", self._space, "link", "set", "lo", "up")
        self.join()

    def join(self) -> None:
        _run("ip", "link", "set", self._link, "up")
        _run("ip", "-n", self._space, "link", "set", "eth0", "up")
        _run("ip", "-n", self._space, "route", "replace", "default", "via", f"{APART_NET}.1")

    def cut(self) -> None:
        _run("ip", "link", "set", self._link, "down")

    def start(self) -> None:
        prefix = ("ip", "netns", "exec", self._space)
        for last in (False, True):
            output, code = self._cluster._started(self._cluster._spawn(APART, *prefix))
            if not code:
                return
            self.clear()
            assert not last, output

    def clear(self) -> None:
        """End what Ray left of the node."""
        self._cluster.kill_raylet(APART)
        self._cluster.clean(APART)

    def close(self) -> None:
        self._cluster._end(self._cluster.of_node(APART))
        _run("ip", "link", "del", self._link)
        _run("ip", "netns", "del", self._space)


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def host_address() -> str:
    """The address of this host by which Ray names its head."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("8.8.8.8", 80))  # sends nothing
        return str(probe.getsockname()[0])


def ip(node: int) -> str:
    return f"{APART_NET}.2" if node == APART else f"127.0.0.{node}"


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) != os.getpid()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:
        return b""


@contextlib.contextmanager
def running(environment: Mapping[str, str] | None = None) -> Iterator[RayCluster]:
    cluster = RayCluster(environment)
    try:
        cluster.start(1)
        cluster.wait()
        cluster.start(2, 3)
        yield cluster
    finally:
        cluster.close()

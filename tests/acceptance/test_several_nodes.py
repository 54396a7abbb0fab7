"""One run on several nodes: two launchers meet by an address, as a cluster's scheduler starts them. gloo, on one host.

Targets: the weights are those of one node to the bit; whatever dies, the run fails as lost within seconds, so that it
is queued again, nothing of it lives on, and it ends with the weights of an undisturbed run.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil
import pytest
from safetensors.torch import load_file

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.distributed.launcher import help_train
from imgcls_lab.engine.distributed.nodes import Node, Rendezvous
from imgcls_lab.engine.reporting.index_log import trained_images
from imgcls_lab.events import Event, Failed, Metrics, RunState, read_events
from tests.engine.conftest import of_type, same_files
from tests.waiting import free_port, until

Make = Callable[..., TrainConfig]
SECONDS = 30  # within which a death must be noticed, on a machine that is shared with other tests
IMAGES = list(range(120))


def test_two_nodes_train_and_one_goes_on_without_losing_an_image(shared: Make, tmp_path: Path) -> None:
    config = shared(num_nodes=2, min_processes=1, log_indices=True, batch_size=4, epochs=3)
    folder, stop, meeting = tmp_path / "run", threading.Event(), Rendezvous("127.0.0.2", free_port())

    def after_eight(event: Event) -> None:
        if isinstance(event, Metrics) and event.step >= 8:  # of 45
            stop.set()

    def second_node() -> None:
        help_train(
            config, folder, 1, node=Node(1, 2, meeting), stop=stop, locations=CacheLocations.private(folder)
        )  # fmt: skip

    folder.mkdir()
    other = threading.Thread(target=second_node)
    other.start()
    stopped = train(config, folder, stop=stop, on_event=after_eight, node=Node(0, 2, meeting))
    other.join(SECONDS)
    assert stopped.state is RunState.STOPPED
    assert stopped.step < 45
    assert not other.is_alive()
    assert not list(folder.glob(".ranks*"))

    assert train(config, folder).state is RunState.SUCCEEDED, "one of two processes, on the node that is left"
    assert {epoch: sorted(images) for epoch, images in trained_images(folder).items()} == dict.fromkeys(
        range(3), IMAGES
    )
    assert [line["processes"] for line in manifest_attempts(folder)] == [2, 1]
    whole = train(config.with_changes(num_processes=1, num_nodes=1, min_processes=None), tmp_path / "whole")
    assert trained_images(folder) != trained_images(whole.folder), "two processes write in their own order"
    apart = weights_apart(folder, whole.folder)
    print(f"\ntwo nodes, then one process: weights differ by at most {apart:.1e} from one process (target: 1e-3)")
    assert apart < 1e-3


def manifest_attempts(folder: Path) -> list[dict[str, int]]:
    from imgcls_lab.engine.reporting import manifest

    found = manifest.read(folder)
    assert found is not None
    attempts: list[dict[str, int]] = found["attempts"]
    return attempts


def weights_apart(one: Path, other: Path) -> float:
    first, second = (load_file(folder / "checkpoints/last/model.safetensors") for folder in (one, other))
    return max(float((first[name] - second[name]).abs().max()) for name in first)


class TwoNodes:
    """Two launchers as two nodes, each in a session of its own, so that a node can die as a whole."""

    def __init__(self, folder: Path, attempt: int, host: str = "127.0.0.2", before: Sequence[str] = ()) -> None:
        """host: of node 0; before: what stands before the command of node 1."""
        self.folder, self.attempt = folder, attempt
        meeting = f"{host}:{free_port()}"
        self.launchers = [self._start(node, meeting, before if node else ()) for node in (0, 1)]

    def _start(self, node: int, meeting: str, before: Sequence[str]) -> subprocess.Popen[bytes]:
        command = [*before, sys.executable, "-m", "imgcls_lab.engine", str(self.folder), "--attempt", str(self.attempt)]
        command += ["--node", str(node), "--nodes", "2", "--rendezvous", meeting]
        with (self.folder / f"output-{node}.log").open("ab") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def reach(self, step: int) -> None:
        """Until a step of this attempt is done."""
        events = self.folder / f"events-{self.attempt:03d}.jsonl"

        def there() -> bool:
            assert self.launchers[0].poll() is None, self.logs()
            return any(isinstance(event, Metrics) and event.step >= step for event in read_events(events)[0])

        until(there, 400, self.logs)

    def processes(self) -> list[psutil.Process]:
        """What lives of the run, on both nodes."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            if str(self.folder) in " ".join(process.info["cmdline"] or []):
                found.append(process)
        return found

    def rank(self, node: int) -> psutil.Process:
        return psutil.Process(self.launchers[node].pid).children()[0]

    def logs(self) -> str:
        return "\n".join((self.folder / f"output-{node}.log").read_text()[-3000:] for node in (0, 1))

    def wait(self) -> float:
        """Seconds until nothing of the run lives any more."""
        began = time.monotonic()
        for launcher in self.launchers:
            launcher.wait(180)
        until(lambda: not self.processes(), 180, self.logs)
        return time.monotonic() - began

    def close(self) -> None:
        for launcher in self.launchers:
            for process in [*psutil.Process(launcher.pid).children(recursive=True)] if launcher.poll() is None else []:
                process.kill()
            launcher.kill()
            launcher.wait(30)


@pytest.fixture
def start(shared: Make, tmp_path: Path) -> Iterator[Callable[..., TwoNodes]]:
    """Starts an attempt of one run of two nodes."""
    config = shared(num_nodes=2, log_indices=True, epochs=40, checkpoint_every_minutes=1e-4, num_workers=1, cache="off")
    folder, started = tmp_path / "run", []
    folder.mkdir()
    (folder / "config.json").write_text(config.model_dump_json())

    def attempt(number: int, *place: Any) -> TwoNodes:
        started.append(TwoNodes(folder, number, *place))
        return started[-1]

    yield attempt
    for nodes in started:
        nodes.close()


def kill(*processes: psutil.Process | subprocess.Popen[bytes]) -> None:
    for process in processes:
        process.send_signal(signal.SIGKILL)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_whatever_dies_the_run_is_lost_within_seconds_and_ends_bit_equal(
    start: Callable[..., TwoNodes],
    shared: Make,
    tmp_path: Path,
) -> None:
    deaths: dict[str, Callable[[TwoNodes], None]] = {
        "a process of node 1": lambda nodes: kill(nodes.rank(1)),
        "a process of node 0": lambda nodes: kill(nodes.rank(0)),
        "the launcher of node 1": lambda nodes: kill(nodes.launchers[1]),
        "all of node 1": lambda nodes: kill(
            nodes.launchers[1], *psutil.Process(nodes.launchers[1].pid).children(recursive=True)
        ),
        "the launcher of node 0": lambda nodes: kill(nodes.launchers[0]),
    }
    print()
    for number, (what, die) in enumerate(deaths.items(), start=1):
        nodes = start(number)
        nodes.reach(number * 25)
        die(nodes)
        seconds = nodes.wait()
        last = read_events(nodes.folder / f"events-{number:03d}.jsonl")[0][-1]
        said = last.message if isinstance(last, Failed) else "nothing: its supervisor says so"
        print(f"{what} killed: nothing lives after {seconds:.1f} s (target {SECONDS} s); the run says: {said}")
        assert seconds < SECONDS
        if what != "the launcher of node 0":
            assert isinstance(last, Failed), nodes.logs()
            assert last.kind == "lost", last
    whole = start(len(deaths) + 1)
    assert [launcher.wait(600) for launcher in whole.launchers] == [0, 0], whole.logs()

    one_node = shared(log_indices=True, epochs=40, num_workers=1, cache="off")
    undisturbed = train(one_node, tmp_path / "whole")
    same = same_files(whole.folder / "checkpoints/last", undisturbed.folder / "checkpoints/last", "model.safetensors")
    print(f"weights against two processes of one node: {'bit-equal' if same else 'different'} (target: bit-equal)")
    assert same
    seen = trained_images(whole.folder)
    assert [sorted(images) for images in seen.values()] == [IMAGES] * 40, "each image once an epoch"


@pytest.mark.slow
def test_a_stop_of_either_node_saves_a_checkpoint_and_ends_both(start: Callable[..., TwoNodes]) -> None:
    for number in (1, 2):
        nodes = start(number)
        nodes.reach(20 * number)
        nodes.launchers[number - 1].send_signal(signal.SIGTERM)
        assert [launcher.wait(120) for launcher in nodes.launchers] == [0, 0], nodes.logs()
        assert of_type(nodes.folder, "stopped", number)
        assert (nodes.folder / "checkpoints/last").resolve().name.startswith(f"a{number:03d}")
    assert not nodes.processes()


@pytest.mark.slow
def test_a_node_without_the_others_waits_and_hears_a_stop(shared: Make, tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(1, stop.set).start()
    node = Node(0, 2, Rendezvous("127.0.0.1", free_port()))
    assert train(shared(num_nodes=2), tmp_path / "run", stop=stop, node=node).state is RunState.STOPPED
    assert os.listdir(tmp_path / "run"), "the folder is there for the next attempt"


@pytest.fixture
def network() -> Iterator[tuple[str, str, str]]:
    """A network of its own for node 1: its name, the address of node 0 in it, and the cable between both."""
    name, cable = f"imgcls{os.getpid()}", f"ic{os.getpid()}"
    commands = (
        f"netns add {name}",
        f"link add {cable} type veth peer name eth0 netns {name}",
        f"address add 10.213.77.1/30 dev {cable}",
        f"link set {cable} up",
        f"-n {name} address add 10.213.77.2/30 dev eth0",
        f"-n {name} link set eth0 up",
        f"-n {name} link set lo up",
    )
    try:
        for command in commands:
            subprocess.run(["ip", *command.split()], check=True)
        yield name, "10.213.77.1", cable
    finally:
        subprocess.run(["ip", "link", "delete", cable], check=False)
        subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.mark.slow
@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a network")
def test_a_node_that_is_cut_off_is_noticed_on_both_sides(
    start: Callable[..., TwoNodes], network: tuple[str, str, str]
) -> None:
    name, host, cable = network
    nodes = start(1, host, ("ip", "netns", "exec", name))
    nodes.reach(25)
    subprocess.run(["ip", "link", "set", cable, "down"], check=True)
    seconds = nodes.wait()
    last = read_events(nodes.folder / "events-001.jsonl")[0][-1]
    assert isinstance(last, Failed), nodes.logs()
    print(
        f"\nnetwork cut: nothing lives on either node after {seconds:.1f} s (target 45 s); the run says: {last.message}"
    )
    assert last.kind == "lost"
    assert seconds < 45

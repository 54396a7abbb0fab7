"""The nodes of `benchmarks/cluster.py`, which are not there: what a daemon hands its runs to, and what comes back.

A run is no process. It has what a run's folder needs, beats, and ends after a time that was drawn. All of them are in a
process of their own (`python -m benchmarks.simulated_nodes`), since threads would keep the daemon's Python waiting.
"""

from __future__ import annotations

import heapq
import json
import queue
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from benchmarks.labs import started
from imgcls_lab.events import EventWriter, Finished, RunKind
from imgcls_lab.executor.backends.base import OwnerState, OwnerStatus
from imgcls_lab.executor.backends.job_scheduler import job_id
from imgcls_lab.executor.backends.launch import launch_of, module_argv, prepare_folder
from imgcls_lab.executor.daemon import BEAT_EVERY
from imgcls_lab.executor.devices import Device
from imgcls_lab.identity import JobIdentity, Owner
from imgcls_lab.run_layout import HEARTBEAT, exit_name
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.tables import Run

LOOK = 0.02  # seconds until the nodes look again at what is due


class Beginning(Protocol):
    """What a simulated backend hands its runs to."""

    def begin(self, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> None: ...


class Nodes:
    """The process of the simulated nodes of one home, as the daemon's process sees it."""

    def __init__(self, to: IO[str], answers: IO[str]) -> None:
        self._to, self._answers = to, answers
        self._lock = threading.Lock()

    def begin(self, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> None:
        """Begin a run that was claimed now."""
        self._tell(time.perf_counter(), host, run_id, attempt, list(devices))

    def waits(self) -> list[float]:
        """Of the runs begun since this was asked last: seconds from the end of the run before to the claim."""
        self._tell()
        found: list[float] = json.loads(self._answers.readline())
        return found

    def _tell(self, *message: object) -> None:
        with self._lock:
            self._to.write(json.dumps(message) + "\n")
            self._to.flush()


@contextmanager
def nodes(store: Store, mean: float) -> Iterator[Nodes]:
    """The nodes of a home, whose runs take so many seconds in the mean; they end with the block."""
    argv = [sys.executable, "-m", "benchmarks.simulated_nodes", store.settings.home, str(mean)]
    root = Path(__file__).parents[1]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            found = Nodes(process.stdin, process.stdout)
            assert found.waits() == []  # they are there
            yield found
        finally:
            process.stdin.close()


class SimulatedRuns:
    """Each run beats, reports its start, and ends after a time that is drawn.

    It writes into the folders what a supervisor and a training write there.
    """

    def __init__(self, settings: Settings, mean: float) -> None:
        self._settings = settings
        self._mean = mean  # seconds that a run takes
        self._rng = random.Random(19)
        self._due: list[tuple[float, int, str, int]] = []  # when, what (0: it ends, 1: it beats), run, attempt
        self._places: dict[str, list[tuple[str, str]]] = {}
        self._free_since: dict[tuple[str, str], float] = {}
        self.waits: list[float] = []

    def begin(self, claimed: float, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> None:
        places = [(host, name) for name in devices]
        self.waits += [claimed - self._free_since.pop(place) for place in places if place in self._free_since]
        folder = self._settings.run_dir(run_id)
        (folder / HEARTBEAT).write_text(f"{attempt} 1\n")
        with EventWriter(folder, attempt) as events:
            events.write(started(1000))
        self._places[run_id] = places
        now = time.perf_counter()
        heapq.heappush(self._due, (now + self._rng.expovariate(1 / self._mean), 0, run_id, attempt))
        heapq.heappush(self._due, (now + BEAT_EVERY, 1, run_id, attempt))

    def advance(self) -> None:
        """Do what is due now."""
        now = time.perf_counter()
        while self._due and self._due[0][0] <= now:
            at, what, run_id, attempt = heapq.heappop(self._due)
            if what == 0:
                self._end(at, run_id, attempt)
            elif run_id in self._places:
                heapq.heappush(self._due, (now + BEAT_EVERY, 1, run_id, attempt))
                (self._settings.run_dir(run_id) / HEARTBEAT).write_text(f"{attempt} {now}\n")

    def _end(self, at: float, run_id: str, attempt: int) -> None:
        folder = self._settings.run_dir(run_id)
        with EventWriter(folder, attempt) as events:
            events.write(Finished(step=1000, best_epoch=1, values={}))
        self._free_since.update(dict.fromkeys(self._places.pop(run_id), at))
        # whole or not at all, and without a sync: a thousand nodes do not wait for each other's disks
        temporary = folder / f".{exit_name(attempt)}"
        temporary.write_text(json.dumps({"attempt": attempt, "t": time.time(), "code": 0}))
        temporary.replace(folder / exit_name(attempt))


class SimulatedBackend:
    """Jobs of a scheduler that starts each of them at once."""

    release_seconds = 0.0

    def __init__(self, settings: Settings, host: str, devices: int, nodes: Beginning) -> None:
        self.host, self._settings, self._devices, self._nodes = host, settings, devices, nodes
        self.started = 0
        self._lock = threading.Lock()

    def devices(self, claimed: Set[str]) -> list[Device]:  # noqa: ARG002
        return [Device(f"gpu:{n}", n, f"GPU {n}", "cuda", f"{self.host}-{n}") for n in range(self._devices)]

    def holder(self, device: Device) -> str | None:
        return device.held_by

    def problem(self) -> str | None:
        return None

    def start(self, run: Run, attempt: int, devices: Sequence[Device]) -> Owner:
        argv = module_argv(RunKind(run.kind), sys.executable, self._settings.run_dir(run.id), attempt)
        prepare_folder(self._settings, run, launch_of(self._settings, run, attempt, argv, {}))
        self._nodes.begin(self.host, run.id, attempt, [device.name for device in devices])
        with self._lock:
            self.started += 1
        return self.find(run.id, attempt)

    def find(self, run_id: str, attempt: int) -> Owner:
        return JobIdentity(self.host, job_id(run_id, attempt))

    def status(self, owner: Owner, silent: float) -> OwnerStatus:  # noqa: ARG002
        return OwnerStatus(OwnerState.RUNNING)

    def ask_to_stop(self, owner: Owner, tag: str) -> str | None:
        raise NotImplementedError

    def clear(self, run_id: str, attempt: int) -> list[str]:  # noqa: ARG002
        return []

    def reap(self) -> None: ...
    def close(self) -> None: ...


def main(home: str, mean: str) -> None:
    """Simulate what the daemon's process tells, until it ends."""
    runs = SimulatedRuns(Settings(home=home), float(mean))
    told: queue.SimpleQueue[str | None] = queue.SimpleQueue()

    def listen() -> None:
        for line in sys.stdin:
            told.put(line)
        told.put(None)

    threading.Thread(target=listen, daemon=True).start()
    while True:
        runs.advance()
        try:
            line = told.get(timeout=LOOK)
            while True:
                if line is None:
                    return
                if message := json.loads(line):
                    runs.begin(*message)
                else:
                    print(json.dumps(runs.waits), flush=True)
                    runs.waits = []
                line = told.get_nowait()
        except queue.Empty:
            pass


if __name__ == "__main__":
    main(*sys.argv[1:])

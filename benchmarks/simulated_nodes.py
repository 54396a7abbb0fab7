"""The nodes of `benchmarks/cluster.py`, which are not there: what a daemon hands its runs to, and what comes back.

A run is no process. It has what a run's folder needs, beats, and ends after a time that was drawn.
"""

from __future__ import annotations

import heapq
import json
import random
import sys
import threading
import time
from collections.abc import Sequence, Set
from typing import Protocol

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


class Beginning(Protocol):
    """What a simulated backend hands its runs to."""

    def begin(self, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> list[float]: ...


class Nodes(threading.Thread):
    """The simulated nodes, of one home: each run beats, reports its start, and ends after a time that is drawn.

    They write into the folders what a supervisor and a training write there. They compute in this process, so a part of
    the daemons' CPU is theirs: `cpu`.
    """

    def __init__(self, store: Store, mean: float) -> None:
        super().__init__(name="nodes", daemon=True)
        self.cpu = 0.0
        self.late = 0.0  # seconds by which the last run has ended after its time: what the nodes themselves wait
        self._settings = store.settings
        self._mean = mean  # seconds that a run takes
        self._rng = random.Random(19)
        self._lock = threading.Lock()
        self._due: list[tuple[float, int, str, int]] = []  # when, what (0: it ends, 1: it beats), run, attempt
        self._places: dict[str, list[tuple[str, str]]] = {}
        self._free_since: dict[tuple[str, str], float] = {}
        self._stopping = threading.Event()

    def begin(self, host: str, run_id: str, attempt: int, devices: Sequence[str]) -> list[float]:
        """Begin a claimed run; how long each of its devices has been free since the run before."""
        now = time.perf_counter()
        places = [(host, name) for name in devices]
        folder = self._settings.run_dir(run_id)
        (folder / HEARTBEAT).write_text(f"{attempt} 1\n")
        with EventWriter(folder, attempt) as events:
            events.write(started(1000))
        with self._lock:
            self._places[run_id] = places
            heapq.heappush(self._due, (now + self._rng.expovariate(1 / self._mean), 0, run_id, attempt))
            heapq.heappush(self._due, (now + BEAT_EVERY, 1, run_id, attempt))
            return [now - self._free_since.pop(place) for place in places if place in self._free_since]

    def run(self) -> None:
        beats = 1
        while not self._stopping.wait(0.02):
            while (due := self._next()) is not None:
                at, what, run_id, attempt = due
                beats += 1
                if what == 1:
                    self._beat(run_id, attempt, beats)
                else:
                    self._end(at, run_id, attempt)
            self.cpu = time.thread_time()

    def stop(self) -> None:
        self._stopping.set()
        self.join()

    def _next(self) -> tuple[float, int, str, int] | None:
        with self._lock:
            return heapq.heappop(self._due) if self._due and self._due[0][0] <= time.perf_counter() else None

    def _beat(self, run_id: str, attempt: int, number: int) -> None:
        with self._lock:
            if run_id not in self._places:
                return
            heapq.heappush(self._due, (time.perf_counter() + BEAT_EVERY, 1, run_id, attempt))
        (self._settings.run_dir(run_id) / HEARTBEAT).write_text(f"{attempt} {number}\n")

    def _end(self, at: float, run_id: str, attempt: int) -> None:
        folder = self._settings.run_dir(run_id)
        with EventWriter(folder, attempt) as events:
            events.write(Finished(step=1000, best_epoch=1, values={}))
        with self._lock:
            self._free_since.update(dict.fromkeys(self._places.pop(run_id), at))
        # whole or not at all, and without a sync: a thousand nodes do not wait for each other's disks
        temporary = folder / f".{exit_name(attempt)}"
        temporary.write_text(json.dumps({"attempt": attempt, "t": time.time(), "code": 0}))
        temporary.replace(folder / exit_name(attempt))
        self.late = time.perf_counter() - at


class SimulatedBackend:
    """Jobs of a scheduler that starts each of them at once."""

    release_seconds = 0.0

    def __init__(self, settings: Settings, host: str, devices: int, nodes: Beginning) -> None:
        self.host, self._settings, self._devices, self._nodes = host, settings, devices, nodes
        self.waits: list[float] = []
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
        waits = self._nodes.begin(self.host, run.id, attempt, [device.name for device in devices])
        with self._lock:
            self.waits += waits
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

"""A home whose runs go to nodes that share no disk with it: each has its own home, and an object store is between."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from pathlib import Path
from typing import Any

from imgcls_lab.config import TrainConfig
from imgcls_lab.events import Metrics, read_events
from imgcls_lab.executor.backends.launch import Argv
from imgcls_lab.executor.node import NODE_NAMES
from imgcls_lab.executor.node_folder import NODE_HOME
from imgcls_lab.run_layout import event_files
from imgcls_lab.schemas import SubmitRequest
from tests.clusters.cluster_lab import ClusterLab, run_of_mirror, stub_argv
from tests.clusters.process_scheduler import ProcessScheduler


class StoreLab(ClusterLab):
    """Nodes without GPUs. argv: what a run's process is; by default the stub trainer."""

    def __init__(self, home: Path, place: Path, store_url: str, argv: Argv = stub_argv, **traits: Any) -> None:
        self.disk = place
        self.seen: list[tuple[float, str, int]] = []  # when, run, its step in the database
        scheduler = ProcessScheduler(place / "jobs", gpus=0)
        given = {"backend": "slurm", "lease": 3.0, "stop_grace": 20.0, "store_url": store_url, "store_interval": 0.2}
        super().__init__(home, lambda _: scheduler, argv, **{**given, **traits})
        self.scheduler = scheduler
        self.on_node("first")

    def on_node(self, name: str) -> Path:
        """Jobs from now on start on this node; its home."""
        home = self.disk / "nodes" / name
        self.scheduler.environment |= {NODE_HOME: str(home), NODE_NAMES[0]: name}
        return home

    def train(self, config: TrainConfig) -> str:
        return self.store.runs.submit(SubmitRequest(config=config.model_dump(mode="json"))).id

    def reaches(self, run_id: str, step: int) -> None:
        """Rounds until the database has a step, noting how far it is each time."""

        def far() -> bool:
            self.seen.append((time.time(), run_id, self.run(run_id).step))
            return self.seen[-1][2] >= step

        self.rounds(far, 240)

    def delay(self, run_id: str) -> float:
        """The longest time that a metric was on the node's disk and not in the database yet, in seconds."""
        events = [e for path in event_files(self.settings.run_dir(run_id)) for e in read_events(path)[0]]
        written = {e.step: e.t for e in events if isinstance(e, Metrics)}
        late = [at - written[step + 1] for at, run, step in self.seen if run == run_id and step + 1 in written and step]
        return max(late, default=0.0)

    def mirrors(self) -> list[int]:
        """Pids of the processes that send runs' folders of this test."""
        ids = {run.id for run in self.all()}
        return [
            int(pid) for pid in filter(str.isdigit, os.listdir("/proc")) if run_of_mirror(Path("/proc", pid)) in ids
        ]

    def kill_mirrors(self) -> None:
        for pid in self.mirrors():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

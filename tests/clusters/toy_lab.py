"""A home whose runs are jobs of a scheduler of the test's own, on this host; its sweeps are driven as the product's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgcls_lab.executor.backends.launch import Argv
from tests.clusters.cluster_lab import ClusterLab, stub_argv
from tests.clusters.process_scheduler import ProcessScheduler


class ToyLab(ClusterLab):
    def __init__(self, home: Path, scheduler: ProcessScheduler, argv: Argv = stub_argv, **traits: Any) -> None:
        self.scheduler = scheduler
        given = {"backend": "ray", "lease": 1.5, "stop_grace": 5.0, **traits}
        super().__init__(home, lambda _: scheduler, argv, **given)

    def close(self) -> None:
        super().close()
        self.scheduler.end_all()

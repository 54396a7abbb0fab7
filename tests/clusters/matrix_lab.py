"""What the matrix of clusters is tested with: a home whose runs go to a real Ray or Slurm, and the faults of that.

The home is a folder that all nodes share, or each node has one of its own and an S3 server is between them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.events import ENDED, RunKind, RunState, read_line
from imgcls_lab.executor import processes
from imgcls_lab.executor.backends.job_scheduler import JobScheduler
from imgcls_lab.executor.backends.launch import module_argv
from imgcls_lab.executor.backends.ray import RAY, RayScheduler
from imgcls_lab.executor.backends.slurm import SLURM, SlurmScheduler
from imgcls_lab.executor.node import NODE_NAMES
from imgcls_lab.run_layout import attempt_of, event_files
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from tests.clusters import ray_cluster, slurm_cluster
from tests.clusters.cluster_lab import ClusterLab, stub_argv
from tests.clusters.ray_cluster import RayCluster
from tests.clusters.slurm_cluster import SlurmCluster


class Span(NamedTuple):
    """One attempt, as its folder shows it: when it wrote events, and on which devices."""

    run: str
    attempt: int
    node: str
    devices: tuple[str, ...]
    start: float
    end: float

    def overlaps(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end

    def collides(self, other: Span) -> bool:
        """Whether two attempts were on one GPU at once."""
        return self.node == other.node and bool({*self.devices} & {*other.devices}) and self.overlaps(other)


class MatrixLab(ClusterLab):
    """Its runs train with the stub, or with the engine where `real` names them."""

    def __init__(self, home: Path, scheduler_of: Callable[[Settings], JobScheduler], **traits: Any) -> None:
        self.real: set[str] = set()
        super().__init__(home, scheduler_of, self._argv_of, every=1.0, **{"lease": 20.0, "stop_grace": 20.0, **traits})

    def _argv_of(self, kind: RunKind, python: str, folder: Path, attempt: int) -> list[str]:
        real = folder.name in self.real or kind is not RunKind.TRAIN
        return (module_argv if real else stub_argv)(kind, python, folder, attempt)

    def train(self, config: TrainConfig, priority: int = 0) -> str:
        request = SubmitRequest(config=config.model_dump(mode="json"), priority=priority)
        run_id = self.store.runs.submit(request).id
        self.real.add(run_id)
        return run_id

    def weights(self, run_id: str) -> bytes:
        return (self.settings.run_dir(run_id) / "checkpoints" / "last" / "model.safetensors").read_bytes()

    def ended(self, ids: list[str]) -> int:
        """How many of these runs have ended."""
        return sum(run.state in ENDED for run in self.all() if run.id in ids)

    def spans(self, run_id: str) -> list[Span]:
        """The attempts of a run of the stub."""
        folder = self.settings.run_dir(run_id)
        places: dict[int, list[str]] = {}
        for words in map(str.split, (folder / "output.log").read_text().splitlines()):
            if words[:1] == ["attempt"]:
                attempt, devices = int(words[1]), words[3].strip("'")
            elif words[:1] == ["node"]:
                places[attempt] = [words[1], *devices.split(",")]
        found = []
        for path in event_files(folder):
            attempt = attempt_of(path) or 0
            events = [read_line(line, attempt) for line in path.read_bytes().splitlines()]
            if times := [event.t for event in events if event is not None]:
                node, *gpus = places[attempt]
                found.append(Span(run_id, attempt, node, tuple(gpus), times[0], times[-1]))
        return found

    def nodes_of(self, run_id: str) -> list[str]:
        """On which nodes processes of a run's engine live."""
        found = set()
        for pid in processes.tagged(processes.tag_of(run_id, self.run(run_id).attempt)):
            with contextlib.suppress(OSError):
                for variable in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
                    if variable.startswith(f"{NODE_NAMES[0]}=".encode()):
                        found.add(variable.partition(b"=")[2].decode())
        return sorted(found)

    def victim(self, ids: list[str]) -> str | None:
        """The node of a run that has come some way in its present attempt and has most left to do.

        Of one of the real trainer, if one lives. What is almost done would end before its processes learn of the death
        of their node.
        """
        going = [run for run in self.all() if run.id in ids and run.state is RunState.RUNNING]
        going.sort(key=lambda run: run.step - (run.total_steps or 0))
        for run in [run for run in going if run.id in self.real] or going:
            place = self.place(run.id)
            if run.step >= (self.run(run.id).resumed_at_step or 0) + 8 and place["attempt"] == run.attempt:
                return str(place["node"])
        return None

    def running_on(self, node: str, ids: list[str]) -> int:
        """How many of these runs a node has."""
        going = [run for run in self.all() if run.id in ids and run.state is RunState.RUNNING]
        return sum(self.place(run.id)["node"] == node for run in going)

    def rank(self, run_id: str, node: str, attempt: int = 1) -> int:
        """The newest process of a run's engine on a node: a rank, or what loads its images."""
        found = []
        for pid in processes.tagged(processes.tag_of(run_id, attempt)):
            command, environment = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
            if b"imgcls_lab.engine" in command and f"{NODE_NAMES[0]}={node}\0".encode() in environment:
                found.append(pid)
        return max(found)


class Faulty(Protocol):
    """A cluster that can be broken. Nodes go by the names that they call themselves."""

    scheduler_of: Callable[[Settings], JobScheduler]
    traits: dict[str, Any]
    homes: Path  # below it, the home of each node

    def hit(self, node: str) -> str:
        """Kill a node's daemon or all of the node; what was killed."""

    def hit_head(self) -> str: ...

    def mend(self) -> None:
        """Start again what was killed, as its service would."""


class FaultyRay:
    """`kill -9` of a raylet; Ray's other processes, and the jobs, are left to find out."""

    scheduler_of = RayScheduler

    def __init__(self, cluster: RayCluster) -> None:
        self.cluster = cluster
        self.traits = {"backend": RAY, "ray_address": cluster.address}
        self.homes = cluster.homes
        self._dead: tuple[int, ...] = ()

    def hit(self, node: str) -> str:
        self._dead = (int(node.rpartition(".")[2]),)
        self.cluster.kill_raylet(self._dead[0])
        return "raylet"

    def hit_head(self) -> str:
        self._dead = (1, 2, 3)  # its nodes do not outlive it
        self.cluster.kill_head()
        return "head"

    def mend(self) -> None:
        for node in self._dead:
            if node != 1:
                self.cluster.kill_raylet(node)
            self.cluster.clean(node)
        self.cluster.start(*self._dead)


class FaultySlurm:
    """In turn: all of a node dies, or its slurmd alone, whose jobs slurmctld then gives up though they live."""

    scheduler_of = SlurmScheduler

    def __init__(self, cluster: SlurmCluster) -> None:
        self.cluster = cluster
        self.traits = {"backend": SLURM}
        self.homes = cluster.folder / "homes"
        self._dead = ""
        self._hits = 0

    def hit(self, node: str) -> str:
        self._dead, self._hits = node, self._hits + 1
        if self._hits % 2:
            self.cluster.crash_node(node)
            return "node"
        self.cluster.kill_slurmd(node)
        return "slurmd"

    def hit_head(self) -> str:
        self._dead = ""
        self.cluster.kill_controller()
        return "slurmctld"

    def mend(self) -> None:
        if self._dead:
            self.cluster.start_node(self._dead)
            self.cluster.wait_for_nodes(self._dead)
        else:
            self.cluster.start_controller()


@contextlib.contextmanager
def running(kind: str, environment: dict[str, str]) -> Iterator[Faulty]:
    """A cluster whose nodes have homes of their own, and these variables."""
    if kind == RAY:
        with ray_cluster.running(environment) as of_ray:
            yield FaultyRay(of_ray)
    else:
        with slurm_cluster.running(environment) as of_slurm:
            with pytest.MonkeyPatch.context() as patch:
                patch.setenv("SLURM_CONF", str(of_slurm.configuration))
                yield FaultySlurm(of_slurm)

"""Runs on a real Ray cluster of three nodes with four logical GPUs, while its nodes and its head are killed."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from imgcls_lab import TrainConfig, demo_data
from imgcls_lab.events import LIVE, RunKind, RunState, read_line
from imgcls_lab.executor.backends.launch import module_argv
from imgcls_lab.executor.backends.ray import RayScheduler
from imgcls_lab.run_layout import attempt_of, event_files
from imgcls_lab.schemas import ProjectEdit, SubmitRequest
from imgcls_lab.settings import Settings
from tests.clusters.cluster_lab import ClusterLab, stub_argv
from tests.clusters.conftest import ray_cluster  # noqa: F401 - a fixture
from tests.clusters.ray_cluster import RayCluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

RUNS, REAL = 40, 3  # runs in all; those of the real trainer
GPUS = 4
RAYLETS = 5
STEPS = 60


class Span(NamedTuple):
    """One attempt, as its folder shows it: when it wrote events, and on which devices."""

    run: str
    attempt: int
    node: str
    devices: tuple[str, ...]
    start: float
    end: float


class RayLab(ClusterLab):
    """Its runs train with the stub, or with the engine where `real` names them."""

    def __init__(self, home: Path, address: str) -> None:
        self.real: set[str] = set()
        traits: dict[str, Any] = {"backend": "ray", "ray_address": address, "lease": 20.0, "stop_grace": 20.0}
        super().__init__(home, RayScheduler, self._argv_of, every=1.0, **traits)

    def _argv_of(self, kind: RunKind, python: str, folder: Path, attempt: int) -> list[str]:
        return (module_argv if folder.name in self.real else stub_argv)(kind, python, folder, attempt)

    def train(self, config: TrainConfig, priority: int = 0) -> str:
        request = SubmitRequest(config=config.model_dump(mode="json"), priority=priority)
        run_id = self.store.runs.submit(request).id
        self.real.add(run_id)
        return run_id

    def weights(self, run_id: str) -> bytes:
        return (self.settings.run_dir(run_id) / "checkpoints" / "last" / "model.safetensors").read_bytes()

    def spans(self, run_id: str) -> list[Span]:
        folder, found = self.settings.run_dir(run_id), []
        words = [line.split() for line in (folder / "output.log").read_text().splitlines()]
        places = {int(line[1]): line[3].strip("'") for line in words if line[:1] == ["attempt"]}
        nodes = [line[1] for line in words if line[:1] == ["node"]]
        for path, node in zip(event_files(folder), nodes, strict=False):
            attempt = attempt_of(path) or 0
            events = [read_line(line, attempt) for line in path.read_bytes().splitlines()]
            times = [event.t for event in events if event is not None]
            found.append(Span(run_id, attempt, node, tuple(places[attempt].split(",")), times[0], times[-1]))
        return found


@pytest.fixture
def lab(home: Path, ray_cluster: RayCluster) -> Iterator[RayLab]:  # noqa: F811
    lab = RayLab(home, ray_cluster.address)
    yield lab
    lab.close()


@pytest.fixture
def digits(tmp_path: Path) -> TrainConfig:
    """Sixteen images a class, five steps an epoch, one thread, a checkpoint at almost every step."""
    files = demo_data.prepare(Settings(home=str(tmp_path / "few"), datasets_dir=str(tmp_path / "few" / "datasets")))
    root = tmp_path / "few digits"
    for split, count in (("train", 16), ("val", 6)):
        for folder in (files.root / split).iterdir():
            (root / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, root / split / folder.name)
    changes = {"batch_size": 32, "threads": 1, "num_workers": 0, "checkpoint_every_minutes": 1e-4, "epochs": 12}
    return files.config.with_changes(root=str(root), device="auto", **changes)


def test_forty_runs_while_raylets_and_the_head_are_killed(
    lab: RayLab,
    digits: TrainConfig,
    ray_cluster: RayCluster,  # noqa: F811
):
    whole = lab.train(digits)
    lab.end(whole, 600)
    limited = lab.store.projects.add(ProjectEdit(name="limited", max_running=1))
    real = [lab.train(digits, priority=9) for _ in range(REAL)]
    of_project = [lab.launch(steps=STEPS, step_seconds=0.1, project_id=limited.id) for _ in range(3)]
    pairs = [lab.launch(gpus=2, steps=STEPS, step_seconds=0.1) for _ in range(2)]
    low = [lab.launch(steps=STEPS, step_seconds=0.1) for _ in range(RUNS - REAL - 11)]
    high = [lab.launch(steps=STEPS, step_seconds=0.1, priority=5) for _ in range(6)]
    ids = [*real, *of_project, *pairs, *low, *high]
    began, kills = time.monotonic(), itertools.cycle((2, 3))
    for number in range(1, RAYLETS + 2):
        lab.rounds(lambda number=number: _ended(lab, ids) >= 3 * number - 2 and _running(lab, ids) >= 2, 900)
        if number == 3:
            ray_cluster.kill_head()
            lab.rounds_for(10)
            again = (1, 2, 3)
        else:
            again = (next(kills),)
            ray_cluster.kill_raylet(again[0])
            lab.rounds_for(10)
        _restart(lab, ray_cluster, again)
    lab.rounds(lambda: _ended(lab, ids) == RUNS, 1800)
    runs = {run_id: lab.run(run_id) for run_id in ids}
    lost = sum(lab.steps(run_id) != list(range(1, runs[run_id].total_steps + 1)) for run_id in ids)
    spans = [span for run_id in ids if run_id not in real for span in lab.spans(run_id)]
    doubled = [pair for pair in itertools.combinations(spans, 2) if _collide(*pair)]
    same = sum(lab.weights(run_id) == lab.weights(whole) for run_id in real)
    attempts = sum(run.attempt for run in runs.values())
    succeeded, took = sum(run.state is RunState.SUCCEEDED for run in runs.values()), time.monotonic() - began
    print(
        f"\n{RUNS} runs on {GPUS} logical GPUs, {RAYLETS} raylets and the head killed, {took:.0f} s: "
        f"{succeeded} succeeded (target {RUNS}) in {attempts} attempts, "
        f"{lost} with a metric lost or doubled (0), {len(doubled)} pairs at once on one GPU (0), "
        f"{same} of {REAL} bit-equal ({REAL})"
    )
    assert {run_id: run.message for run_id, run in runs.items() if run.state is not RunState.SUCCEEDED} == {}
    assert (lost, doubled, same) == (0, [], REAL)
    assert attempts > RUNS, "the kills must have met runs"
    assert not any((lab.settings.run_dir(run_id) / "doubled").exists() for run_id in ids)
    of_limited = [span for span in spans if span.run in of_project]
    assert not any(_overlap(a, b) for a, b in itertools.combinations(of_limited, 2)), "the project's limit is one run"
    first = {run_id: runs[run_id].started_at or 0 for run_id in ids}
    waited = sorted(low, key=first.__getitem__)[GPUS:]  # the first of them may have started before the others came
    assert max(first[run_id] for run_id in high) < min(first[run_id] for run_id in waited)
    lab.until(lambda: [pid for run_id in ids for pid in lab.left(run_id)] == [])


def _ended(lab: RayLab, ids: list[str]) -> int:
    states = {run.id: run.state for run in lab.all()}
    return sum(states[run_id] not in LIVE and states[run_id] is not RunState.QUEUED for run_id in ids)


def _running(lab: RayLab, ids: list[str]) -> int:
    return sum(run.state is RunState.RUNNING and run.step > 0 for run in lab.all() if run.id in ids)


def _restart(lab: RayLab, cluster: RayCluster, nodes: tuple[int, ...]) -> None:
    """Bring dead nodes back, as their service would, while the daemon goes on."""
    for node in nodes:
        if node != 1:
            cluster.kill_raylet(node)
        cluster.clean(node)
    starting = threading.Thread(target=cluster.start, args=nodes, daemon=True)
    starting.start()
    lab.rounds(lambda: not starting.is_alive(), 900)


def _overlap(a: Span, b: Span) -> bool:
    return a.start < b.end and b.start < a.end


def _collide(a: Span, b: Span) -> bool:
    """Whether two attempts were on one GPU at once."""
    return a.node == b.node and bool(set(a.devices) & set(b.devices)) and _overlap(a, b)

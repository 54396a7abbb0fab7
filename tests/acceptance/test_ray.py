"""Runs on a real Ray cluster of three nodes with four logical GPUs, while its nodes and its head are killed."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from imgcls_lab import TrainConfig, demo_data, launch_notebook
from imgcls_lab.api import context
from imgcls_lab.events import ENDED, LIVE, DesiredState, RunKind, RunState, read_line
from imgcls_lab.executor import processes
from imgcls_lab.executor.backends.launch import module_argv
from imgcls_lab.executor.backends.ray import RayScheduler
from imgcls_lab.run_layout import attempt_of, event_files
from imgcls_lab.schemas import ProjectEdit, SubmitRequest
from imgcls_lab.settings import Settings
from tests.clusters.cluster_lab import ClusterLab, stub_argv
from tests.clusters.conftest import ray_cluster  # noqa: F401 - a fixture
from tests.clusters.notebooks import QUEUES_A_RUN, notebook
from tests.clusters.ray_cluster import APART, APART_KIND, RayCluster, ip

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
        real = folder.name in self.real or kind is not RunKind.TRAIN
        return (module_argv if real else stub_argv)(kind, python, folder, attempt)

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
    changes = {"batch_size": 32, "threads": 1, "num_workers": 0, "checkpoint_every_minutes": 1e-4, "epochs": 30}
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
    began = time.monotonic()
    for number in range(1, RAYLETS + 2):
        lab.rounds(lambda: _victim(lab, ids) is not None, 900)
        if number == 3:
            ray_cluster.kill_head()
            again = (1, 2, 3)
        else:
            again = (int(str(_victim(lab, ids)).rpartition(".")[2]),)
            ray_cluster.kill_raylet(again[0])
        lab.rounds_for(10)
        _restart(lab, ray_cluster, again)
    lab.rounds(lambda: _ended(lab, ids) == RUNS, 1800)
    runs = {run_id: lab.run(run_id) for run_id in ids}
    lost = sum(lab.steps(run_id) != list(range(1, runs[run_id].total_steps + 1)) for run_id in ids)
    spans = [span for run_id in ids if run_id not in real for span in lab.spans(run_id)]
    doubled = [pair for pair in itertools.combinations(spans, 2) if _collide(*pair)]
    same = sum(lab.weights(run_id) == lab.weights(whole) for run_id in real)
    attempts, hit = sum(run.attempt for run in runs.values()), sum(runs[run_id].attempt > 1 for run_id in real)
    succeeded, took = sum(run.state is RunState.SUCCEEDED for run in runs.values()), time.monotonic() - began
    print(
        f"\n{RUNS} runs on {GPUS} logical GPUs, {RAYLETS} raylets and the head killed, {took:.0f} s: "
        f"{succeeded} succeeded (target {RUNS}) in {attempts} attempts, "
        f"{lost} with a metric lost or doubled (0), {len(doubled)} pairs at once on one GPU (0), "
        f"{same} of {REAL} bit-equal ({REAL}), {hit} of them killed at least once"
    )
    assert {run_id: run.message for run_id, run in runs.items() if run.state is not RunState.SUCCEEDED} == {}
    assert (lost, doubled, same) == (0, [], REAL)
    assert attempts > RUNS + RAYLETS, "the kills must have met runs"
    assert hit > 0, "a run of the real trainer must have been killed"
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


def _victim(lab: RayLab, ids: list[str]) -> str | None:
    """The node of a run that has come some way in its present attempt; of a run of the real trainer, if one lives."""
    going = [run for run in lab.all() if run.id in ids and run.state is RunState.RUNNING]
    real = [run for run in going if run.id in lab.real]
    known = {run.id: lab.run(run.id).resumed_at_step or 0 for run in going}
    for run in real or going:
        place = lab.place(run.id)
        if run.step >= known[run.id] + 8 and place["attempt"] == run.attempt:
            return str(place["node"])
    return None


def _restart(lab: RayLab, cluster: RayCluster, nodes: tuple[int, ...]) -> None:
    """Bring dead nodes back, as their service would, while the daemon goes on."""
    for node in nodes:
        if node != 1:
            cluster.kill_raylet(node)
        cluster.clean(node)
    with ThreadPoolExecutor(1) as pool:
        starting = pool.submit(cluster.start, *nodes)
        lab.rounds(starting.done, 900)
        starting.result()


def _overlap(a: Span, b: Span) -> bool:
    return a.start < b.end and b.start < a.end


def _collide(a: Span, b: Span) -> bool:
    """Whether two attempts were on one GPU at once."""
    return a.node == b.node and bool(set(a.devices) & set(b.devices)) and _overlap(a, b)


def test_a_run_on_two_nodes_survives_the_death_of_one_rank(lab: RayLab, digits: TrainConfig):
    config = digits.with_changes(num_processes=2, num_nodes=2, epochs=8)
    whole = lab.train(config)
    lab.end(whole, 600)
    broken = lab.train(config)
    lab.rounds(lambda: lab.run(broken).step > 10, 300)
    folder = lab.settings.run_dir(broken)
    nodes = {lab.place(broken)["node"], json.loads((folder / "node-001.json").read_text())["node"]}
    os.kill(_rank(broken, json.loads((folder / "node-001.json").read_text())["node"]), signal.SIGKILL)
    run, undisturbed = lab.end(broken, 600), lab.run(whole)
    same = lab.weights(broken) == lab.weights(whole)
    print(
        f"\ntwo nodes ({', '.join(sorted(nodes))}), one rank killed: {run.state.value} in {run.attempt} attempts, "
        f"weights {'bit-equal' if same else 'differ'} (target bit-equal)"
    )
    assert len(nodes) == 2
    assert (run.state, run.attempt, undisturbed.attempt) == (RunState.SUCCEEDED, 2, 1), run.message
    assert lab.steps(broken) == list(range(1, (run.total_steps or 0) + 1))
    assert same
    lab.until(lambda: lab.left(whole) + lab.left(broken) == [])


def _rank(run_id: str, node: str) -> int:
    """The newest process of a run's engine on a node: a rank, or what loads its images."""
    found = []
    for pid in processes.tagged(processes.tag_of(run_id, 1)):
        command, environment = (Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))
        if b"imgcls_lab.engine" in command and f"IMGCLS_NODE_NAME={node}\0".encode() in environment:
            found.append(pid)
    return max(found)


def test_a_job_that_an_administrator_stops_saves_and_is_queued_again(lab: RayLab):
    run_id = lab.launch(steps=150, step_seconds=0.1, save_every=50)
    lab.rounds(lambda: lab.run(run_id).step > 5, 300)
    RayScheduler(lab.settings).cancel(f"{run_id}-001", 0)
    run = lab.end(run_id, 300)
    print(
        f"\nstopped by an administrator: {run.attempts[0].message}; attempt 2 went on from step {run.resumed_at_step}"
    )
    assert (run.state, run.attempt) == (RunState.SUCCEEDED, 2)
    assert 0 < (run.resumed_at_step or 0) < 50, "it was saved at the stop, and not at a step of its own"


def test_a_run_goes_on_while_its_node_is_cut_off_and_starts_again_when_ray_has_given_it_up(
    lab: RayLab,
    ray_cluster: RayCluster,  # noqa: F811
):
    with ray_cluster.apart() as node:
        lab.rounds(lambda: any(APART_KIND in device.title for device in lab.daemon.inventory.devices), 300)
        run_id = lab.launch(device=APART_KIND, steps=5000, step_seconds=0.1)
        lab.rounds(lambda: lab.run(run_id).step > 5, 300)
        assert lab.place(run_id)["node"] == ip(APART)
        node.cut()
        cut_at, step = time.monotonic(), lab.run(run_id).step
        lab.rounds(lambda: lab.run(run_id).step > step + 50)
        assert (lab.state(run_id), lab.run(run_id).attempt) == (RunState.RUNNING, 1)
        lab.rounds(lambda: lab.state(run_id) is RunState.QUEUED, 400)
        left = processes.tagged(processes.tag_of(run_id, 1))
        took, reached = time.monotonic() - cut_at, lab.steps(run_id)[-1]
        print(
            f"\ncut off at step {step}: trained on to step {reached}, queued again after {took:.0f} s, "
            f"{len(left)} processes left (0)"
        )
        assert left == []
        node.join()
        node.clear()
        lab.rounds_for(5)
        node.start()
        lab.rounds(lambda: lab.run(run_id).attempt == 2 and lab.run(run_id).step > reached, 300)
        lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
        run = lab.end(run_id)
        assert run.state is RunState.STOPPED
        assert lab.steps(run_id) == list(range(1, run.step + 1))
        assert not (lab.settings.run_dir(run_id) / "doubled").exists()


def test_a_notebook_over_ray_queues_a_run_that_trains_over_ray(
    lab: RayLab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    run = launch_notebook(notebook(tmp_path / "small.ipynb", "a = 1", QUEUES_A_RUN), name="small")
    lab.rounds(lambda: lab.state(run.id) in ENDED, 300)
    child = next(view for view in lab.all() if view.id != run.id)
    trained = lab.end(child.id, 300)
    context.close()
    print(
        f"\na notebook on {lab.place(run.id)['node']}, its run on {lab.place(child.id)['node']}: {trained.state.value}"
    )
    assert (lab.state(run.id), trained.state) == (RunState.SUCCEEDED, RunState.SUCCEEDED), lab.run(run.id).message
    lab.until(lambda: lab.left(run.id) + lab.left(child.id) == [])

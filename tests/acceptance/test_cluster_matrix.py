"""Ray and Slurm, with a home that the nodes share and with homes of their own and an S3 server: the same promises.

Two nodes with two logical GPUs each (Ray: and a head). The stub trains where only its points and its end count; the
real trainer where its weights do.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import TrainConfig, demo_data
from imgcls_lab.events import DesiredState, FailureKind, RunState
from imgcls_lab.schemas import ProjectEdit
from imgcls_lab.settings import Settings
from tests.clusters import s3_server as s3_protocol
from tests.clusters.matrix_lab import Faulty, MatrixLab, running
from tests.clusters.s3_server import Bucket
from tests.clusters.small_disk import SmallDisk, needs_root, small_disk
from tests.store.postgres_server import Server

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

RUNS, REAL = 43, 3  # runs in all; those of the real trainer
GPUS = 4
FAULTS = 5  # of nodes; one of the head besides
STEPS = 120  # of the stub, a tenth of a second each: some are left when a node's processes learn of its death


@pytest.fixture(scope="module", params=["ray", "slurm"])
def cluster(request: pytest.FixtureRequest, s3: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faulty]:
    with running(request.param, s3_protocol.profile(s3, tmp_path_factory.mktemp("aws"))) as cluster:
        yield cluster


@pytest.fixture(params=["shared", "s3"])
def way(request: pytest.FixtureRequest) -> str:
    """One home for all with SQLite; or homes of the nodes, S3 and PostgreSQL."""
    return str(request.param)


@pytest.fixture
def disk(way: str, home: Path, cluster: Faulty) -> Iterator[SmallDisk]:
    """On which runs write."""
    with small_disk(home if way == "shared" else cluster.homes, 128) as disk:
        yield disk


@pytest.fixture
def lab(
    request: pytest.FixtureRequest, way: str, home: Path, tmp_path: Path, cluster: Faulty, s3: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[MatrixLab]:  # fmt: skip
    traits: dict[str, Any] = {"db_url": f"sqlite:///{tmp_path}/database/imgcls.db", "disk_alert": 0, **cluster.traits}
    if way == "s3":
        bucket = Bucket.make(s3)
        for name, value in bucket.environment.items():
            monkeypatch.setenv(name, value)
        postgres: Server = request.getfixturevalue("postgres")
        traits |= {"store_url": bucket.url, "store_interval": 0.5, "db_url": postgres.url()}
    lab = MatrixLab(home, cluster.scheduler_of, **traits)
    yield lab
    lab.close()


@pytest.fixture
def digits(tmp_path: Path) -> TrainConfig:
    """Sixteen images a class, five steps an epoch, one thread, a checkpoint at almost every step.

    So many epochs that a run of an idle machine has not ended before its processes learn that their node is dead.
    """
    files = demo_data.prepare(Settings(home=str(tmp_path / "few"), datasets_dir=str(tmp_path / "few" / "datasets")))
    root = tmp_path / "few digits"
    for split, count in (("train", 16), ("val", 6)):
        for folder in (files.root / split).iterdir():
            (root / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, root / split / folder.name)
    changes = {"batch_size": 32, "threads": 1, "num_workers": 0, "checkpoint_every_minutes": 1e-4, "epochs": 60}
    return files.config.with_changes(root=str(root), device="auto", **changes)


def test_a_stop_saves_a_checkpoint_from_which_the_run_goes_on(lab: MatrixLab) -> None:
    run_id = lab.launch(steps=300, step_seconds=0.1, save_every=290)
    lab.rounds(lambda: lab.run(run_id).step > 5, 300)
    lab.stop_and_go_on(run_id, 300)
    assert 5 < (lab.run(run_id).resumed_at_step or 0) < 290, "it was saved at the stop, and not at a step of its own"
    lab.until(lambda: lab.left(run_id) == [])


def test_a_run_on_two_nodes_survives_the_death_of_a_rank(lab: MatrixLab, digits: TrainConfig) -> None:
    config = digits.with_changes(num_processes=2, num_nodes=2, epochs=8)
    whole = lab.train(config)
    lab.end(whole, 600)
    broken = lab.train(config)
    lab.rounds(lambda: lab.run(broken).step > 10, 300)
    other = next(node for node in lab.nodes_of(broken) if node != lab.place(broken)["node"])
    os.kill(lab.rank(broken, other), signal.SIGKILL)
    run, undisturbed = lab.end(broken, 600), lab.run(whole)
    same = lab.weights(broken) == lab.weights(whole)
    print(
        f"\ntwo nodes, a rank on {other} killed: {run.state.value} in {run.attempt} attempts, "
        f"resumed at step {run.resumed_at_step}, weights {'bit-equal' if same else 'differ'} (target bit-equal)"
    )
    assert (run.state, run.attempt, undisturbed.attempt) == (RunState.SUCCEEDED, 2, 1), run.message
    assert lab.steps(broken) == list(range(1, (run.total_steps or 0) + 1))
    assert (run.resumed_at_step or 0) > 0
    assert same
    lab.until(lambda: lab.left(whole) + lab.left(broken) == [])


@needs_root
def test_a_full_disk_is_a_clear_failure_and_the_run_goes_on_when_there_is_space(
    disk: SmallDisk, lab: MatrixLab
) -> None:
    run_id = lab.launch(steps=4000, step_seconds=0.1, save_every=20)
    lab.rounds(lambda: lab.run(run_id).step > 25, 300)
    disk.fill()
    failed = lab.end(run_id, 300)
    print(f"\ndisk full: {failed.state.value} at step {failed.step}, {failed.message}")
    assert (failed.state, failed.failure) == (RunState.FAILED, FailureKind.DISK_FULL)
    disk.free()
    lab.store.runs.resume(run_id)
    lab.rounds(lambda: lab.run(run_id).attempt == 2 and lab.run(run_id).step > failed.step, 300)
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    stopped = lab.end(run_id, 300)
    assert stopped.state is RunState.STOPPED
    assert (stopped.resumed_at_step or 0) >= 20
    assert lab.steps(run_id) == list(range(1, stopped.step + 1))


def test_forty_runs_while_nodes_and_the_head_are_killed(lab: MatrixLab, digits: TrainConfig, cluster: Faulty) -> None:
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
    hits = list(break_cluster(lab, cluster, ids))
    lab.rounds(lambda: lab.ended(ids) == RUNS, 1800)
    runs = {run_id: lab.run(run_id) for run_id in ids}
    lost = sum(lab.steps(run_id) != list(range(1, (runs[run_id].total_steps or 0) + 1)) for run_id in ids)
    spans = [span for run_id in ids if run_id not in real for span in lab.spans(run_id)]
    doubled = [pair for pair in itertools.combinations(spans, 2) if pair[0].collides(pair[1])]
    same = sum(lab.weights(run_id) == lab.weights(whole) for run_id in real)
    attempts, hit = sum(run.attempt for run in runs.values()), sum(runs[run_id].attempt > 1 for run_id in real)
    succeeded, took = sum(run.state is RunState.SUCCEEDED for run in runs.values()), time.monotonic() - began
    print(
        f"\n{RUNS} runs on {GPUS} logical GPUs, killed: {dict(Counter(what for what, _ in hits))} under "
        f"{sum(met for _, met in hits)} of them, {took:.0f} s: "
        f"{succeeded} succeeded (target {RUNS}) in {attempts} attempts, "
        f"{lost} with a metric lost or doubled (0), {len(doubled)} pairs at once on one GPU (0), "
        f"{same} of {REAL} bit-equal ({REAL}), {hit} of them killed at least once"
    )
    assert {run_id: run.message for run_id, run in runs.items() if run.state is not RunState.SUCCEEDED} == {}
    assert (lost, doubled, same) == (0, [], REAL)
    # Ray: a run may outlive its raylet, and ends as if nothing had been
    assert sum(met > 0 for _, met in hits) >= FAULTS, "the kills must have met runs"
    assert attempts > RUNS
    assert hit > 0, "a run of the real trainer must have been killed"
    assert not any((lab.settings.run_dir(run_id) / "doubled").exists() for run_id in ids)
    of_limited = [span for span in spans if span.run in of_project]
    assert not any(a.overlaps(b) for a, b in itertools.combinations(of_limited, 2)), "the project's limit is one run"
    first = {run_id: runs[run_id].started_at or 0 for run_id in ids}
    waited = sorted(low, key=first.__getitem__)[GPUS:]  # the first of them may have started before the others came
    assert max(first[run_id] for run_id in high) < min(first[run_id] for run_id in waited)
    lab.until(lambda: [pid for run_id in ids for pid in lab.left(run_id)] == [])


def break_cluster(lab: MatrixLab, cluster: Faulty, ids: list[str]) -> Iterator[tuple[str, int]]:
    """Kill nodes with runs on them, and once the head; each is back after a while.

    What was killed, and how many runs were on that node.
    """
    for number in range(FAULTS + 1):
        lab.rounds(lambda: lab.victim(ids) is not None, 900)
        victim = str(lab.victim(ids))
        met = lab.running_on(victim, ids)
        yield (cluster.hit_head(), 0) if number == FAULTS // 2 else (cluster.hit(victim), met)
        lab.rounds_for(10)
        with ThreadPoolExecutor(1) as pool:
            mending = pool.submit(cluster.mend)
            lab.rounds(mending.done, 900)
            mending.result()

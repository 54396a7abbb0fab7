"""Slurm with two nodes of two logical GPUs: what is promised on one machine holds there, whatever of Slurm breaks.

The stub trains where only its points and its end count; the real trainer where its weights do.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.events import DesiredState, FailureKind, RunState
from imgcls_lab.schemas import ProjectEdit, RunDetail, SubmitRequest
from imgcls_lab.store.verdict import ended_at, launched_at, read_end
from tests.clusters.slurm_cluster import SlurmCluster, running
from tests.clusters.small_disk import small_disk
from tests.executor.stub_lab import StubLab
from tests.waiting import until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


class SlurmLab(StubLab):
    """A home whose daemon hands runs over to a cluster of this test's own."""

    def __init__(self, home: Path, cluster: SlurmCluster, **traits: Any) -> None:
        super().__init__(home, device="cuda", backend="slurm", **{"stop_grace": 20.0, "lease": 30.0, **traits})
        self.cluster = cluster

    def queue(self, wish: dict[str, Any], **request: Any) -> str:
        config = {"root": "/data/digits", "model_flavour": "stub", "device": "cuda"}
        return self.store.runs.submit(SubmitRequest(config=config, notes=json.dumps(wish), **request)).id

    def train(self, config: TrainConfig, **request: Any) -> str:
        return self.store.runs.submit(SubmitRequest(config=config.model_dump(mode="json"), **request)).id

    def wait_for_step(self, run_id: str, step: int, attempt: int = 1, seconds: float = 240) -> None:
        def reached() -> bool:
            run = self.run(run_id)
            assert run.state is not RunState.FAILED, run.message
            return run.attempt >= attempt and run.state is RunState.RUNNING and run.step >= step

        self.until(reached, seconds, lambda: f"{self.run(run_id)}\n{self.cluster.about()}\n{self.daemon_log()}")

    def node_of(self, run_id: str) -> str:
        return str(json.loads((self.settings.run_dir(run_id) / "owner.json").read_text())["node"])

    def scontrol(self, *words: str) -> None:
        self.cluster.ask("scontrol", *words)

    def ended_well(self, run_id: str, seconds: float = 300) -> RunDetail:
        """The run when it has ended: once, with each point once, and with no process left."""
        run = self.wait(run_id, seconds=seconds)
        assert run.state is RunState.SUCCEEDED, (run, self.cluster.about(), self.daemon_log())
        assert self.steps(run_id) == list(range(1, (run.total_steps or 0) + 1))
        assert not (self.settings.run_dir(run_id) / "doubled").exists()
        return run


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    with running() as cluster:
        monkeypatch.setenv("SLURM_CONF", str(cluster.configuration))
        yield cluster


Make = Callable[..., SlurmLab]


@pytest.fixture
def make_lab(home: Path, cluster: SlurmCluster) -> Iterator[Make]:
    labs: list[SlurmLab] = []

    def make(folder: Path = home, **traits: Any) -> SlurmLab:
        labs.append(SlurmLab(folder, cluster, **traits))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()
    until(lambda: not cluster.processes(), 60, lambda: f"still there: {cluster.processes()}")


class Stay(NamedTuple):
    """When a run was where, by what its folder says."""

    place: tuple[str, str]
    begin: float
    end: float

    def meets(self, other: Stay) -> bool:
        return self.place == other.place and self.begin < other.end and other.begin < self.end


def stay_of(lab: SlurmLab, run_id: str) -> Stay:
    folder = lab.settings.run_dir(run_id)
    owner = json.loads((folder / "owner.json").read_text())
    [device] = owner["devices"]
    begin, end = launched_at(folder, 1), ended_at(folder, 1, read_end(folder, 1))
    assert begin is not None
    assert end is not None
    return Stay((owner["node"], device), begin, end)


def test_forty_runs_share_four_gpus_by_priority_and_limit(make_lab: Make) -> None:
    lab = make_lab()
    small = lab.store.projects.add(ProjectEdit(name="small", max_running=1)).id
    wish = {"steps": 30, "step_seconds": 0.02}
    limited = [lab.queue(wish, project_id=small) for _ in range(6)]
    normal = [lab.queue(wish) for _ in range(26)]
    urgent = [lab.queue(wish, priority=5) for _ in range(8)]
    runs = [*limited, *normal, *urgent]
    begin = time.monotonic()
    lab.start_daemon()
    for run_id in runs:
        lab.ended_well(run_id)
    took = time.monotonic() - begin
    stays = {run_id: stay_of(lab, run_id) for run_id in runs}
    places = {stay.place for stay in stays.values()}
    meetings = [pair for pair in combinations(stays.values(), 2) if pair[0].meets(pair[1])]
    limits = [pair for pair in combinations([stays[run] for run in limited], 2) if pair[0].begin < pair[1].end
              and pair[1].begin < pair[0].end]  # fmt: skip
    claimed = {run_id: lab.run(run_id).started_at or 0.0 for run_id in runs}
    late = sum(claimed[run] > min(claimed[other] for other in normal) for run in urgent)
    attempts = {lab.run(run_id).attempt for run_id in runs}
    print(f"\n40 runs on {len(places)} GPUs in {took:.0f} s: {len(meetings)} times two on one GPU, {len(limits)} times "
          f"over the project's limit, {late} urgent ones after another (target 0, 0, 0)")  # fmt: skip
    assert places == {(node, gpu) for node in ("node1", "node2") for gpu in "01"}
    assert (meetings, limits, late, attempts) == ([], [], 0, {1})


def test_killed_slurmds_nodes_and_slurmctld_change_no_weight(
    make_lab: Make,
    make_config: Callable[..., TrainConfig],
) -> None:
    lab = make_lab()
    cluster, config = lab.cluster, make_config(epochs=40, device="auto", checkpoint_every_minutes=1e-4)
    lab.start_daemon(real=True)
    broken, other = lab.train(config), lab.train(config)
    kills = 0
    for node in ("node1", "node2"):  # slurmd alone: what runs there goes on
        lab.wait_for_step(broken, 3)
        cluster.kill_slurmd(node)
        kills += 1
        time.sleep(2)
        cluster.start_node(node)
        cluster.wait_for_nodes(node)
    assert {lab.run(run).attempt for run in (broken, other)} == {1}
    for victim in (broken, other, broken):  # all of a node
        attempt = lab.run(victim).attempt
        lab.wait_for_step(victim, lab.run(victim).step + 2, attempt)
        node = lab.node_of(victim)
        cluster.crash_node(node)
        kills += 1
        lab.until(lambda victim=victim, attempt=attempt: lab.run(victim).attempt > attempt, 120, lab.daemon_log)
        cluster.start_node(node)
        cluster.wait_for_nodes(node)
    cluster.kill_controller()
    time.sleep(8)
    cluster.start_controller()
    ended = [lab.ended_well(run, 400) for run in (broken, other)]
    whole = lab.train(config)
    lab.ended_well(whole, 400)
    folders = [lab.settings.run_dir(run) / "checkpoints" / "last" for run in (whole, broken, other)]
    weights = [folder / "model.safetensors" for folder in folders]
    same = len({path.read_bytes() for path in weights}) == 1
    print(f"\nslurmd killed {kills} times, slurmctld once: attempts {[run.attempt for run in ended]}, each ended once, "
          f"weights {'bit-equal' if same else 'differ'} (target bit-equal)")  # fmt: skip
    assert kills == 5
    assert same


def test_what_slurm_itself_ends_saves_and_goes_on(make_lab: Make) -> None:
    """A cancel by an administrator, a preemption, a time limit, a drained node: no run is lost, none is asked for."""
    lab = make_lab(slurm_time="1")
    cluster = lab.cluster
    lab.start_daemon()
    wish = {"steps": 3600, "step_seconds": 0.03, "save_every": 1200}  # 108 s
    cancelled, preempted = lab.queue(wish), lab.queue(wish)
    for run_id in (cancelled, preempted):
        lab.wait_for_step(run_id, 5)
    cluster.ask("scancel", f"--name={cancelled}-001")
    lab.wait_for_step(cancelled, 6, attempt=2)
    saved = lab.run(cancelled).attempts[0]
    lab.scontrol("update", "nodename=node1", "state=drain", "reason=repair")
    hog = cluster.ask("sbatch", "--partition=urgent", "--nodes=2", "--gres=gpu:2", "--parsable", "--export=ALL",
                      f"--output={cluster.folder}/hog", "--wrap=sleep 5")  # fmt: skip
    assert hog
    lab.scontrol("update", "nodename=node1", "state=resume")
    runs = [lab.ended_well(run_id, 400) for run_id in (cancelled, preempted)]
    ends = [read_end(lab.settings.run_dir(run.id), attempt.number) for run in runs for attempt in run.attempts]
    asked = [end is not None and end.interrupted for end in ends]
    urgent = cluster.ask("squeue", "-h", "-t", "all", "-j", hog, "-o", "%T")
    print(f"\ncancelled, preempted, at the time limit: attempts {[run.attempt for run in runs]}, "
          f"{sum(asked)} ends by Slurm with a checkpoint, {len(ends) - sum(asked)} by the run itself")  # fmt: skip
    assert urgent == "COMPLETED"
    assert saved.state is RunState.LOST
    assert all(run.attempt >= 3 for run in runs), "108 s of steps do not fit into two jobs of a minute"
    assert sum(asked) == len(ends) - len(runs)
    assert all(point == 1 for run in runs for point in counts(lab.steps(run.id)))


def counts(steps: list[int]) -> list[int]:
    return [steps.count(step) for step in {*steps}]


def test_a_stop_saves_and_bad_days_are_said(make_lab: Make, tmp_path: Path) -> None:
    lab = make_lab()
    cluster = lab.cluster
    cluster.kill_controller()  # before the daemon has ever asked
    lab.start_daemon()
    run_id = lab.queue({"steps": 4000, "step_seconds": 0.02, "save_every": 1000})
    time.sleep(5)
    assert lab.state(run_id) is RunState.QUEUED
    cluster.start_controller()
    lab.wait_for_step(run_id, 5)
    lab.scontrol("update", "nodename=node1,node2", "state=drain", "reason=repair")
    second = lab.queue({"steps": 20})
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    stopped = lab.wait(run_id)
    assert stopped.state is RunState.STOPPED
    assert (lab.settings.run_dir(run_id) / "checkpoints" / f"a001-s{stopped.step:08d}").is_dir()
    time.sleep(3)
    assert lab.state(second) in {RunState.QUEUED, RunState.STARTING}, "both nodes are drained"
    lab.scontrol("update", "nodename=node1,node2", "state=resume")
    lab.ended_well(second)
    lab.kill_daemon()

    wrong = make_lab(tmp_path / "wrong", slurm_partition="nowhere")
    wrong.start_daemon()
    waiting = wrong.queue({"steps": 5})
    wrong.until(lambda: "nowhere" in (wrong.run(waiting).message or ""), 30, lambda: str(wrong.run(waiting)))
    wrong.until(lambda: "nowhere" in _away(wrong), 30, lambda: str(wrong.run(waiting)))
    print(f"\nwrong partition, on the devices page: {_away(wrong)}")
    assert wrong.state(waiting) is RunState.QUEUED


def _away(lab: SlurmLab) -> str:
    """Why the devices page says that Slurm cannot be asked."""
    try:
        return str(json.loads(lab.settings.cluster_state.read_text())["away"])
    except (OSError, ValueError):
        return ""


def test_a_full_disk_is_a_clear_failure(make_lab: Make, tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", 16) as disk:
        lab = make_lab(disk.path / "home", db_url=f"sqlite:///{tmp_path / 'other' / 'imgcls.db'}", disk_alert=0)
        lab.start_daemon()
        run_id = lab.queue({"steps": 1000, "step_seconds": 0.02})
        lab.until(lambda: lab.run(run_id).checkpoints, 60)
        disk.fill()
        run = lab.wait(run_id, seconds=90)
        print(f"\ndisk full: {run.state.value}, {run.message}")
        assert (run.state, run.failure) == (RunState.FAILED, FailureKind.DISK_FULL)
        disk.free()
        lab.store.runs.resume(run_id)
        lab.wait_for_step(run_id, run.step + 1, attempt=2)
        lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
        assert lab.wait(run_id).state is RunState.STOPPED

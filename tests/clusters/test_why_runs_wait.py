"""What keeps a run of a cluster waiting stands at the run, wherever it is shown, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab.api import context
from imgcls_lab.cli import main
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor.backends.slurm_output import JOB_FORMAT, read_jobs
from tests.clusters.process_scheduler import ProcessScheduler
from tests.clusters.toy_lab import ToyLab
from tests.executor.stub_lab import ROOT

NO_PARTITION = "There is no partition “nowhere”; there is gpu. Correct IMGCLS_SLURM_PARTITION and restart."
REFUSED = "Invalid account. Correct IMGCLS_SLURM_ACCOUNT."


@pytest.fixture
def lab(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ToyLab]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    lab = ToyLab(home, ProcessScheduler(tmp_path / "jobs"))
    yield lab
    lab.close()
    context.close()


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    with pytest.raises(SystemExit):
        main(words)
    return " ".join(capsys.readouterr().out.split())


def test_a_wrong_partition_is_said_at_every_run_that_waits(lab: ToyLab, capsys: pytest.CaptureFixture[str]) -> None:
    lab.scheduler.broken = NO_PARTITION
    lab.restart()
    first, second = lab.launch(steps=3), lab.launch(steps=3)
    lab.rounds(lambda: all(NO_PARTITION in (lab.run(each).message or "") for each in (first, second)))
    assert lab.state(first) is RunState.QUEUED
    assert f"2 runs: Waits. {NO_PARTITION}" in printed(capsys, "runs")
    assert f"waits Waits. {NO_PARTITION}" in printed(capsys, "show", first)
    lab.scheduler.broken = None
    lab.restart()  # as is said
    for each in (first, second):
        ended = lab.end(each, 60)
        assert (ended.state, ended.attempt) == (RunState.SUCCEEDED, 1), ended.message


def test_settings_that_the_cluster_refuses_fail_no_run_and_hide_no_end(
    lab: ToyLab, capsys: pytest.CaptureFixture[str]
) -> None:
    living = lab.launch(steps=40, step_seconds=0.05)
    lab.rounds(lambda: lab.run(living).step > 3)
    lab.scheduler.takes_none = REFUSED
    waiting, behind = lab.launch(steps=3), lab.launch(steps=3)
    assert lab.end(living).state is RunState.SUCCEEDED, "it is asked for while nothing new is taken"
    lab.rounds(lambda: all(REFUSED in (lab.run(each).message or "") for each in (waiting, behind)))
    assert [lab.state(waiting), lab.state(behind)] == [RunState.STARTING, RunState.QUEUED]
    assert f"1 run: Waits until {lab.scheduler.title} takes it. {REFUSED}" in printed(capsys, "runs")
    assert f"waits Waits. {REFUSED}" in printed(capsys, "show", behind)
    lab.store.runs.set_desired_state(behind, DesiredState.STOP)
    lab.rounds(lambda: lab.state(behind) is RunState.CANCELLED)
    lab.scheduler.takes_none = None
    ended = lab.end(waiting, 60)
    assert (ended.state, ended.attempt) == (RunState.SUCCEEDED, 1)


def test_closed_nodes_are_named(lab: ToyLab, monkeypatch: pytest.MonkeyPatch) -> None:
    lab.rounds_for(0.3)
    nodes = lab.scheduler.nodes()
    closed = [node.__class__(**{**vars(node), "alive": False, "reason": "drained: a fan is broken"}) for node in nodes]
    monkeypatch.setattr(lab.scheduler, "nodes", lambda: closed)
    lab.restart()
    run_id = lab.launch(steps=3)
    lab.rounds(lambda: "node1: drained: a fan is broken" in (lab.run(run_id).message or ""))
    assert lab.state(run_id) is RunState.QUEUED


def test_a_run_that_no_node_can_take_is_told_to_spread(lab: ToyLab, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scheduler such as Ray would keep it for ever, and say nothing: it is not handed over."""
    lab.rounds_for(0.3)
    node = lab.scheduler.nodes()[0]
    two = [node.__class__(**{**vars(node), "name": name}) for name in ("node1", "node2")]
    monkeypatch.setattr(lab.scheduler, "nodes", lambda: two)
    lab.restart()
    run_id = lab.launch(gpus=3, steps=3)
    lab.rounds(lambda: "no node has more than 2" in (lab.run(run_id).message or ""))
    assert "num_nodes" in (lab.run(run_id).message or "")
    assert lab.state(run_id) is RunState.QUEUED
    assert lab.scheduler.submitted == []
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    assert lab.end(run_id).state is RunState.CANCELLED


def test_a_run_whose_nodes_are_lost_before_it_began_goes_on_with_the_others(
    lab: ToyLab, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A scheduler such as Ray notices late that a node is dead, and keeps a job for it for as long as it is away."""
    lab.rounds_for(0.3)
    node = lab.scheduler.nodes()[0]
    alive = {"node1": True, "node2": True}
    of_state = lambda: [node.__class__(**{**vars(node), "name": name, "alive": alive[name]}) for name in alive]  # noqa: E731
    monkeypatch.setattr(lab.scheduler, "nodes", of_state)
    lab.scheduler.paused = True
    lab.restart()
    exact, elastic = (lab.launch(gpus=4, nodes=2, fewer=fewer, steps=3, priority=bool(fewer)) for fewer in (None, 2))
    lab.rounds(lambda: lab.state(elastic) is RunState.STARTING)
    assert lab.state(exact) is RunState.QUEUED
    alive["node2"] = False
    lab.rounds(lambda: lab.run(elastic).attempt == 2 and lab.state(elastic) is RunState.STARTING, 30)
    assert len(lab.run(elastic).attempts[1].devices) == 2
    assert "2 nodes with 2 GPUs each" in (lab.run(elastic).attempts[0].message or "")
    assert lab.state(exact) is RunState.QUEUED
    lab.scheduler.paused = False
    assert lab.end(elastic).state is RunState.SUCCEEDED
    lab.rounds(lambda: "the cluster has 1 now" in (lab.run(exact).message or ""))
    lab.scheduler.paused = alive["node2"] = True
    lab.rounds(lambda: lab.state(exact) is RunState.STARTING)


def waiting_line(code: str) -> str:
    """What squeue prints of a job that waits."""
    columns = {"%j": "20260101-000000-aaaaaa-001", "%A": "7", "%T": "PENDING", "%N": "", "%r": code}
    return "|".join(columns[name] for name in JOB_FORMAT.split("|"))


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        ("InvalidAccount", "IMGCLS_SLURM_ACCOUNT"),
        ("AccountNotAllowed", "IMGCLS_SLURM_ACCOUNT"),
        ("InvalidQOS", "IMGCLS_SLURM_QOS"),
        ("PartitionTimeLimit", "IMGCLS_SLURM_TIME"),
        ("PartitionDown", "IMGCLS_SLURM_PARTITION"),
        ("BadConstraints", "IMGCLS_SLURM_OPTIONS"),
        ("QOSMaxGRESPerUser", "other jobs have ended"),
        ("AssocGrpGRES", "other jobs have ended"),
        ("JobHeldUser", "scontrol release"),
        ("ReqNodeNotAvail, UnavailableNodes:node[1-2]", "once they are back"),
        ("Resources", "free"),
    ],
)
def test_slurms_word_for_why_a_job_waits_is_a_sentence_with_the_remedy(code: str, remedy: str) -> None:
    [job] = read_jobs(waiting_line(code))
    assert remedy in job.reason
    assert code in job.reason


def test_a_word_of_slurm_that_is_not_known_is_shown_as_it_is() -> None:
    assert read_jobs(waiting_line("FedJobLock"))[0].reason == "FedJobLock"

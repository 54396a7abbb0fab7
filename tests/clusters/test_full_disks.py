"""Nodes with homes of their own and no space: on a node, at the head, in the store. Nothing is lost, and it is said."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from imgcls_lab.events import DesiredState, FailureKind, RunState
from imgcls_lab.schemas import RunDetail
from tests.clusters.quota_proxy import with_quota
from tests.clusters.s3_server import Bucket
from tests.clusters.small_disk import SmallDisk, needs_root, small_disk
from tests.clusters.store_lab import StoreLab
from tests.executor.stub_lab import ROOT

STEPS = 200
SPACE = 96  # MiB: the mirror leaves 64 of them free


def until(seen: Path) -> dict[str, object]:
    """What a run of STEPS steps is asked: it does not end before the test has seen what it waits for."""
    return {"steps": STEPS, "step_seconds": 0.05, "hold_at": STEPS - 10, "hold_until": str(seen)}


class Disks:
    """The disks of a node, of the head and of the store, and the lab that uses them."""

    def __init__(self, stack: ExitStack, place: Path) -> None:
        def disk(name: str) -> SmallDisk:
            return stack.enter_context(small_disk(place / name, SPACE))

        self.seen = place / "seen"
        self.node, self.head, self.store = disk("nodes"), disk("head"), disk("objects")
        (self.store.path / "store").mkdir()
        url, database = f"file://{self.store.path}/store", f"sqlite:///{place}/database/imgcls.db"
        self.lab = StoreLab(self.head.path / "home", place, url, db_url=database, cpu_slots=2, disk_alert=0)


@pytest.fixture
def disks(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Disks]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with ExitStack() as stack:
        disks = Disks(stack, tmp_path)
        try:
            yield disks
        finally:
            disks.lab.close()


def said(lab: StoreLab, run_id: str, word: str) -> RunDetail:
    """The run as soon as its page has a sentence with a word."""
    lab.rounds(lambda: word in (lab.run(run_id).message or ""))
    print(f"\n{lab.run(run_id).state.value}: {lab.run(run_id).message}")
    return lab.run(run_id)


def ended_once(lab: StoreLab, run_id: str, steps: int = STEPS) -> RunDetail:
    run = lab.end(run_id)
    assert run.state is RunState.SUCCEEDED, run.message
    assert lab.steps(run_id) == list(range(1, steps + 1))
    lab.until(lambda: not lab.mirrors())
    return run


@needs_root
def test_a_node_without_space_refuses_a_run_that_starts_again_when_there_is_some(disks: Disks) -> None:
    lab = disks.lab
    disks.node.fill()
    run_id = lab.launch(steps=STEPS)
    refused = lab.end(run_id)
    print(f"\n{refused.message}")
    assert (refused.state, refused.failure) == (RunState.FAILED, FailureKind.DISK_FULL)
    assert str(disks.node.path) in (refused.message or "")
    disks.node.free()
    lab.store.runs.resume(run_id)
    assert ended_once(lab, run_id).attempt == 2


@needs_root
def test_a_run_whose_node_has_no_space_any_more_fails_with_all_its_metrics(disks: Disks) -> None:
    lab = disks.lab
    run_id = lab.launch(**until(disks.seen))
    lab.reaches(run_id, 20)
    disks.node.fill()
    disks.seen.touch()
    failed = lab.end(run_id)
    print(f"\n{failed.message}")
    assert (failed.state, failed.failure, failed.attempt) == (RunState.FAILED, FailureKind.DISK_FULL, 1)
    assert failed.step >= 20
    disks.node.free()
    lab.store.runs.resume(run_id)
    assert (ended_once(lab, run_id).resumed_at_step or 0) >= 20


@needs_root
def test_a_run_is_stopped_on_a_full_node(disks: Disks) -> None:
    """The stub writes an event each five seconds here, so that it lives until it is asked to stop."""
    lab = disks.lab
    run_id = lab.launch(steps=50, step_seconds=5)
    lab.reaches(run_id, 1)
    disks.node.fill()
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    run = lab.end(run_id)
    print(f"\n{run.state.value}: {run.message}")
    assert run.state is RunState.STOPPED
    assert run.step <= 2, "the request was heard at once"


@needs_root
def test_a_home_without_space_delays_a_run_and_ends_nothing(disks: Disks) -> None:
    lab = disks.lab
    run_id = lab.launch(**until(disks.seen))
    lab.reaches(run_id, 20)
    disks.head.fill()
    delayed = said(lab, run_id, "disk of this home is full")
    lab.rounds_for(2 * lab.settings.lease)
    assert (delayed.state, lab.state(run_id)) == (RunState.RUNNING, RunState.RUNNING)
    disks.head.free()
    disks.seen.touch()
    assert ended_once(lab, run_id).attempt == 1


@needs_root
def test_a_store_without_space_delays_runs_and_ends_nothing(disks: Disks) -> None:
    lab = disks.lab
    run_id = lab.launch(**until(disks.seen))
    lab.reaches(run_id, 20)
    disks.store.fill()
    second = lab.launch(steps=5)
    said(lab, run_id, "full")
    said(lab, second, "full")
    lab.rounds_for(2 * lab.settings.lease)
    assert (lab.state(run_id), lab.state(second)) == (RunState.RUNNING, RunState.STARTING)
    disks.store.free()
    disks.seen.touch()
    assert ended_once(lab, run_id).attempt == 1
    assert ended_once(lab, second, 5).attempt == 1


def test_an_s3_server_whose_quota_is_used_up_delays_runs_and_ends_nothing(
    home: Path, tmp_path: Path, s3_server: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    with with_quota(s3_server.endpoint) as server:
        monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
        lab = StoreLab(home, tmp_path, s3_server.url, cpu_slots=2)
        try:
            run_id = lab.launch(**until(tmp_path / "seen"))
            lab.reaches(run_id, 20)
            server.full.set()
            second = lab.launch(steps=5)
            said(lab, run_id, "full")
            said(lab, second, "full")
            assert server.refused > 2
            assert (lab.state(run_id), lab.state(second)) == (RunState.RUNNING, RunState.STARTING)
            server.full.clear()
            (tmp_path / "seen").touch()
            assert ended_once(lab, run_id).attempt == 1
            assert ended_once(lab, second, 5).attempt == 1
        finally:
            lab.close()

"""Who is next: priorities, runs after runs, limits of projects, named hosts; on both databases."""

from __future__ import annotations

import threading

import pytest
from sqlmodel import col, update
from store_steps import HOST, claim, feed, finish

from imgcls_lab.errors import NotFoundError
from imgcls_lab.events import Began, DesiredState, Finished, Phase, RunKind, RunState
from imgcls_lab.schemas import ProjectEdit, RunEdit, SubmitRequest
from imgcls_lab.store import Store, attempts, queue
from imgcls_lab.store.cluster import limited_projects
from imgcls_lab.store.fair_share import Shares
from imgcls_lab.store.tables import Run


def settle(store: Store) -> None:
    with store.database.write() as session:
        queue.settle(session, queue.to_settle(session, {HOST}))


def test_of_a_higher_priority_a_run_goes_first_also_when_it_is_raised_later(store: Store, submit):
    submit("first")
    urgent, last = submit("urgent", priority=5), submit("last")
    assert claim(store, "cpu:0").run.id == urgent
    store.runs.edit(last, RunEdit(priority=1))
    assert claim(store, "cpu:1").run.id == last


def test_a_run_waits_for_others_and_starts_when_all_have_succeeded(store: Store, submit):
    first, second = submit("first"), submit("second")
    then = submit("then", after=[first, second, first])
    assert store.runs.get(then).after == sorted([first, second])
    settle(store)
    assert store.runs.get(then).message.startswith("Waits until “first” and 1 more")
    assert [claim(store, f"cpu:{n}").run.id for n in range(2)] == [first, second]
    assert claim(store, "cpu:2") is None
    finish(store, first, 1, RunState.SUCCEEDED)
    settle(store)
    assert store.runs.get(then).message.startswith("Waits until “second”")
    finish(store, second, 1, RunState.SUCCEEDED)
    settle(store)
    assert claim(store, "cpu:0").run.id == then


@pytest.mark.parametrize(("end", "how"), [("fail", "failed"), ("cancel", "was cancelled"), ("delete", "was deleted")])
def test_what_follows_a_run_that_did_not_succeed_is_cancelled_and_says_so(store: Store, submit, end: str, how: str):
    first = submit("first")
    second = submit("second", after=[first])
    third = submit("third", after=[second])
    if end == "fail":
        claim(store)
        finish(store, first, 1, RunState.FAILED, message="x")
    else:
        store.runs.set_desired_state(first, DesiredState.STOP)
        if end == "delete":
            store.runs.delete(first)
    settle(store)
    settle(store)
    run = store.runs.get(second)
    name = first if end == "delete" else "first"
    assert run.state is RunState.CANCELLED
    assert f"“{name}”, which {how}" in run.message
    assert store.runs.get(third).state is RunState.CANCELLED
    with store.database.read() as session:
        assert queue.to_settle(session, {HOST}) == []


def test_a_stopped_run_is_waited_for(store: Store, submit):
    first = submit("first")
    then = submit("then", after=[first])
    claim(store)
    finish(store, first, 1, RunState.STOPPED)
    settle(store)
    assert store.runs.get(then).state is RunState.QUEUED
    assert "was stopped" in store.runs.get(then).message


def test_a_run_after_one_that_is_not_there_is_refused(store: Store, submit):
    with pytest.raises(NotFoundError, match="20990101"):
        submit(after=["20990101-000000-aaaaaa"])


def test_a_project_runs_no_more_than_its_limit_also_when_two_hosts_claim_at_once(store: Store, submit):
    project = store.projects.add(ProjectEdit(name="small", max_running=2)).id
    for _ in range(8):
        submit(project_id=project)
    other = submit("other")
    threads = [
        threading.Thread(target=lambda n=n: [claim(store, f"cpu:{m}", f"host-{n}") for m in range(4)]) for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    live = store.runs.list(states=[RunState.STARTING]).items
    assert sum(run.project_id == project for run in live) == 2
    assert any(run.id == other for run in live)
    with store.database.read() as session:
        limits = limited_projects(session)
    assert list(limits) == [project]
    assert "“small” runs 2 runs" in str(limits[project].refusal())
    store.projects.edit(project, ProjectEdit(name="small", max_running=None))
    assert claim(store, "cpu:9").run.project_id == project


def test_a_run_for_a_named_host_is_left_to_it(store: Store, submit):
    run_id = submit(host="host-b")
    assert claim(store) is None
    settle(store)
    assert "host-b" in store.runs.get(run_id).message
    assert claim(store, host="host-b").run.id == run_id


def test_runs_that_cannot_be_placed_do_not_hide_those_behind_them(store: Store, submit):
    for _ in range(queue.EXPLAINED + 20):
        submit(device="cuda")
    small = submit(device="cpu")
    with store.database.write() as session:
        found = attempts.claim(session, HOST, "e", lambda run: ["cpu:0"] if run.requested_device == "cpu" else "busy")
    assert found.run.id == small
    told = [run for run in store.runs.list(limit=500).items if run.message == "busy"]
    assert len(told) == queue.EXPLAINED, "rows are not rewritten by the thousand each time that a run begins"


def test_a_sweeps_steps_are_its_trials(store: Store):
    run_id = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, payload={}, idempotency_key="sweep-0002")).id
    assert claim(store) is not None
    feed(store, run_id, 1, Began(), Phase(name="3 of 8 trials", done=3, total=8))
    view = store.runs.get(run_id)
    assert (view.step, view.total_steps, view.phase) == (3, 8, "3 of 8 trials")


def test_a_sweep_needs_no_config_and_no_device_and_carries_its_payload(store: Store):
    from store_steps import feed

    view = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, payload={"trials": 5}, idempotency_key="sweep-0001"))
    run = store.runs.get(view.id)
    assert (run.kind, run.payload, run.device_request.device, run.config) == (RunKind.SWEEP, {"trials": 5}, "none", {})
    assert run.name == f"Sweep #{1}"
    with store.database.write() as session:
        assert attempts.claim(session, HOST, "e", lambda _: []).devices == []
    assert feed(store, run.id, 1, Began())
    assert store.runs.get(run.id).state is RunState.RUNNING
    assert feed(store, run.id, 1, Finished(step=0, best_epoch=0, values={}))
    assert finish(store, run.id, 1, RunState.SUCCEEDED) is RunState.SUCCEEDED


def test_what_a_run_asks_for_is_its_configs_device_unless_the_request_says_otherwise(store: Store, submit):
    assert store.runs.get(submit(config={"device": "cpu"})).device_request.device == "cpu"
    wish = store.runs.get(submit(config={"device": "cpu"}, device="H100", gpus=4, host="b")).device_request
    assert (wish.device, wish.gpus, wish.host) == ("H100", 4, "b")


def test_a_number_of_gpus_is_not_granted_by_a_cpu(store: Store, submit):
    assert store.runs.get(submit(gpus=2)).device_request.device == "cuda"
    assert store.runs.get(submit(gpus=2, device="H100")).device_request.device == "H100"
    assert store.runs.get(submit(gpus=1)).device_request.device == "auto"


@pytest.mark.parametrize("users", [1, 3])
def test_while_no_device_is_free_the_queue_is_read_only_for_runs_without_one(
    store: Store, submit, monkeypatch: pytest.MonkeyPatch, users: int
):
    monkeypatch.setattr(queue, "EXPLAINED", 4)
    monkeypatch.setattr(queue, "FIRST_PAGE", 2)
    runs = [submit() for _ in range(18)]
    with store.database.write() as session:
        for number, run_id in enumerate(runs):
            device = "none" if number >= 15 else "auto"
            values = {"owner": f"user {number % users}", "requested_device": device}
            session.execute(update(Run).where(col(Run.id) == run_id).values(**values))

    class Full:
        shares, others = Shares(), ()

        def has_free(self) -> bool:
            return False

    with store.database.read() as session:
        found = list(queue.waiting(session, HOST, Full()))
    assert {run.id for run in found} >= set(runs[15:])
    assert len(found) < 12, "not those that wait for a device"

"""The daemon's own queries: its row, claims, the end of a host. As two hosts would call them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable

import pytest
from sqlalchemy import event
from sqlalchemy.orm import SessionTransaction
from sqlmodel import Session
from store_steps import claim, finish, points, started, write

from imgcls_lab.events import Event, Failed, FailureKind, Finished, RunState, Stopped
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_layout import exit_name
from imgcls_lab.store import Store, folder_rows
from imgcls_lab.store.attempts import Noted
from imgcls_lab.store.cluster import Cluster, Waiting
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.fair_share import Shares
from imgcls_lab.store.folder_rows import read_info

HOST = "host-a"
Submit = Callable[..., str]


class Placed:
    """A scheduler that gives every run the same answer, or what a function says."""

    def __init__(self, answer: list[str] | str | Callable[[Waiting], list[str] | str | None] | None) -> None:
        self.answer = answer
        self.shares = Shares()
        self.others: list[str] = []

    def has_free(self) -> bool:
        return True

    def __call__(self, run: Waiting) -> list[str] | str | None:
        return self.answer(run) if callable(self.answer) else self.answer


@pytest.fixture
def own(store: Store) -> ExecutorStore:
    made = ExecutorStore(store.database, store.settings, HOST, "host-a-1", HeartbeatWatch(30))
    assert made.register() == 0
    return made


def test_a_daemon_is_registered_beats_and_signs_off(own: ExecutorStore, store: Store) -> None:
    assert own.beats() == {"host-a-1": 1}
    assert own.beat()
    assert own.beats() == {"host-a-1": 2}
    assert [identity.pid for identity in own.identities()] == [os.getpid()]
    other = ExecutorStore(store.database, store.settings, HOST, "host-a-2", HeartbeatWatch(30))
    other.register()
    assert not own.beat(), "another daemon took the host over"
    other.sign_off()
    assert [item.state for item in store.executors.status().executors] == ["stopped"]


def test_a_claim_takes_the_first_run_that_the_scheduler_places(
    own: ExecutorStore, store: Store, submit: Submit
) -> None:
    assert own.claim(lambda *_: Placed(["cpu:0"])) == [], "nothing waits"
    first, second = submit(), submit()
    seen: list[tuple[set[str], int]] = []

    def scheduler_of(cluster: Cluster, drivers: int) -> Placed:
        seen.append((cluster.hosts, drivers))
        return Placed(lambda run: "Waits for a GPU." if run.id == first else ["cpu:0"])

    (claimed,) = own.claim(scheduler_of)
    assert (claimed.run.id, claimed.attempt, claimed.devices) == (second, 1, ["cpu:0"])
    assert store.runs.get(first).message == "Waits for a GPU."
    assert seen[0] == ({HOST}, 0)
    assert own.claimed_devices() == {"cpu:0"}
    assert own.claim(lambda *_: Placed("Waits for a GPU.")) == [], "no news"
    assert own.claim(lambda *_: Placed(["cpu:0"])) == [], "the device is held"


def test_an_attempt_is_finished_by_what_its_folder_says(own: ExecutorStore, store: Store, submit: Submit) -> None:
    run_id = submit()
    claimed = claim(store)
    assert claimed is not None
    write(store, run_id, 1, started(), *points(1, 3), Stopped(step=3))
    verdict, state = own.finish_by_folder([(run_id, 1)])[run_id, 1]
    assert (verdict.state, state) == (RunState.STOPPED, RunState.STOPPED)
    assert (store.runs.get(run_id).step, own.claimed_devices()) == (3, set())
    assert own.finish_by_folder([(run_id, 1)]) == {}, "it lives no more"


def live(store: Store, submit: Submit, count: int, first: int = 0) -> list[str]:
    """Runs that have begun, each on a device of its own."""
    found = []
    for number in range(first, first + count):
        run_id = submit()
        assert claim(store, f"cpu:{number}") is not None
        write(store, run_id, 1, started(), *points(1, 2))
        found.append(run_id)
    return found


def ended(store: Store, run_id: str, *events: Event, code: int | None = 0) -> tuple[str, int]:
    """What its processes leave behind."""
    write(store, run_id, 1, *events)
    text = json.dumps({"attempt": 1, "t": time.time(), "code": code, "signal": None if code is not None else 9})
    (store.settings.run_dir(run_id) / exit_name(1)).write_text(text)
    return run_id, 1


def test_ends_of_several_runs_are_each_what_its_folder_says(own: ExecutorStore, store: Store, submit: Submit) -> None:
    good, bad, killed, late, alive = live(store, submit, 5)
    finish(store, late, 1, RunState.LOST, message="x", counted=False)
    keys = [
        ended(store, good, Finished(step=2, best_epoch=1, values={})),
        ended(store, bad, Failed(step=2, kind=FailureKind.OUT_OF_MEMORY, message="Too large."), code=1),
        ended(store, killed, code=None),
        ended(store, late, Finished(step=2, best_epoch=1, values={})),
    ]
    found = own.finish_by_folder(keys)
    assert {run_id: state for (run_id, _), (_, state) in found.items()} == {
        good: RunState.SUCCEEDED, bad: RunState.FAILED, killed: RunState.QUEUED,
    }  # fmt: skip
    runs = {run_id: store.runs.get(run_id) for run_id in (good, bad, killed, late, alive)}
    assert [run.state for run in runs.values()][3:] == [RunState.QUEUED, RunState.STARTING], "late ones change nothing"
    assert [run.step for run in runs.values()] == [2, 2, 2, 0, 0], "their last events were taken in"
    assert [runs[run_id].attempts[0].exit_code for run_id in (good, bad, killed)] == [0, 1, -9]
    assert own.claimed_devices() == {"cpu:4"}
    assert {alert.run_id: alert.kind for alert in store.alerts.list()} == {
        good: "finished", bad: "failed", killed: "lost",
    }  # fmt: skip
    assert [event.subject_id for event in store.events.list() if event.action == "requeued"] == [killed, late]
    infos = {run_id: read_info(store.settings.run_dir(run_id))["row"]["state"] for run_id in runs}
    assert infos == {run_id: run.state.value for run_id, run in runs.items()}, "the folders have it, too"
    assert own.finish_by_folder(keys) == {}, "each ends once"


def test_an_end_that_is_cut_off_changes_nothing_and_comes_again(
    own: ExecutorStore, store: Store, submit: Submit, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The daemon dies just before the commit, when the folders are written."""
    keys = [ended(store, run_id, Stopped(step=2)) for run_id in live(store, submit, 3)]

    def dies(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Session, "commit", dies)
        patch.setattr(SessionTransaction, "commit", dies)
        patch.setattr(folder_rows, "_undo", lambda _: None)  # nobody is left who could
        with pytest.raises(KeyboardInterrupt):
            own.finish_by_folder(keys)
    assert len(own.claimed_devices()) == 3
    assert {store.runs.get(run_id).state for run_id, _ in keys} <= {RunState.STARTING, RunState.RUNNING}
    assert {state for _, state in own.finish_by_folder(keys).values()} == {RunState.STOPPED}
    assert own.claimed_devices() == set()
    assert [store.runs.get(run_id).attempts[0].state for run_id, _ in keys] == [RunState.STOPPED] * 3


def test_ends_share_their_statements(own: ExecutorStore, store: Store, submit: Submit) -> None:
    asked: list[str] = []
    event.listen(store.database.engine, "before_cursor_execute", lambda _, __, statement, *___: asked.append(statement))
    counts = []
    for first, count in ((0, 1), (1, 12)):
        runs = live(store, submit, count, first)
        keys = [ended(store, run_id, Finished(step=2, best_epoch=1, values={})) for run_id in runs]
        asked.clear()
        assert len(own.finish_by_folder(keys)) == count
        counts.append(len(asked))
    assert counts[1] <= counts[0], counts


def test_a_forgotten_host_gives_its_runs_back_to_the_queue(own: ExecutorStore, store: Store, submit: Submit) -> None:
    run_id = submit()
    claim(store)
    own.note([Noted(run_id, 1, ProcessIdentity.current(), 7, ["cpu:0"])])
    assert [attempt.pid for _, attempt in own.live_runs()] == [7]
    own.forget_host(own.live_runs())
    run = store.runs.get(run_id)
    assert (run.state, run.attempts[0].state) == (RunState.QUEUED, RunState.LOST)
    assert (own.beats(), own.claimed_devices(), own.live_runs()) == ({}, set(), [])
    assert store.runs.lost_attempts(run_id) == 0, "a lost host is not the run's fault"

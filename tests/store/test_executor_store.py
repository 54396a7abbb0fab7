"""The daemon's own queries: its row, claims, the end of a host. As two hosts would call them."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
from store_steps import claim, points, started, write

from imgcls_lab.events import RunState, Stopped
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.store import Store
from imgcls_lab.store.cluster import Cluster, Waiting
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from imgcls_lab.store.fair_share import Shares

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
    ended = own.finish_by_folder(claimed.run, 1)
    assert ended is not None
    assert (ended[0].state, ended[1]) == (RunState.STOPPED, RunState.STOPPED)
    assert (store.runs.get(run_id).step, own.claimed_devices()) == (3, set())
    assert own.finish_by_folder(claimed.run, 1) is None, "it lives no more"


def test_a_forgotten_host_gives_its_runs_back_to_the_queue(own: ExecutorStore, store: Store, submit: Submit) -> None:
    run_id = submit()
    claim(store)
    own.set_owner(run_id, 1, ProcessIdentity.current(), 7)
    assert [attempt.pid for _, attempt in own.live_runs()] == [7]
    own.forget_host(own.live_runs())
    run = store.runs.get(run_id)
    assert (run.state, run.attempts[0].state) == (RunState.QUEUED, RunState.LOST)
    assert (own.beats(), own.claimed_devices(), own.live_runs()) == ({}, set(), [])
    assert store.runs.lost_attempts(run_id) == 0, "a lost host is not the run's fault"

"""Sweeps of two users on one PostgreSQL: the same trial of both is one run, unless it is another user's to resume."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from imgcls_lab.batch.trial_runs import TrialRuns
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.schemas import SubmitRequest, SweepRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

BASE = {"root": "/data/digits", "model_flavour": "tiny", "threads": 1}
REQUEST = SweepRequest(base=BASE, space={"lr": {"values": [0.1]}})


def trials(store: Store) -> TrialRuns:
    payload = {"request": REQUEST.model_dump(mode="json")}
    sweep = store.runs.submit(SubmitRequest(kind=RunKind.SWEEP, payload=payload, name="sweep"))
    return TrialRuns(store, store.runs.get(sweep.id), REQUEST)


def test_what_another_user_has_left_is_queued_as_ones_own(
    postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = postgres.url()
    stores = {}
    for user in ("ada", "bob"):
        monkeypatch.setenv("JUPYTERHUB_USER", user)
        stores[user] = Store.open(Settings(home=str(tmp_path / user), db_url=url), migrate=True, way="sweep")
    ada, bob = stores["ada"], stores["bob"]
    of_ada, of_bob = trials(ada), trials(bob)
    params, identity = {"lr": 0.1}, "0" * 64
    first = of_ada.begin(params, identity, None)
    assert of_bob.begin(params, identity, of_bob.find(identity)).id == first.id, "it waits, so both wait for it"
    ada.runs.set_desired_state(first.id, DesiredState.STOP)
    left = of_bob.find(identity)
    assert left is not None
    assert (left.state, left.may_change) == (RunState.CANCELLED, False)
    own = of_bob.begin(params, identity, left)
    assert (own.owner, own.state, own.id == first.id) == ("bob", RunState.QUEUED, False)
    assert of_bob.begin(params, identity, left).id == own.id, "a driver that was killed asks again"
    bob.runs.set_desired_state(own.id, DesiredState.STOP)
    again = of_bob.find(identity)
    assert again is not None
    assert again.id == own.id
    assert of_bob.begin(params, identity, again).state is RunState.QUEUED
    assert ada.runs.get(first.id).state is RunState.CANCELLED
    assert ada.runs.get(own.id).owner == "bob"
    for store in stores.values():
        store.close()

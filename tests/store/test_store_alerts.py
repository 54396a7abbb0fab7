"""Alerts that a user has seen are put away, for this user alone, and come back; those of a sweep's trials name it."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlmodel import select

from imgcls_lab.errors import InputError
from imgcls_lab.schemas import AlertIds, AlertKind, SubmitRequest
from imgcls_lab.schemas.limits import MAX_ALERTS
from imgcls_lab.server.request_parsing import read_model
from imgcls_lab.store import Store, alerts
from imgcls_lab.store.tables import AlertDismissal

CONFIG = {"root": "/data/digits", "model_flavour": "tiny"}


def tell(store: Store, alert_id: str, kind: AlertKind = "disk", run_id: str | None = None) -> None:
    with store.database.write() as session:
        alerts.add(session, alert_id, kind, f"About {alert_id}.", host="here", run_id=run_id)


def shown(store: Store) -> dict[str, bool]:
    """Each alert, and whether the user has put it away."""
    return {alert.id: alert.dismissed for alert in store.alerts.list()}


def test_what_is_put_away_stays_so_until_it_is_taken_back(store: Store) -> None:
    for name in ("a", "b", "c"):
        tell(store, name)
    assert store.alerts.dismiss(["a", "c", "gone", "a"]).ids == ["a", "c"]
    assert shown(store) == {"a": True, "b": False, "c": True}
    assert store.alerts.dismiss(["a", "b"]).ids == ["b"], (
        "only what changes is said, so that an undo brings back no more"
    )
    assert store.alerts.restore(["b", "c", "gone"]).ids == ["b", "c"]
    assert shown(store) == {"a": True, "b": False, "c": False}
    with Store.open(store.settings) as later:
        assert shown(later) == shown(store)


def test_other_pages_hear_of_it(store: Store) -> None:
    tell(store, "a")
    _, since = store.alerts.since(None)
    store.alerts.dismiss(["a"])
    batch, since = store.alerts.since(since)
    assert (batch.alerts, batch.dismissed, batch.restored) == ([], ["a"], [])
    tell(store, "b")
    store.alerts.restore(["a"])
    batch, since = store.alerts.since(since)
    assert ([alert.id for alert in batch.alerts], batch.dismissed, batch.restored) == (["b"], [], ["a"])
    assert store.alerts.since(since)[0].restored == []


def test_what_one_user_puts_away_another_still_sees(team: Callable[[str], Store]) -> None:
    ada, bob = team("ada"), team("bob")
    tell(ada, "a")
    _, since = bob.alerts.since(None)
    ada.alerts.dismiss(["a"])
    assert (shown(ada), shown(bob)) == ({"a": True}, {"a": False})
    assert bob.alerts.since(since)[0].dismissed == []
    assert bob.alerts.restore(["a"]).ids == [], "bob takes nothing back that ada has put away"
    assert shown(ada) == {"a": True}


def test_an_alert_that_is_dropped_takes_its_marks_along(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alerts, "KEPT", 2)
    for name in ("a", "b", "c", "d"):
        tell(store, name)
    store.alerts.dismiss(["a", "d"])
    with store.database.write() as session:
        alerts.prune(session)
    assert shown(store) == {"d": True, "c": False}
    with store.database.read() as session:
        assert session.exec(select(AlertDismissal.alert_id)).all() == ["d"]


@pytest.mark.parametrize("ids", [[], ["a"] * (MAX_ALERTS + 1), [""], ["a" * 301]])
def test_a_request_is_bounded(ids: list[str]) -> None:
    with pytest.raises(InputError):
        read_model(AlertIds, {"ids": ids})


def test_an_alert_of_a_trial_names_its_sweep(store: Store, submit: Callable[..., str]) -> None:
    sweep, parent = submit("lr and decay"), submit("a parent")
    trial, child = (
        store.runs.submit(SubmitRequest(config=CONFIG, name="trial", parent_id=of)).id for of in (sweep, parent)
    )
    with store.database.connection() as connection:
        connection.exec_driver_sql(f"UPDATE runs SET kind = 'sweep' WHERE id = '{sweep}'")
    for run in (sweep, trial, child):
        tell(store, f"{run}-1-end", "failed", run)
    found = {alert.run_id: (alert.sweep_id, alert.sweep_name) for alert in store.alerts.list()}
    assert found == {sweep: (None, None), trial: (sweep, "lr and decay"), child: (None, None)}

    def listed(where: str) -> set[str]:
        return {run.id for run in store.runs.list(where=where).items}

    assert listed('sweep=""') == {sweep, parent, child}
    assert listed('sweep!=""') == listed(f"sweep={sweep}") == {trial}

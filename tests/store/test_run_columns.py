"""Columns of a list: values of configs and metrics, sorted by any of them, small curves, and which there are."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from store_steps import checkpoint, claim, epoch, feed, points, started

from imgcls_lab.errors import InputError
from imgcls_lab.events import EpochEnded
from imgcls_lab.run_query import COLUMNS, CONFIG
from imgcls_lab.schemas.limits import MAX_COLUMNS, MAX_CURVE
from imgcls_lab.store import Store, queries

Submit = Callable[..., str]


def listed(store: Store, sort: str, **asked: object) -> list[str]:
    return [run.name for run in store.runs.list(sort=sort, **asked).items]


def test_a_list_has_the_columns_that_it_is_asked_for(store: Store, submit: Submit) -> None:
    run_id = submit("trained", config={"weight_decay": 0.01, "optimizer": "sgd"})
    submit("waits", config={"optimizer": "lion"})
    claim(store)
    feed(store, run_id, 1, started(), *points(1, 10), epoch(1, 0.9), epoch(2, 0.8, best=False))
    asked = ["optimizer", "metric/accuracy", "best/metric/accuracy", "state", "freeze_backbone"]
    first, second = store.runs.list(sort="name", descending=False, columns=asked).items
    assert first.values == {
        "optimizer": "sgd", "metric/accuracy": 0.8, "best/metric/accuracy": 0.9, "freeze_backbone": False
    }  # fmt: skip
    assert second.values == {"optimizer": "lion", "freeze_backbone": False}
    assert [run.values for run in store.runs.list().items] == [{}, {}]
    with pytest.raises(InputError, match="optimizer"):
        store.runs.list(columns=["optimiser"])
    with pytest.raises(InputError, match=str(MAX_COLUMNS)):
        store.runs.list(columns=["lr"] * (MAX_COLUMNS + 1))


def test_a_list_is_sorted_by_any_column(store: Store, submit: Submit) -> None:
    ids = [submit(name, config={"optimizer": name, "weight_decay": decay}, tags=[name]) for name, decay in (
        ("lion", 0.5), ("adamw", 0.0), ("sgd", 0.05),
    )]  # fmt: skip
    submit("no metric", config={"optimizer": "rmsprop"})
    for number, run_id in enumerate(ids[:3]):
        claim(store, f"cpu:{number}")
        feed(store, run_id, 1, started(), epoch(1, 0.5 + number / 10), epoch(2, 0.8 - number / 10, best=False))
    assert listed(store, "optimizer", descending=False) == ["adamw", "lion", "no metric", "sgd"]
    assert listed(store, "weight_decay", where="weight_decay>=0")[0] == "lion"
    assert listed(store, "metric/accuracy") == ["lion", "adamw", "sgd", "no metric"]
    assert listed(store, "best/metric/accuracy", where="best/metric/accuracy>0.7", limit=1) == ["lion"]
    assert listed(store, "tag", descending=False) == ["adamw", "lion", "sgd", "no metric"]
    assert listed(store, "metric/accuracy", limit=2, offset=2) == ["sgd", "no metric"]
    for key in {*COLUMNS, *CONFIG, "metric/x", "best/loss/val"} - {"archived"}:
        for where in ("", "lr>0"):
            assert store.runs.list(sort=key, where=where, limit=3).total == 4, key
    for wrong in ("archived", "config", "metric", "best/lr", ""):
        with pytest.raises(InputError):
            store.runs.list(sort=wrong)
    order = queries.RunOrder("name", descending=False)
    assert store.run_lists.ids(queries.filter_of("metric/accuracy!=none"), order).ids == sorted(
        ids, key=lambda run_id: store.runs.get(run_id).name
    )


def test_what_a_resume_takes_back_is_no_best_value(store: Store, submit: Submit) -> None:
    run_id = submit()
    claim(store)
    feed(store, run_id, 1, started(), epoch(1, 0.5), checkpoint(store, run_id, 1, 10, "last"), epoch(2, 0.9))
    assert store.runs.list(columns=["best/metric/accuracy"]).items[0].values == {"best/metric/accuracy": 0.9}
    with store.database.write() as session:
        from imgcls_lab.store import states
        from imgcls_lab.store.tables import Attempt

        states.change_run(session, run_id, attempt=2)
        session.add(Attempt(run_id=run_id, number=2, state="starting", devices=[], started_at=2.0))
    feed(store, run_id, 2, started(resume_step=10))
    assert store.runs.list(columns=["best/metric/accuracy"]).items[0].values == {"best/metric/accuracy": 0.5}


def test_each_run_of_a_page_has_a_small_curve_of_the_metric_that_it_watches(store: Store, submit: Submit) -> None:
    long, short, lower = submit("long"), submit("short"), submit("lower", config={"monitor_metric": "loss"})
    submit("waits")
    for number in range(3):
        claim(store, f"cpu:{number}")
    feed(store, long, 1, started(), *(epoch(number, number / 1000) for number in range(1, 201)))
    feed(store, short, 1, started(), epoch(1, 0.5), epoch(2, 0.25))
    lost = [
        EpochEnded(step=10 * n, epoch=n, seconds=1, values={"loss/val": value, "metric/accuracy": 0.1}, best=True)
        for n, value in ((1, 2.0), (2, float("nan")), (3, 1.0))
    ]
    feed(store, lower, 1, started(), *lost)
    curves = {run.name: run.curve for run in store.runs.list(curves=True).items}
    assert (curves["short"], curves["lower"], curves["waits"]) == ([0.5, 0.25], [2.0, 1.0], [])
    assert len(curves["long"]) <= MAX_CURVE
    assert (curves["long"][0], curves["long"][-1]) == (0.001, 0.2)
    assert curves["long"] == sorted(curves["long"])
    steps = [after - before for before, after in zip(curves["long"][1:], curves["long"][2:], strict=False)]
    assert max(steps) < 1.5 * min(steps), "its points lie evenly"
    assert not any(run.curve for run in store.runs.list().items)


def test_all_columns_are_those_of_the_query_with_the_labels_of_the_form(store: Store, submit: Submit) -> None:
    run_id = submit(tags=["a", "b"])
    submit(tags=["a"])
    claim(store)
    feed(store, run_id, 1, started(), *points(1, 2), epoch(1, 0.5))
    found = store.run_lists.columns()
    keys = [column.key for column in found.columns]
    assert len(keys) == len(set(keys))
    assert {*CONFIG, *COLUMNS} - {"repetition", "sweep", "lineage"} <= set(keys)
    by_key = {column.key: column for column in found.columns}
    assert (by_key["weight_decay"].label, by_key["weight_decay"].group) == ("Weight decay", "optimisation")
    assert (by_key["metric/accuracy"].kind, by_key["loss/train"].kind) == ("fraction", "number")
    assert "best/metric/accuracy" in by_key
    assert "best/loss/train" not in by_key
    assert {column.group for column in found.columns} <= set(found.groups)
    assert [(count.tag, count.runs) for count in found.tags] == [("a", 2), ("b", 1)]
    for key in keys:
        store.runs.list(columns=[key], sort="created" if key == "archived" else key)

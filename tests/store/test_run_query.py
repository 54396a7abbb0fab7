"""The language of `runs --where`: what it finds on SQLite and on PostgreSQL, and what it says of a wrong query."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import update
from sqlmodel import col
from store_steps import claim, epoch, feed, finish, points, started

from imgcls_lab.errors import InputError
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.run_query import parse
from imgcls_lab.schemas import ProjectEdit, RunEdit
from imgcls_lab.store import Store
from imgcls_lab.store.tables import Run

NOW = 1_795_000_000.0


@pytest.fixture
def found(store: Store, submit: Callable[..., str]) -> Callable[[str], list[str]]:
    """Three runs; the names of those that a query finds."""
    project = store.projects.add(ProjectEdit(name="birds")).id
    submit("small", config={"lr": 0.001, "optimizer": "sgd", "epochs": 3})
    submit("large", config={"lr": 0.01, "batch_size": 128, "freeze_backbone": True}, project_id=project)
    noted = submit("50% off", config={"lr": 0.1, "monitor_metric": "loss"})
    store.runs.edit(noted, RunEdit(notes="a second try, with warm-up"))

    def names(where: str) -> list[str]:
        page = store.runs.list(where=where, sort="name", descending=False)
        assert page.total == len(page.items)
        return [run.name for run in page.items]

    return names


FINDS = [
    ("", ["50% off", "large", "small"]),
    ("lr>1e-3", ["50% off", "large"]),
    ("lr>=0.001 lr<0.1", ["large", "small"]),
    ("batch_size=128", ["large"]),
    ("project=birds", ["large"]),
    ("project!=birds state=queued", ["50% off", "small"]),
    ("state=ended", []),
    ("state=live,queued", ["50% off", "large", "small"]),
    ("state!=queued", []),
    ("name=s*", ["small"]),
    ("name=SMALL,large", ["large", "small"]),
    ("name:%", ["50% off"]),
    ("name=%", []),
    ('name="50% off"', ["50% off"]),
    ("notes:warm-up", ["50% off"]),
    ('"second try" off', ["50% off"]),
    ("nothing", []),
    ("optimizer=sgd", ["small"]),
    ("optimizer=SGD,lion", ["small"]),
    ("optimizer:gd", ["small"]),
    ("freeze_backbone=true", ["large"]),
    ("freeze_backbone!=true", ["50% off", "small"]),
    ("epochs=3", ["small"]),
    ("epochs>3", ["50% off", "large"]),
    ("epochs!=3", ["50% off", "large"]),
    ("monitor_metric!=loss", ["large", "small"]),
    ("optimizer>3", []),
    ("best=none", ["50% off", "large", "small"]),
    ("best!=none", []),
    ("created>today", ["50% off", "large", "small"]),
    ("created=today", ["50% off", "large", "small"]),
    ("created:yesterday", []),
    ("created<1h", []),
    ("created>2w ran<1h", []),
    ("metric/accuracy>0", []),
]


def test_what_a_query_finds(found: Callable[[str], list[str]]) -> None:
    assert {where: found(where) for where, _ in FINDS} == dict(FINDS)


def test_metrics_and_the_best_are_compared(store: Store, submit: Callable[..., str]) -> None:
    run_id = submit("trained")
    submit("waits")
    claim(store)
    feed(store, run_id, 1, started(), *points(1, 10), epoch(1, 0.75))
    finish(store, run_id, 1, RunState.STOPPED)
    for where in ("best>=75%", "best>0.7 best<0.8", "metric/accuracy=0.75", "epoch>=1 ran>=0s", f"id={run_id}"):
        assert [run.name for run in store.runs.list(where=where).items] == ["trained"], where
    assert [run.name for run in store.runs.list(where="metric/accuracy!=0.75").items] == ["waits"]
    assert store.runs.list(where="loss/nothing<1").total == 0


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("lerning_rate>1", ["lerning_rate", "config"]),
        ("optimiser=sgd", ["optimizer"]),
        ("lr>fast", ["lr", "fast"]),
        ("lr>inf", ["finite"]),
        ("lr:1", ["lr="]),
        ("state=done", ["done", "succeeded"]),
        ("state>queued", ["state"]),
        ("name>b", ["name:TEXT"]),
        ("created=7d", ["created=today", "created>"]),
        ("started!=today", ["started=today"]),
        ("created>soon", ["created", "soon", "2026-11-29"]),
        ("ran>long", ["2h"]),
        ('name="open', ["quote"]),
        ("a " * 30, ["20 terms"]),
        ("a" * 2000, ["1000 characters"]),
    ],
)
def test_a_wrong_query_is_a_sentence(where: str, words: list[str]) -> None:
    with pytest.raises(InputError) as refused:
        parse(where)
    assert all(word in str(refused.value) for word in words), str(refused.value)


def test_times_count_back_from_now() -> None:
    assert parse("created>7d", NOW)[0].value == NOW - 7 * 86_400
    assert parse("ran>1.5h", NOW)[0].value == 5400
    assert [(term.op, term.value) for term in parse("created=2026-11-29")] == [
        (">=", datetime(2026, 11, 29).timestamp()), ("<", datetime(2026, 11, 30).timestamp())
    ]  # fmt: skip
    today, yesterday = (parse(f"created>{day}", NOW)[0].value for day in ("today", "yesterday"))
    assert isinstance(today, float)
    assert isinstance(yesterday, float)
    assert 0 <= NOW - today < 86_400 + 3600
    assert 82_000 < today - yesterday < 91_000


def test_a_name_with_wild_cards_of_sql_is_taken_as_it_is(store: Store, submit: Callable[..., str]) -> None:
    for name in ("a_b", "axb", "a/b", "a\\b"):
        submit(name)
    for name in ("a_b", "a/b", "a\\b"):
        text = name.replace("\\", "\\\\")
        assert [run.name for run in store.runs.list(where=f'name="{text}"').items] == [name]


def test_tags_size_and_archived_runs_are_found(store: Store, submit: Callable[..., str]) -> None:
    first = submit("first", tags=["seed", "v1.2", "Übung"])
    second = submit("second", tags=["baseline"])
    submit("third")
    store.runs.set_desired_state(second, DesiredState.STOP)
    store.runs.edit(second, RunEdit(archived=True))
    with store.database.write() as session:
        session.execute(update(Run).where(col(Run.id) == first).values(size=1_500_000_000))

    def names(where: str) -> list[str]:
        return [run.name for run in store.runs.list(where=where, sort="name", descending=False).items]

    finds = {
        "tag:see": ["first"], "tag=see": [], "tag=SEED": ["first"], "tag=see*": ["first"], "tag=Übung": ["first"],
        "tag!=seed": ["third"], "tag=none": ["third"], "tag!=none": ["first"], "tag=baseline": [],
        "tag=baseline archived=true": ["second"], "archived=any": ["first", "second", "third"],
        "tag=seed,baseline archived=any": ["first", "second"], "archived!=true": ["first", "third"],
        "size>1GB": ["first"], "size>1.5GiB": [], "size=1500MB": ["first"], "size=none": ["third"],
    }  # fmt: skip
    assert {where: names(where) for where in finds} == finds
    assert store.runs.list().counts == {RunState.QUEUED: 2}
    assert store.runs.list(where="archived=true").counts == {RunState.CANCELLED: 1}

"""Views that a user has saved: bounded, checked, in the user's order, and nobody else's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from imgcls_lab.errors import ConflictError, InputError, NotFoundError
from imgcls_lab.events import DesiredState
from imgcls_lab.schemas import ListView, RunEdit, SavedViewEdit
from imgcls_lab.schemas.limits import MAX_VIEWS
from imgcls_lab.store import Store


def edit(name: str, where: str = "", **view: object) -> SavedViewEdit:
    position = view.pop("position", None)
    return SavedViewEdit(name=name, view=ListView(where=where, **view), position=position)


def test_a_view_is_saved_changed_and_deleted(store: Store) -> None:
    first = store.views.save(edit("fast", "lr>1e-3", columns=["optimizer", "best/metric/accuracy"], group=["seeds"]))
    second = store.views.save(edit("all"))
    assert [(view.name, view.position) for view in store.views.list()] == [("fast", 0), ("all", 1)]
    assert first.view == ListView(where="lr>1e-3", columns=["optimizer", "best/metric/accuracy"], group=["seeds"])
    moved = store.views.save(edit("slow", "lr<1e-3", sort="size", position=5), first.id)
    assert (moved.id, moved.view.sort, moved.updated_at >= first.updated_at) == (first.id, "size", True)
    assert [view.name for view in store.views.list()] == ["all", "slow"]
    with pytest.raises(ConflictError):
        store.views.save(edit("all"))
    store.views.delete(second.id)
    with pytest.raises(NotFoundError, match="slow"):
        store.views.find("all")
    assert store.views.find("slow").id == first.id


@pytest.mark.parametrize("wrong", [edit("x", "lr>>1"), edit("x", columns=["no"]), edit("x", sort="no")])
def test_a_view_that_no_list_can_show_is_refused(store: Store, wrong: SavedViewEdit) -> None:
    with pytest.raises(InputError):
        store.views.save(wrong)
    assert store.views.list() == []


def test_a_user_saves_so_many_views_and_no_more(sqlite: Store) -> None:
    for number in range(MAX_VIEWS):
        sqlite.views.save(edit(f"view {number}"))
    with pytest.raises(InputError) as refused:
        sqlite.views.save(edit("one more"))
    assert refused.value.reason == "many_views"


def test_how_many_runs_a_view_finds_is_what_its_list_shows(store: Store, submit: Callable[..., str]) -> None:
    for lr in (0.001, 0.01, 0.1):
        submit(config={"lr": lr})
    archived = submit(config={"lr": 0.2})
    store.runs.set_desired_state(archived, DesiredState.STOP)
    store.runs.edit(archived, RunEdit(archived=True))
    views = [store.views.save(edit(where or "all", where)) for where in ("", "lr>0.005", "lr>0.005 archived=any")]
    found = [(view.id, store.runs.list(where=view.view.where).total) for view in views]
    assert [(count.id, count.runs) for count in store.views.counts()] == found
    assert [total for _, total in found] == [3, 2, 3]


def test_views_are_their_users_alone(team: Callable[[str], Store]) -> None:
    ada, bob = team("ada"), team("bob")
    own = ada.views.save(edit("mine"))
    assert bob.views.list() == []
    assert bob.views.save(edit("mine")).id != own.id
    for call in (lambda: bob.views.delete(own.id), lambda: bob.views.save(edit("taken"), own.id)):
        with pytest.raises(NotFoundError):
            call()
    assert [view.name for view in ada.views.list()] == ["mine"]

"""Runs beside each other: in what they differ, whatever kind they are of, and what is gone or not recorded."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from store_steps import checkpoint, claim, epoch, feed, finish, started

from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.schemas import ComparisonView, SubmitRequest
from imgcls_lab.schemas.limits import MAX_COMPARED
from imgcls_lab.store import Store
from imgcls_lab.store.comparison import MAX_PACKAGES

GONE = "20260101-000000-abcdef"


def manifest(store: Store, run_id: str, **changes: Any) -> None:
    """What the engine writes of a run, as far as it is compared."""
    facts: dict[str, Any] = {
        "python": {"version": "3.12.1"},
        "packages": {"torch": "2.5.1", "numpy": "2.1.0", "attrs": "24.1"},
        "git": {"commit": "a41f09c0000", "diff": "", "diff_cut": False},
        "data": {"fingerprint": "11112222", "train_images": 6806, "val_images": 1000, "test_images": 0},
        "hardware": {"gpu": "NVIDIA H100"},
        "precision": "bf16",
        "classes": ["cat", "dog"],
        "plugins": [],
    }
    folder = store.settings.run_dir(run_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / "manifest.json").write_text(json.dumps(facts | changes))


def rows(found: ComparisonView) -> dict[tuple[str, str], list[Any]]:
    return {(field.part, field.name): field.values for field in found.differs}


def test_what_differs_is_told_by_part_and_under_the_forms_titles(store: Store, submit: Callable[..., str]) -> None:
    first, second = submit(config={"lr": 1e-3}), submit(config={"lr": 4e-4, "label_smoothing": 0.1})
    manifest(store, first)
    diff = "diff --git a/augment.py b/augment.py\n--- a/augment.py\n+++ b/augment.py\n+one\n+two\n-three\n"
    manifest(
        store, second,
        packages={"torch": "2.6.0", "numpy": "2.1.0", "zarr": "3.0"},
        git={"commit": "e7720d30000", "diff": diff, "diff_cut": False},
        data={"fingerprint": "33334444", "train_images": 7004, "val_images": 1000, "test_images": 0},
    )  # fmt: skip
    found = store.runs.compare([first, second])
    shown = rows(found)
    assert shown["config", "lr"] == [1e-3, 4e-4]
    assert shown["environment", "torch"] == ["2.5.1", "2.6.0"]
    assert shown["environment", "zarr"] == ["not installed", "3.0"]
    assert shown["code", "commit"] == ["a41f09c", "e7720d3"]
    assert str(shown["code", "diff"][1]).startswith("1 file, +2 −1")
    assert shown["data", "train_images"] == [6806, 7004]
    assert ("environment", "numpy") not in shown
    assert ("hardware", "device") not in shown
    titles = {field.name: field.title for field in [*found.differs, *found.same]}
    assert (titles["lr"], titles["seed"]) == ("Learning rate", "Seed")
    parts = [field.part for field in found.differs]
    assert parts == sorted(parts, key=["config", "data", "environment", "code", "hardware"].index)
    assert found.other_images
    assert {field.name: field.values[0] for field in found.same}["device"] == "NVIDIA H100"
    settings = len([field for field in found.differs if field.part == "config"]) + found.same_settings
    assert settings > 50


def test_equal_runs_differ_in_nothing(store: Store, submit: Callable[..., str]) -> None:
    first, second = submit(), submit()
    for run_id in (first, second):
        manifest(store, run_id)
    found = store.runs.compare([first, second])
    assert (found.differs, found.other_images, found.unrecorded, found.unlisted) == ([], False, [], 0)


def test_the_order_is_that_of_the_names_and_a_run_that_is_gone_is_told(
    store: Store, submit: Callable[..., str]
) -> None:
    ids = [submit() for _ in range(3)]
    wanted = [ids[2], ids[0], GONE, ids[2]]
    found = store.runs.compare(wanted, strict=False)
    assert [run.id for run in found.runs] == [ids[2], ids[0]]
    assert found.missing == [GONE]
    assert set(found.unrecorded) == {ids[0], ids[2]}  # they wait
    with pytest.raises(NotFoundError):
        store.runs.compare(wanted)


def test_a_run_that_waits_differs_in_its_config_alone(store: Store, submit: Callable[..., str]) -> None:
    first, waits = submit(), submit(config={"seed": 7})
    manifest(store, first)
    found = store.runs.compare([first, waits])
    assert {field.part for field in found.differs} == {"config"}
    assert rows(found)["config", "seed"][1] == 7


def test_a_notebook_has_its_parameters_and_differs_in_no_setting_that_it_does_not_have(
    store: Store, submit: Callable[..., str]
) -> None:
    training = submit(config={"lr": 1e-3})
    payload = {"notebook": "train.ipynb", "parameters": {"lr": 2e-3, "widths": [1, 2]}}
    notebook = store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload=payload)).id
    found = store.runs.compare([training, notebook])
    assert rows(found)["config", "lr"] == [1e-3, 2e-3]
    assert {field.name for field in found.differs if field.part == "config"} == {"lr"}
    other = store.runs.submit(SubmitRequest(kind=RunKind.NOTEBOOK, payload={**payload, "parameters": {"widths": [1]}}))
    assert rows(store.runs.compare([notebook, other.id]))["config", "widths"] == ["1, 2", "1"]


@pytest.mark.parametrize(
    "facts",
    [
        {"packages": ["torch"], "git": "main", "data": None, "hardware": 3, "plugins": {"a": 1}, "classes": "many"},
        {
            "packages": {"torch": {"version": [1]}},
            "data": {"fingerprint": [], "val_images": "x"},
            "precision": {"a": 1},
        },
    ],
)
def test_a_strange_manifest_is_not_known_and_harms_nothing(sqlite: Store, facts: dict[str, Any]) -> None:
    ids = [sqlite.runs.submit(SubmitRequest(config={"root": "/data/digits", "model_flavour": "tiny"})).id for _ in "ab"]
    manifest(sqlite, ids[0])
    manifest(sqlite, ids[1], **facts)
    found = sqlite.runs.compare(ids)
    assert not found.other_images
    assert len(found.runs) == 2


def test_so_many_packages_and_no_more_are_listed(sqlite: Store) -> None:
    ids = [sqlite.runs.submit(SubmitRequest(config={"root": "/data/a", "model_flavour": "tiny"})).id for _ in "ab"]
    for number, run_id in enumerate(ids):
        manifest(sqlite, run_id, packages={"torch": str(number), **{f"p{n:03}": str(number) for n in range(150)}})
    found = sqlite.runs.compare(ids)
    listed = [field.name for field in found.differs if field.part == "environment"]
    assert (len(listed), listed[0], found.unlisted) == (MAX_PACKAGES, "torch", 151 - MAX_PACKAGES)


def test_data_sets_of_one_name_are_told_apart_by_their_paths(sqlite: Store) -> None:
    ids = [
        sqlite.runs.submit(SubmitRequest(config={"root": root, "model_flavour": "tiny"})).id
        for root in ("/data/a/digits", "/data/b/digits")
    ]
    found = sqlite.runs.compare(ids)
    assert rows(found)["data", "root"] == ["/data/a/digits", "/data/b/digits"]
    assert found.other_images


def test_series_and_the_size_of_the_newest_checkpoint_are_told(store: Store, submit: Callable[..., str]) -> None:
    first, second = submit(), submit()
    assert claim(store) is not None
    feed(store, first, 1, started(), checkpoint(store, first, 1, 10, "last"), epoch(1, 0.9))
    finish(store, first, 1, RunState.SUCCEEDED)
    found = store.runs.compare([first, second])
    assert "metric/accuracy" in found.tags
    assert isinstance(found.sizes[0], int)
    assert found.sizes[1] is None
    assert found.runs[0].best is not None


def test_more_than_the_bound_are_refused(sqlite: Store) -> None:
    config = {"root": "/data/digits", "model_flavour": "tiny"}
    ids = [sqlite.runs.submit(SubmitRequest(config=config)).id for _ in range(MAX_COMPARED + 1)]
    assert len(sqlite.runs.compare(ids[:-1]).runs) == MAX_COMPARED
    with pytest.raises(InputError):
        sqlite.runs.compare(ids)

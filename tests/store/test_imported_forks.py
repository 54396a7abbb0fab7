"""Forks out of an archive: their past, their tree, and what they repeat, in a home that has never known them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import CONFIG, fork, past, save, train
from store_steps import epoch, points, started

from imgcls_lab import project_archive
from imgcls_lab.errors import InputError
from imgcls_lab.events import Changed
from imgcls_lab.schemas import ProjectEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild

Homes = Callable[[str], Store]


@pytest.fixture
def homes(tmp_path: Path) -> Homes:
    return lambda name: Store.open(Settings(home=str(tmp_path / name)), migrate=True)


@pytest.fixture
def source(homes: Homes) -> Store:
    """A home with a project of a run, its fork, and a fork of that."""
    store = homes("source")
    project = store.projects.add(ProjectEdit(name="pets")).id
    parent = store.runs.submit(SubmitRequest(config=CONFIG, name="digits", project_id=project)).id
    saved = [
        save(store, parent, 1, 10, "best"),
        save(store, parent, 1, 15, batch=5),
        save(store, parent, 1, 30, "last"),
    ]
    train(
        store, parent, [started(total=30), *points(1, 10), epoch(1, 0.5), *points(11, 30), epoch(3, 0.4, False), *saved]
    )
    child = fork(store, parent, "step 15", epochs=4)
    train(store, child, [started(15, 40), *points(16, 20), save(store, child, 1, 20, "last")])
    grandchild = fork(store, child, "last", epochs=5)
    train(store, grandchild, [started(20, 50), *points(21, 50), epoch(5, 0.7), save(store, grandchild, 1, 50, "last")])
    return store


def named(store: Store, name: str) -> Any:
    (run,) = (run for run in store.runs.list(where="project=pets").items if run.name == name)
    return run


def carried(source: Store, target: Store, place: Path) -> list[str]:
    source.project_exports.write(source.projects.find("pets").id, place, checkpoints="all")
    return target.project_imports.read(place).runs


NAMES = ("digits", "digits, to 4 epochs", "digits, to 5 epochs")
OF_TREE = ("id", "parent_id", "lineage", "fork_step", "fork_epoch", "repetition")


def test_a_tree_comes_out_of_its_file_as_it_was(source: Store, homes: Homes, tmp_path: Path) -> None:
    target = homes("target")
    runs = carried(source, target, tmp_path / "pets.tar")
    before, after = ([named(store, name) for name in NAMES] for store in (source, target))
    for one, other in zip(before, after, strict=True):
        assert {name: getattr(one, name) for name in OF_TREE} == {name: getattr(other, name) for name in OF_TREE}
        curves = [store.metrics.series([one.id], None).inherited for store in (source, target)]
        assert curves[0] == curves[1]
        assert [run.id for run in target.runs.lineage(one.id)] == runs
    child, grandchild = after[1:]
    assert past(target, child.id) == [*range(1, 16)]
    assert past(target, grandchild.id) == [*range(1, 21)]
    assert child.fork_epoch == 1.5

    target.runs.delete(after[0].id)
    target.runs.delete(child.id)
    assert past(target, grandchild.id) == [*range(1, 21)]
    target.close()
    assert target.database.file is not None
    target.database.file.unlink()
    rebuild(target.settings)
    with Store.open(target.settings) as fresh:
        assert past(fresh, grandchild.id) == [*range(1, 21)]
        assert fresh.runs.get(grandchild.id).fork_step == 20


def test_a_fork_whose_parent_stays_behind_has_its_past(source: Store, homes: Homes, tmp_path: Path) -> None:
    first, child, last = (named(source, name) for name in NAMES)
    source.runs.delete(child.id)
    target = homes("target")
    carried(source, target, tmp_path / "pets.tar")
    orphan = target.runs.get(last.id)
    assert (orphan.parent_id, orphan.fork_step, orphan.lineage) == (None, 20, first.id)
    assert past(target, last.id) == [*range(1, 21)]
    assert {run.id for run in target.runs.lineage(first.id)} == {first.id, last.id}


def test_the_past_is_that_of_the_folder_and_not_of_a_run_with_the_parent_s_id(
    source: Store, homes: Homes, tmp_path: Path
) -> None:
    first, child, _ = (named(source, name) for name in NAMES)
    events = source.settings.run_dir(child.id) / "parent/01/events-001.jsonl"
    lines = events.read_text().splitlines(keepends=True)
    events.unlink()  # it is a link to the parent's
    events.write_text("".join(line for line in lines if '"step":7,' not in line))
    target = homes("target")
    carried(source, target, tmp_path / "pets.tar")
    assert 7 in next(one.step for one in target.metrics.series([first.id], ["loss/train"]).series)
    assert past(target, child.id) == [step for step in range(1, 16) if step != 7]


def test_without_checkpoints_no_weights_of_a_parent_go_along(source: Store, homes: Homes, tmp_path: Path) -> None:
    project = source.projects.find("pets").id
    weights = {}
    for kept in ("all", "none"):
        source.project_exports.write(project, tmp_path / f"{kept}.tar", checkpoints=kept)
        with project_archive.opened(tmp_path / f"{kept}.tar") as reader:
            paths = [file.path for run in reader.contents.runs for file in run.files]
            weights[kept] = {path.split("/")[0] for path in paths if path.endswith(".safetensors")}
    assert weights == {"all": {"checkpoints", "parent"}, "none": set()}
    target = homes("target")
    target.project_imports.read(tmp_path / "none.tar")
    assert past(target, named(target, NAMES[2]).id) == [*range(1, 21)]


@pytest.mark.parametrize("damage", [{"step": 10**400}, {"step": -1}, {"history": [{"file": "../../x"}]}, None])
def test_a_parent_that_cannot_be_read_is_refused(
    source: Store, homes: Homes, tmp_path: Path, damage: dict[str, Any] | None
) -> None:
    path = source.settings.run_dir(named(source, NAMES[1]).id) / "parent.json"
    path.write_text("[" * 100 if damage is None else json.dumps({**json.loads(path.read_text()), **damage}))
    target = homes("target")
    with pytest.raises(InputError, match=r"goes on from cannot be read \(parent.json\)"):
        carried(source, target, tmp_path / "pets.tar")
    assert target.runs.list().total == 0


def test_a_replicate_that_was_changed_repeats_no_run_of_the_other_home(
    source: Store, homes: Homes, tmp_path: Path
) -> None:
    project = source.projects.find("pets").id
    for name, field in (("changed", "lr"), ("logged", "log_every")):
        run = source.runs.submit(SubmitRequest(config=CONFIG, name=name, project_id=project)).id
        change = Changed(number=1, step=12, epoch=1.2, field=field, old=1, new=2, epochs=3, total_steps=30)
        train(
            source, run, [started(total=30), *points(1, 12), change, *points(13, 30), save(source, run, 1, 30, "last")]
        )
    target = homes("target")
    carried(source, target, tmp_path / "pets.tar")
    alike = named(target, "digits").repetition
    assert alike
    assert [named(target, name).repetition for name in ("changed", "logged")] == ["", alike]

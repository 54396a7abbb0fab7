"""Which runs belong together when images are looked at, and what the data set knows of an image since."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from store_steps import claim, epoch, feed, started

from imgcls_lab.analysis.one_image import Wanted
from imgcls_lab.errors import ForbiddenPathError, InputError
from imgcls_lab.row_file import RowFile
from imgcls_lab.schemas import ChangeEdit, DatasetEdit, EvaluatedQuery, RevisionEdit, SubmitRequest
from imgcls_lab.store import Store
from tests.analysis.made import MadeRun, image_id, made, names_of

CLASSES = ["cat", "dog"]
NAMES = [f"val/{label}/{number}.png" for label in CLASSES for number in range(3)]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data set in which each file holds its own name, so that its id is that of the name."""
    for name in ["train/cat/0.png", "train/dog/0.png", *NAMES]:
        path = tmp_path / "pets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    return tmp_path / "pets"


def run(store: Store, root: Path, name: str, *, seed: int, parent: str | None = None, **config: object) -> str:
    """A run that has evaluated one epoch."""
    asked = {"root": str(root), "model_flavour": "tiny", **config}
    run_id = store.runs.submit(SubmitRequest(config=asked, name=name, parent_id=parent)).id
    claim(store, f"cpu:{seed}")
    feed(store, run_id, 1, started(), epoch(1, 0.5))
    _, probs = made(6, 2, seed=seed, sure=0)
    MadeRun(store.settings.run_dir(run_id), CLASSES).write([0, 0, 0, 1, 1, 1], probs, names=NAMES)
    return run_id


def test_a_run_is_compared_with_the_one_that_it_was_continued_from(sqlite: Store, root: Path) -> None:
    first = run(sqlite, root, "first", seed=1)
    child = run(sqlite, root, "child", seed=2, parent=first)
    model = sqlite.settings.run_dir(child) / "checkpoints" / "best"
    by_path = run(sqlite, root, "by path", seed=3, model_flavour=str(model))
    assert sqlite.evaluations.flips(child).against == first
    assert sqlite.evaluations.flips(by_path).against == child
    assert sqlite.evaluations.flips(child, by_path).against == by_path
    with pytest.raises(InputError) as refused:
        sqlite.evaluations.flips(first)
    assert refused.value.reason == "no_parent"
    story = sqlite.evaluations.image(by_path, Wanted(image_id(NAMES[0]), "val"))
    assert [each.run_id for each in story.biography] == [first, child, by_path]
    assert [(each.name, each.relation) for each in story.others] == [("child", "parent"), ("first", "")]
    others = sqlite.evaluations.image(first, Wanted(image_id(NAMES[0]), "val")).others
    assert {each.name: each.relation for each in others} == {"by path": "", "child": "child"}


def test_a_run_on_other_data_says_nothing_of_an_image(sqlite: Store, root: Path, tmp_path: Path) -> None:
    first = run(sqlite, root, "first", seed=1)
    run(sqlite, tmp_path / "elsewhere", "other", seed=2)
    assert sqlite.evaluations.image(first, Wanted(image_id(NAMES[0]), "val")).others == []


def test_what_became_of_the_file_is_a_sentence_that_names_no_folder(sqlite: Store, root: Path) -> None:
    run_id = run(sqlite, root, "first", seed=1)

    def problem(name: str) -> str:
        found = sqlite.evaluations.image(run_id, Wanted(image_id(name), "val"))
        assert found.problem is None or str(root) not in found.problem
        return found.problem or ""

    assert problem(NAMES[0]) == ""
    assert sqlite.evaluations.image(run_id, Wanted(image_id(NAMES[0]), "val")).size == len(NAMES[0])
    (root / NAMES[1]).write_text("another")
    (root / NAMES[2]).unlink()
    (root / NAMES[3]).unlink()
    (root / NAMES[3]).symlink_to("/etc/hostname")
    sentences = {problem(name) for name in NAMES[1:4]}
    assert "" not in sentences
    assert len(sentences) == 3

    def closed(path: str) -> None:
        raise ForbiddenPathError(path)

    shut = sqlite.evaluations.image(run_id, Wanted(image_id(NAMES[0]), "val"), closed)
    assert shut.problem
    assert str(root) not in shut.problem
    assert len(shut.biography) == 1


def test_what_a_newer_revision_says_of_an_image(sqlite: Store, root: Path) -> None:
    dataset = sqlite.datasets.add(DatasetEdit(name="pets", root=str(root)))
    run_id = run(sqlite, root, "first", seed=1)
    changes = [ChangeEdit(image=image_id(NAMES[0]), label="dog"), ChangeEdit(image=image_id(NAMES[1]), excluded=True)]
    sqlite.revisions.add(dataset.id, RevisionEdit(changes=changes))

    def revision(name: str) -> object:
        return sqlite.evaluations.image(run_id, Wanted(image_id(name), "val")).revision

    assert [revision(name) for name in NAMES[:3]] == [
        {"number": 1, "label": "dog"}, {"number": 1, "excluded": True}, None
    ]  # fmt: skip
    sqlite.revisions.undo(dataset.id)
    assert revision(NAMES[0]) is None


def test_a_deleted_data_set_takes_nothing_from_the_page(sqlite: Store, root: Path) -> None:
    run_id = run(sqlite, root, "first", seed=1)
    root.rename(root.with_name("moved"))
    found = sqlite.evaluations.image(run_id, Wanted(image_id(NAMES[0]), "val"))
    assert (found.problem is not None, len(found.biography)) == (True, 1)
    assert sqlite.evaluations.page(run_id, EvaluatedQuery()).total == 6
    assert hashlib.sha256(NAMES[0].encode()).hexdigest() == found.image.image


def test_the_nearest_training_images_come_from_features_that_an_audit_kept(sqlite: Store, root: Path) -> None:
    run_id = run(sqlite, root, "first", seed=1)
    folder = sqlite.settings.run_dir(run_id)
    MadeRun(folder, CLASSES).write_train(1, [0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5])
    wanted = Wanted(image_id(NAMES[0]), "val")
    assert sqlite.evaluations.image(run_id, wanted).nearest == []
    rows = {NAMES[0]: (3, 1), **dict(zip(names_of(4, "train"), [(1, 3), (3, 1.1), (-3, 0), (0, -3)], strict=True))}
    kept = RowFile(sqlite.settings.cache_path, "features-" + "0" * 32, 4, {"model": "tiny", "width": 2})
    values = [np.asarray(row, np.float16).tobytes() for row in rows.values()]
    kept.add([np.frombuffer(bytes.fromhex(image_id(name)), np.uint64) for name in rows], values)
    found = sqlite.evaluations.image(run_id, wanted)
    assert found.nearest_by == "tiny"
    assert [each.name for each in found.nearest][:2] == [names_of(4, "train")[1], names_of(4, "train")[0]]
    assert (found.nearest[0].label, found.nearest[0].image) == ("dog", image_id(names_of(4, "train")[1]))
    assert found.nearest[0].similarity == pytest.approx(1, abs=0.01)
    (sqlite.settings.cache_path / f"features-{'0' * 32}.rows").write_bytes(b"")
    assert sqlite.evaluations.image(run_id, wanted).nearest == []

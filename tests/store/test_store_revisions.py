"""Corrections of a data set: what a revision says, what is refused, what undoing does, and that nothing gets lost."""

from __future__ import annotations

import hashlib
import json
import os
import tracemalloc
from pathlib import Path

import pytest
from PIL import Image
from sqlmodel import Session

from imgcls_lab import dataset_images
from imgcls_lab.api import revisions as api
from imgcls_lab.data_revision import Change, Overlay, of_folder, revision_digest
from imgcls_lab.dataset_export import export_folder
from imgcls_lab.dataset_images import DatasetImages
from imgcls_lab.errors import ConflictError, DataError, InputError, NotFoundError, StoreError
from imgcls_lab.image_table import ImageTable
from imgcls_lab.planning.fingerprint import file_digest
from imgcls_lab.schemas import ChangeEdit, DatasetEdit, RevisionEdit, SubmitRequest
from imgcls_lab.store import Store, rebuild, revision_rows
from imgcls_lab.store.tables import DatasetRevision


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two classes with two images each in train/ and one in val/; the image of val/dog is a copy of dog/0."""
    root = tmp_path / "pets"
    names = ("train/cat/0", "train/cat/1", "train/dog/0", "train/dog/1", "val/cat/0", "val/dog/0")
    for number, name in enumerate(names):
        path = root / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (number if name != "val/dog/0" else 2, 0, 0)).save(path)
    return root


@pytest.fixture
def dataset(store: Store, root: Path) -> int:
    return store.datasets.add(DatasetEdit(name="pets", root=str(root))).id


def image(root: Path, name: str) -> str:
    return hashlib.sha256((root / f"{name}.png").read_bytes()).hexdigest()


def edit(root: Path, **wanted: str | None) -> RevisionEdit:
    """wanted: `split__class__number` -> a label, None: excluded, an empty text: restored."""
    changes = [
        ChangeEdit(image=image(root, name.replace("__", "/")), label=label or None, excluded=label is None)
        for name, label in wanted.items()
    ]
    return RevisionEdit(changes=changes, message="seen")


def states(overlay: Overlay) -> dict[str, str | None]:
    return {change.name: change.state for change in overlay.changes}


def test_revisions_build_on_one_another_and_later_changes_win(store: Store, root: Path, dataset: int) -> None:
    assert (store.revisions.newest(dataset), store.revisions.overlay(dataset).changes) == (0, ())
    first = store.revisions.add(dataset, edit(root, train__cat__0="dog", train__cat__1=None))
    assert (first.number, first.parent, first.relabelled, first.excluded, first.total) == (1, 0, 1, 1, 2)
    second = store.revisions.add(dataset, edit(root, train__cat__0="", val__cat__0="dog"))
    assert (second.number, second.relabelled, second.restored, second.total) == (2, 1, 1, 2)
    assert states(store.revisions.overlay(dataset)) == {"train/cat/1.png": None, "val/cat/0.png": "dog"}
    assert states(store.revisions.overlay(dataset, 1)) == {"train/cat/0.png": "dog", "train/cat/1.png": None}
    assert [view.number for view in store.revisions.list(dataset)] == [2, 1]
    diff = store.revisions.diff(dataset, 2)
    assert [(c.name, c.before, c.label, c.found) for c in diff.changes] == [
        ("train/cat/0.png", "dog", "cat", True), ("val/cat/0.png", "cat", "dog", True),
    ]  # fmt: skip
    assert [(c.name, c.before, c.label) for c in store.revisions.diff(dataset, 0, against=1).changes] == [
        ("train/cat/0.png", "dog", "cat"), ("train/cat/1.png", None, "cat"),
    ]  # fmt: skip
    assert store.events.list()[0].details == {"revision": 2, "images": 2}


def test_a_run_is_compared_with_the_newest_revision_by_what_differs_at_last(
    store: Store, root: Path, dataset: int, tmp_path: Path
) -> None:
    def submit(revision: int | str | None) -> str:
        config = {"root": str(root), "model_flavour": "m", "data_revision": revision}
        return store.runs.submit(SubmitRequest(config=config, dataset_id=dataset)).id

    plain = submit(None)
    store.revisions.add(dataset, edit(root, train__cat__0="dog", train__cat__1=None))
    first = submit(1)
    own = tuple(change for change in store.revisions.overlay(dataset, 1).changes if change.label == "dog")
    (tmp_path / "own.json").write_text(Overlay(changes=own).to_json())
    of_a_file = submit(str(tmp_path / "own.json"))
    store.revisions.add(dataset, edit(root, train__cat__0="", val__cat__0="dog"))
    store.revisions.add(dataset, edit(root, train__cat__0="dog", train__cat__1=""))
    since = {run: store.revisions.since(run) for run in (plain, first, of_a_file, submit(3))}
    assert [(found.against, found.summary, found.total) for found in since.values()] == [
        (0, "2 relabelled", 2), (1, "1 relabelled, 1 restored", 2), (None, "1 relabelled", 1), (3, "no change", 0),
    ]  # fmt: skip
    assert {change.name for change in since[first].changes} == {"train/cat/1.png", "val/cat/0.png"}


def test_the_file_of_a_revision_that_was_never_committed_takes_no_ones_place(
    store: Store, root: Path, dataset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is killed between the file and the commit leaves a file of another revision 1."""
    writer = store.database.folder_writer
    assert writer is not None
    write = writer.write

    def killed(session: Session) -> None:
        write(session)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(writer, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            store.revisions.add(dataset, edit(root, train__cat__0=None))
    assert len(list((store.settings.home_path / "revisions").rglob("1.json"))) == 1
    store.revisions.add(dataset, edit(root, train__cat__1="dog"))
    store.revisions.add(dataset, edit(root, val__cat__0="dog"))
    before = store.revisions.overlay(dataset)
    with store.database.connection() as connection:
        connection.exec_driver_sql("DELETE FROM dataset_revisions")
    assert not rebuild(store.settings).problems
    assert store.revisions.overlay(dataset) == before


def test_a_long_chain_takes_the_memory_of_some_revisions(store: Store, dataset: int) -> None:
    digest, rows = "", []
    for number in range(1, 41):
        changes = [Change(image=f"{image:064x}", label=("cat", "dog")[number % 2]) for image in range(200)]
        digest = revision_digest(digest, changes)
        values = dict.fromkeys(("files", "relabelled", "excluded", "restored", "total"), 0)
        rows.append(
            DatasetRevision(
                dataset_id=dataset, number=number, parent=number - 1, digest=digest, author="ada", created_at=0.0,
                message="", changes=[change.facts() for change in changes], **values,
            )
        )  # fmt: skip
    with store.database.write() as session:
        session.add_all(rows)
    rows.clear()
    tracemalloc.start()
    assert len(store.revisions.overlay(dataset).changes) == 200
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6, f"{peak / 1e6:.0f} MB"


def test_a_chain_is_checked_once_for_all_pages_that_need_it(
    store: Store, root: Path, dataset: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("train__cat__0", "train__cat__1", "val__cat__0"):
        store.revisions.add(dataset, edit(root, **{name: "dog"}))
    checked: list[int] = []

    def count(changes: object, dataset_id: int, number: int) -> list[Change]:
        checked.append(number)
        return valid(changes, dataset_id, number)

    valid = revision_rows._valid
    monkeypatch.setattr(revision_rows, "_valid", count)
    for _ in range(3):
        assert len(store.revisions.overlay(dataset).changes) == 3
        assert store.revisions.diff(dataset, 3, 0).total == 3
        assert store.dataset_pages.detail(dataset).revision == 3
    assert checked == [1, 2, 3]
    store.revisions.add(dataset, edit(root, train__cat__0=None))  # what is newer is checked as well
    assert len(store.revisions.overlay(dataset).changes) == 3
    assert sorted(set(checked[3:])) == [1, 2, 3, 4]
    with store.database.connection() as connection:
        connection.exec_driver_sql("DELETE FROM dataset_revisions WHERE number = 2")
    with pytest.raises(NotFoundError):
        store.revisions.overlay(dataset)


def test_copies_are_corrected_together_and_the_answer_says_so(store: Store, root: Path, dataset: int) -> None:
    made = store.revisions.add(dataset, edit(root, train__dog__0="cat"))
    assert (made.relabelled, made.files, len(made.notes)) == (1, 2, 1)


def test_a_copy_is_left_out_of_one_split_and_stays_in_the_other(
    store: Store, root: Path, dataset: int, tmp_path: Path
) -> None:
    change = ChangeEdit(image=image(root, "train/dog/0"), split="train", excluded=True)
    made = store.revisions.add(dataset, RevisionEdit(changes=[change]))
    assert (made.excluded, made.files, made.notes) == (1, 1, [])
    export_folder(root, store.revisions.overlay(dataset), tmp_path / "out")
    left = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").glob("*/dog/*")}
    assert left == {"train/dog/1.png", "val/dog/0.png"}
    store.revisions.undo(dataset)
    assert store.revisions.overlay(dataset).changes == ()


def exported(store: Store, root: Path, dataset: int, out: Path) -> dict[str, str]:
    """Split -> class of the image that train/dog and val/dog share; a split that leaves it out is not named."""
    export_folder(root, store.revisions.overlay(dataset), out)
    wanted = image(root, "train/dog/0")
    files = [path for path in out.rglob("*.png") if hashlib.sha256(path.read_bytes()).hexdigest() == wanted]
    return {path.parts[-3]: path.parts[-2] for path in files}


def test_corrections_of_the_copies_in_two_splits_do_not_replace_one_another(
    store: Store, root: Path, dataset: int, tmp_path: Path
) -> None:
    copy = image(root, "train/dog/0")

    def correct(*changes: ChangeEdit) -> None:
        store.revisions.add(dataset, RevisionEdit(changes=list(changes)))

    correct(ChangeEdit(image=copy, label="cat"))
    correct(ChangeEdit(image=copy, split="train", excluded=True))
    assert exported(store, root, dataset, tmp_path / "2") == {"val": "cat"}
    assert [(c.before, c.label) for c in store.revisions.diff(dataset, 2).changes] == [("cat", None)]
    store.revisions.undo(dataset)
    assert exported(store, root, dataset, tmp_path / "3") == {"train": "cat", "val": "cat"}
    assert store.revisions.overlay(dataset).content == store.revisions.overlay(dataset, 1).content
    store.revisions.undo(dataset, 3)
    correct(ChangeEdit(image=copy, split="val", label="dog"))
    assert exported(store, root, dataset, tmp_path / "5") == {"val": "dog"}
    correct(ChangeEdit(image=copy, label="cat"))
    assert exported(store, root, dataset, tmp_path / "6") == {"val": "cat"}  # still left out of train
    store.revisions.undo(dataset)
    assert store.revisions.overlay(dataset).content == store.revisions.overlay(dataset, 5).content
    correct(ChangeEdit(image=copy))
    assert store.revisions.overlay(dataset).changes == ()
    correct(ChangeEdit(image=copy, label="cat"), ChangeEdit(image=copy, split="train"))
    assert exported(store, root, dataset, tmp_path / "9") == {"train": "dog", "val": "cat"}
    assert Overlay.parse(store.revisions.overlay(dataset).to_json().encode(), "file").changes


def test_an_image_that_is_corrected_twice_in_two_ways_is_refused(store: Store, root: Path, dataset: int) -> None:
    copy = image(root, "train/dog/0")
    twice = RevisionEdit(changes=[ChangeEdit(image=copy, label="cat"), ChangeEdit(image=copy, excluded=True)])
    with pytest.raises(InputError) as refused:
        store.revisions.add(dataset, twice)
    assert [problem.field for problem in refused.value.problems] == ["changes.1"]


def test_rows_of_a_file_that_contradict_one_another_or_hold_nonsense_are_refused(
    store: Store, root: Path, dataset: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("imgcls_lab.api.context.store", lambda: store)
    dog, file = "train/dog/0.png", tmp_path / "corrections"
    odd = [5, True, ["a"], {"a": 1}, "a\0b", "\ud800", "x" * 5000]
    for text in (
        f"path,label\n{dog},cat\nval/dog/0.png,dog\n",  # the same content
        *(json.dumps([{"image": value, "label": "cat"}]) for value in odd),
        *(json.dumps([{"path": dog, "label": value}]) for value in odd),
        *(json.dumps([{"path": dog, "label": "cat", "only": value}]) for value in odd),
        "path,label\n" + "x" * 200_000,
    ):
        file.write_text(text)
        with pytest.raises(InputError):
            api.import_corrections("pets", file)
    assert store.revisions.newest(dataset) == 0
    file.write_text(json.dumps([{"path": dog, "label": "cat"}, {"path": dog, "excluded": True, "only": "train"}]))
    (made,) = api.import_corrections("pets", file)
    assert (made.relabelled, made.excluded) == (1, 1)


def test_undo_is_a_revision_and_leaves_what_came_later(store: Store, root: Path, dataset: int) -> None:
    store.revisions.add(dataset, edit(root, train__cat__0="dog", train__dog__1=None))
    store.revisions.add(dataset, edit(root, train__cat__0=None))
    undone = store.revisions.undo(dataset, 1)
    assert (undone.number, undone.restored, len(undone.notes)) == (3, 1, 1)
    assert states(store.revisions.overlay(dataset)) == {"train/cat/0.png": None}
    store.revisions.undo(dataset, 2)  # back to what revision 1 said
    assert states(store.revisions.overlay(dataset)) == {"train/cat/0.png": "dog"}
    with pytest.raises(ConflictError) as refused:
        store.revisions.undo(dataset, 2)
    assert refused.value.reason == "nothing_to_undo"
    store.revisions.undo(dataset)
    assert states(store.revisions.overlay(dataset)) == {"train/cat/0.png": None}
    assert store.revisions.overlay(dataset).content == store.revisions.overlay(dataset, 3).content
    with pytest.raises(NotFoundError, match="no revision 99"):
        store.revisions.undo(dataset, 99)


@pytest.mark.parametrize(
    ("wanted", "reason"),
    [
        ({"train__cat__0": label}, reason)
        for label, reason in (("cow", "wrong"), ("cat", "no_change"), ("", "no_change"))
    ],
)
def test_what_corrects_nothing_is_refused(
    store: Store, root: Path, dataset: int, wanted: dict[str, str], reason: str
) -> None:
    with pytest.raises(InputError) as refused:
        store.revisions.add(dataset, edit(root, **wanted))
    assert refused.value.reason == reason
    assert store.revisions.newest(dataset) == 0


def test_unknown_images_revisions_and_data_sets_are_refused(store: Store, root: Path, dataset: int) -> None:
    with pytest.raises(InputError) as refused:
        store.revisions.add(dataset, RevisionEdit(changes=[ChangeEdit(image="0" * 64, excluded=True)]))
    assert refused.value.problems[0].field == "changes.0.image"
    for call in (
        lambda: store.revisions.list(99),
        lambda: store.revisions.diff(dataset, 1),
        lambda: store.revisions.overlay(dataset, 7),
        lambda: store.revisions.undo(dataset),
        lambda: store.revisions.add(dataset, edit(root, train__cat__0="dog").model_copy(update={"parent": 3})),
    ):
        with pytest.raises(NotFoundError):
            call()


def test_corrections_on_an_older_revision_say_which_is_newer(store: Store, root: Path, dataset: int) -> None:
    mine = edit(root, train__cat__0="dog").model_copy(update={"parent": 0})
    store.revisions.add(dataset, mine)
    with pytest.raises(ConflictError) as refused:
        store.revisions.add(dataset, edit(root, train__cat__1="dog").model_copy(update={"parent": 0}))
    assert refused.value.data == {"parent": 0, "newest": 1}


def test_a_class_without_training_images_is_warned_of(store: Store, root: Path, dataset: int) -> None:
    emptied = store.revisions.add(dataset, edit(root, train__cat__0=None, train__cat__1="dog"))
    assert [note for note in emptied.notes if "“cat”" in note]
    assert not store.revisions.add(dataset, edit(root, train__cat__0="")).notes


def test_a_renamed_image_keeps_its_correction_and_a_replaced_one_is_not_found(
    store: Store, root: Path, dataset: int
) -> None:
    store.revisions.add(dataset, edit(root, train__cat__0="dog", train__cat__1="dog"))
    (root / "train/cat/0.png").rename(root / "train/cat/renamed.png")
    Image.new("RGB", (4, 4), (99, 0, 0)).save(root / "train/cat/1.png")
    found = {change.name: change.found for change in store.revisions.diff(dataset, 1).changes}
    assert found == {"train/cat/0.png": True, "train/cat/1.png": False}
    store.revisions.undo(dataset)  # needs no file
    assert store.revisions.overlay(dataset).changes == ()


def test_images_are_named_by_path_and_never_outside(store: Store, root: Path, tmp_path: Path) -> None:
    images = DatasetImages.open(store.settings, root)
    for name in ("train/cat/0.png", str(root / "train/cat/0.png"), "train/dog/../cat/0.png"):
        assert images.image_of(name) == image(root, "train/cat/0")
    (tmp_path / "secret.png").write_bytes((root / "train/cat/0.png").read_bytes())
    (root / "train/cat/link.png").symlink_to(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png"), "train/cat/link.png", "train/cat", "nothing.png"):
        with pytest.raises(InputError):
            images.image_of(name)


@pytest.mark.parametrize("scanned", [True, False])
def test_a_file_that_is_named_a_thousand_times_is_read_once(
    store: Store, root: Path, monkeypatch: pytest.MonkeyPatch, scanned: bool
) -> None:
    read: list[str] = []

    def digest(path: str | os.PathLike[str]) -> bytes:
        read.append(os.fspath(path))
        return file_digest(path)

    monkeypatch.setattr(dataset_images, "file_digest", digest)
    images = DatasetImages(root, ImageTable.read(store.settings, root) if scanned else None)
    found = {images.image_of("train/cat/0.png") for _ in range(1000)}
    assert found == {image(root, "train/cat/0")}
    assert len(read) <= 1
    Image.new("RGB", (4, 4), (1, 2, 3)).save(root / "train/cat/0.png")
    assert images.image_of("train/cat/0.png") not in found


def test_a_rebuild_brings_revisions_back(store: Store, root: Path, dataset: int) -> None:
    store.revisions.add(dataset, edit(root, train__cat__0="dog"))
    store.revisions.add(dataset, edit(root, train__cat__1=None))
    before, overlay = store.revisions.list(dataset), store.revisions.overlay(dataset)
    store.database.close()
    with store.database.connection() as connection:
        for table in ("dataset_revisions", "datasets"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    assert rebuild(store.settings).problems == []
    again = store.datasets.find("pets").id
    assert store.revisions.list(again) == before
    assert store.revisions.overlay(again) == overlay
    assert rebuild(store.settings).problems == []
    assert store.revisions.list(again) == before


def test_a_damaged_copy_is_reported_and_those_after_it_are_left_out(store: Store, root: Path, dataset: int) -> None:
    for name in ("train__cat__0", "train__cat__1"):
        store.revisions.add(dataset, edit(root, **{name: "dog"}))
    (path,) = store.settings.home_path.glob("revisions/*/1.json")
    content = json.loads(path.read_text())
    content["changes"][0]["label"] = "cat"
    path.write_text(json.dumps(content))
    with store.database.connection() as connection:
        connection.exec_driver_sql("DELETE FROM dataset_revisions")
    assert len(rebuild(store.settings).problems) == 1
    assert store.revisions.newest(dataset) == 0


@pytest.mark.parametrize(
    "altered",
    ["digest = 'x'", "changes = '5'", "changes = '[5]'", "changes = '{}'", """changes = '[{"image": "../x"}]'"""],
)
def test_a_revision_that_was_altered_in_the_database_is_not_used(
    store: Store, root: Path, dataset: int, altered: str
) -> None:
    store.revisions.add(dataset, edit(root, train__cat__0="dog"))
    with store.database.connection() as connection:
        connection.exec_driver_sql(f"UPDATE dataset_revisions SET {altered}")
    with pytest.raises(StoreError) as refused:
        store.revisions.overlay(dataset)
    assert refused.value.reason == "altered"


def test_deleting_a_data_set_deletes_its_revisions(store: Store, root: Path, dataset: int) -> None:
    store.revisions.add(dataset, edit(root, train__cat__0="dog"))
    store.datasets.delete(dataset)
    assert not [*store.settings.home_path.glob("revisions/*")]
    again = store.datasets.add(DatasetEdit(name="pets", root=str(root))).id
    assert store.revisions.newest(again) == 0


def test_a_run_is_told_its_corrections_and_what_came_after(store: Store, root: Path, dataset: int) -> None:
    for label in ("dog", ""):
        store.revisions.add(dataset, edit(root, train__cat__0=label))
    config = {"root": str(root), "model_flavour": "tiny", "data_revision": 1}
    run = store.runs.submit(SubmitRequest(config=config))
    overlay = store.revisions.overlay(dataset, 1)
    detail = store.runs.get(run.id)
    assert (detail.data_revision, detail.data_revision_digest) == (1, overlay.digest)
    assert [view.number for view in detail.later_revisions] == [2]
    assert of_folder(store.settings.run_dir(run.id)) == overlay
    assert [view.runs for view in store.revisions.list(dataset)] == [0, 1]

    file = root.parent / "overlay.json"
    file.write_text(overlay.to_json())
    by_file = store.runs.submit(SubmitRequest(config={**config, "data_revision": str(file)}))
    file.unlink()  # the run has its own copy
    assert of_folder(store.settings.run_dir(by_file.id)) == overlay
    plain = store.runs.submit(SubmitRequest(config={**config, "data_revision": None}))
    assert store.runs.get(plain.id).data_revision_digest == ""
    assert of_folder(store.settings.run_dir(plain.id)) is None


def test_corrections_that_there_are_not_stop_a_submit(store: Store, root: Path, dataset: int, tmp_path: Path) -> None:
    (tmp_path / "none.json").write_text("{}")
    for changes, kind in (
        ({"data_revision": 7}, NotFoundError),
        ({"data_revision": 1, "root": str(tmp_path)}, NotFoundError),
        ({"data_revision": str(tmp_path / "none.json")}, DataError),
        ({"data_revision": str(tmp_path / "nothing.json")}, DataError),
    ):
        with pytest.raises(kind):
            store.runs.submit(SubmitRequest(config={"root": str(root), "model_flavour": "tiny", **changes}))
    assert store.runs.list().total == 0
    assert not [*store.settings.runs_dir.glob("*")]

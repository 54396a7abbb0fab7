"""A run of the kind task: queued, stopped, resumed, rebuilt; what it learned of the files serves a training, too."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import photos
import pytest
from audit_steps import perform

from imgcls_lab import demo_data
from imgcls_lab.audits import results
from imgcls_lab.engine.audit import files as listing
from imgcls_lab.engine.data import scan_index
from imgcls_lab.engine.data.file_inspection import SetInspection
from imgcls_lab.errors import DataError
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.fashion_mnist import SMALL_RESNET
from imgcls_lab.schemas import AuditRequest, DatasetEdit, ModelEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild


@pytest.fixture
def store(home: Path) -> Any:
    with Store.open(Settings(), migrate=True) as opened:
        yield opened


@pytest.fixture
def pets(store: Store, tmp_path: Path) -> int:
    root = photos.data_set(tmp_path / "pets", {"train": 10, "val": 2})
    return store.datasets.add(DatasetEdit(name="pets", root=str(root))).id


def root_of(store: Store, dataset: int) -> Path:
    return Path(store.datasets.get(dataset).root)


def test_a_task_has_no_device_and_survives_a_rebuild(store: Store, pets: int) -> None:
    run_id = store.audits.start(pets).run_id
    run = perform(store)
    assert (run.id, run.kind, run.state, run.devices) == (run_id, RunKind.TASK, RunState.SUCCEEDED, [])
    assert (run.step, run.total_steps, run.root) == (24, 24, str(root_of(store, pets)))
    before = store.audits.view(pets)
    store.close()
    (store.settings.home_path / "imgcls.db").unlink(missing_ok=True)
    for file in store.settings.home_path.glob("*.db*"):
        file.unlink()
    assert rebuild(store.settings).problems == []
    with Store.open(store.settings) as anew:
        again = anew.runs.get(run.id)
        assert (again.kind, again.state, again.name, again.view_only) == (run.kind, run.state, run.name, False)
        assert anew.audits.view(pets) == before


def test_the_next_look_opens_only_what_changed(store: Store, pets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    store.audits.start(pets)
    perform(store)
    index = scan_index.read(scan_index.index_path(store.settings.scans_dir, root_of(store, pets)))
    assert (len(index), bool(index["settled"].all())) == (24, True)
    shutil.copy(root_of(store, pets) / "train/cat/0001.jpg", root_of(store, pets) / "train/dog/new.jpg")
    assert store.audits.view(pets).stale
    opened: list[str] = []
    from imgcls_lab.engine.data import file_inspection

    read = file_inspection.read_bytes
    monkeypatch.setattr(file_inspection, "read_bytes", lambda path: opened.append(Path(path).name) or read(path))
    store.audits.refresh(pets)
    perform(store)
    assert opened == ["new.jpg"]
    view = store.audits.view(pets)
    assert (view.stale, view.counts["copy"]) == (False, 1)


def test_a_stopped_audit_keeps_what_it_learned(store: Store, pets: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is stopped after some files, and resumed: only the others are opened."""
    store.audits.start(pets)
    inspected: list[int] = []
    look = SetInspection.__call__

    def counted(self: SetInspection, numbers: range) -> Any:
        inspected.append(len(numbers))
        return look(self, numbers)

    with monkeypatch.context() as slow:
        slow.setattr(SetInspection, "__call__", counted)
        slow.setattr(SetInspection, "chunks", lambda self: (range(i, i + 1) for i in range(len(self.images))))
        slow.setattr("threading.Event.is_set", lambda _self: len(inspected) >= 7)
        run = perform(store)
    assert (run.state, run.resumable, len(inspected)) == (RunState.STOPPED, True, 7)
    store.runs.resume(run.id)
    known = scan_index.read(scan_index.index_path(store.settings.scans_dir, root_of(store, pets)))
    assert len(known) == 7
    assert perform(store).state is RunState.SUCCEEDED
    assert results.read_summary(store.settings.run_dir(run.id)).stages == ["files"]  # type: ignore[union-attr]


def test_data_that_no_training_takes_are_looked_at_all_the_same(tmp_path: Path) -> None:
    one_class = photos.data_set(tmp_path / "one", {"train": 3}, ("cat",))
    found = listing.list_files(one_class)
    assert (len(found), found.classes) == (3, ["cat"])
    assert found.summary.problem is not None
    unreadable = tmp_path / "bad/train/cat"
    unreadable.mkdir(parents=True)
    (unreadable / "a.jpg").write_bytes(b"no")
    bad = listing.list_files(tmp_path / "bad")
    from imgcls_lab.engine.data.cache_locations import CacheLocations

    assert listing.inspect(bad, CacheLocations.private(tmp_path), lambda *_: None, lambda: False)
    assert (list(bad.errors), len(bad.readable)) == ([0], 0)
    for nothing in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(DataError):
            listing.list_files(nothing)


def test_a_scan_without_quality_is_completed(store: Store, pets: int) -> None:
    """A training has scanned the files: the audit measures them, and keeps what the training learned."""
    root = root_of(store, pets)
    locations = listing.CacheLocations.of_home(store.settings)
    found = listing.list_files(root)
    assert listing.inspect(found, locations, lambda *_: None, lambda: False)
    scan_index.quality_path(store.settings.scans_dir, root).unlink()
    again = listing.list_files(root)
    assert listing.inspect(again, locations, lambda *_: None, lambda: False)
    assert np.array_equal(found.entries, again.entries)
    assert np.array_equal(found.qualities, again.qualities)


def test_an_audit_with_a_model_is_repeated_without_computing(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = photos.data_set(tmp_path / "few", {"train": 5, "val": 2})
    dataset = store.datasets.add(DatasetEdit(name="few", root=str(root))).id
    folder = tmp_path / "tiny"
    demo_data.write_model(folder, SMALL_RESNET)
    model = store.models.add(ModelEdit(name="tiny", flavour=str(folder), load_pretrained=False)).id
    request = AuditRequest(model_id=model)
    store.audits.start(dataset, request)
    assert perform(store).state is RunState.SUCCEEDED
    first = store.audits.view(dataset)
    assert (first.model, first.has_map, first.phase) == ("tiny", True, "done")
    drawn = store.dataset_pages.map(dataset)
    assert (len(drawn.x), len(drawn.image), drawn.method, drawn.classes) == (14, 14, "pca", ["cat", "dog"])

    def computed(*_: object, **__: object) -> None:
        raise AssertionError("The neighbours are computed again.")

    monkeypatch.setattr("imgcls_lab.engine.audit.learned.nearest", computed)
    monkeypatch.setattr("imgcls_lab.engine.inference.features._encoded", computed)
    store.audits.refresh(dataset)  # as a rescan does: with the model of the last audit
    assert perform(store).state is RunState.SUCCEEDED
    again = store.audits.view(dataset)
    assert (again.model, again.counts, again.run_id != first.run_id) == ("tiny", first.counts, True)


def test_a_model_that_does_not_load_is_said_and_the_files_stay(store: Store, pets: int, tmp_path: Path) -> None:
    folder = tmp_path / "gone"
    demo_data.write_model(folder, SMALL_RESNET)
    model = store.models.add(ModelEdit(name="gone", flavour=str(folder), load_pretrained=False)).id
    shutil.rmtree(folder)
    store.audits.start(pets, AuditRequest(model_id=model))
    run = perform(store)
    assert (run.state, "gone" in (run.message or "")) == (RunState.FAILED, True)
    summary = store.audits.summary(pets)
    assert summary is not None
    assert summary.stages == ["files"]

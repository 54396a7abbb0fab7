"""The objects of a deleted run go from the store, whenever the daemon and the store are there."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab import run_layout
from imgcls_lab.errors import ObjectStoreError
from imgcls_lab.events import EventWriter, Metrics
from imgcls_lab.executor.mirror import removal
from imgcls_lab.executor.mirror.head import Pull
from imgcls_lab.executor.mirror.index import RunObjects
from imgcls_lab.executor.mirror.node import FencedError, Push, restore
from imgcls_lab.executor.mirror.object_store import ObjectStore
from imgcls_lab.executor.mirror.removal import ObjectRemoval
from imgcls_lab.settings import Settings
from imgcls_lab.store import deleted_objects, run_files
from imgcls_lab.store.deleted_objects import status_sentence
from tests.clusters.s3_server import Bucket
from tests.clusters.small_disk import needs_root, small_disk
from tests.clusters.store_lab import StoreLab
from tests.executor.stub_lab import ROOT
from tests.waiting import until

RUN, OTHER = "20260101-000000-abcdef", "20260101-000000-bcdefg"
KEY = "0123456789abcdef"


@pytest.fixture(params=["folder", "s3"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "s3":
        bucket: Bucket = request.getfixturevalue("s3_server")
        return bucket.url
    (tmp_path / "store").mkdir()
    return f"file://{tmp_path}/store"


@pytest.fixture
def settings(home: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setattr(removal, "ONCE_MORE", 0.2)
    monkeypatch.setattr(removal, "FIRST_PAUSE", 0.2)
    settings = Settings(home=str(home), store_url=url)
    settings.make_home()
    return settings


def handed_over(settings: Settings, run_id: str = RUN, files: int = 3) -> Pull:
    """A run whose folder is in the store, as if its first attempt began just now."""
    folder = settings.run_dir(run_id)
    folder.mkdir()
    for number in range(files):
        (folder / f"file-{number}.json").write_text(f'"{number}"')
    (folder / "desired").write_text("run")
    pull = Pull(RunObjects(ObjectStore(settings.store_url), run_id, KEY), folder, 1)
    pull.hand_over()
    return pull


def objects(settings: Settings, run_id: str = RUN) -> int:
    found = ObjectStore(settings.store_url).listing("runs/" if "file:" in settings.store_url else "")
    return sum(run_id in name for name, _, _ in found)


def updates(settings: Settings, seconds: float = 30) -> None:
    """Rounds of a new daemon until nothing is noted any more."""
    removing = ObjectRemoval(settings)

    def empty() -> bool:
        removing.update()
        return not deleted_objects.left(settings)

    until(empty, seconds, lambda: str(status_sentence(settings)))
    removing.closing.set()


def test_all_objects_of_a_deleted_run_go_and_no_other(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "AT_ONCE", 4)
    for run_id in (RUN, OTHER):
        handed_over(settings, run_id, files=9)
    before = objects(settings, OTHER)
    assert objects(settings) == before > 9
    run_files.remove_folder(settings, RUN, {})
    assert "1 deleted run " in str(status_sentence(settings))
    updates(settings)
    assert (objects(settings), objects(settings, OTHER)) == (0, before)
    assert status_sentence(settings) is None


def test_an_object_that_comes_late_goes_too(settings: Settings) -> None:
    pull = handed_over(settings)
    run_files.remove_folder(settings, RUN, {})
    removing = ObjectRemoval(settings)
    removing.update()
    until(lambda: objects(settings) == 0)
    pull._objects.write_content(1, b"from a node that was cut off")
    updates(settings)
    assert objects(settings) == 0


def test_a_run_without_objects_is_not_noted_and_one_that_is_back_is_kept(settings: Settings) -> None:
    settings.run_dir(OTHER).mkdir()
    run_files.remove_folder(settings, OTHER, {})
    assert deleted_objects.left(settings) == []
    handed_over(settings)
    held = objects(settings)
    kept = deleted_objects.of_folder(settings, RUN)
    assert kept is not None
    deleted_objects.note(settings, kept)  # the deletion was cut off here, or a backup brought the folder back
    removing = ObjectRemoval(settings)
    for _ in range(10):
        removing.update()
        time.sleep(0.02)
    assert removing._thread is None
    assert objects(settings) == held


def test_objects_in_another_store_than_that_of_the_settings_are_said(settings: Settings, home: Path) -> None:
    handed_over(settings)
    run_files.remove_folder(settings, RUN, {})
    other = Settings(home=str(home), store_url="")
    removing = ObjectRemoval(other)
    removing.update()
    until(lambda: settings.store_url in (deleted_objects.problem(other) or ""))
    assert settings.store_url in str(status_sentence(other))
    assert objects(settings) > 0
    updates(settings)
    assert objects(settings) == 0
    assert deleted_objects.problem(settings) is None


def test_a_store_that_refuses_is_said_and_not_asked_without_end(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, url: str
) -> None:
    """A library of fsspec may return as if all had gone, where the store has refused each object."""
    handed_over(settings)
    store = ObjectStore(url)
    if store.is_local:
        monkeypatch.setattr(os, "unlink", refuse)
    else:
        monkeypatch.setattr(store._fs, "rm", lambda _paths: None)
    with pytest.raises(ObjectStoreError) as refused:
        store.delete_below(f"runs/{RUN}/", 100)
    assert refused.value.reason == "no_rights"


def refuse(_path: str, **_given: int) -> None:
    raise PermissionError("no")


def test_an_attempt_of_a_deleted_run_ends_and_one_of_an_unmounted_disk_does_not(
    settings: Settings, tmp_path: Path
) -> None:
    handed_over(settings)
    store = ObjectStore(settings.store_url)
    node, over = tmp_path / "node" / RUN, threading.Event()
    restore(RunObjects(store, RUN, KEY), node, 1)
    push = Push(
        RunObjects(store, RUN, KEY), node, 1, interval=0.1, beat_every=0, over=over, hurry=threading.Event()
    )  # fmt: skip
    with EventWriter(node, 1) as events:
        events.write(Metrics(step=1, epoch=0, values={"loss/train": 1.0}))
    push.tick()
    run_files.remove_folder(settings, RUN, {})
    updates(settings)
    if store.is_local:
        with pytest.raises(ObjectStoreError) as missing:
            push.tick()
        assert not isinstance(missing.value, FencedError)
    else:
        with pytest.raises(FencedError):
            push.run()
        assert (node / run_layout.DESIRED).read_text() == "kill"
    assert objects(settings) == 0


@needs_root
def test_a_run_that_is_deleted_to_make_space_on_a_full_disk(settings: Settings) -> None:
    with small_disk(settings.home_path.parent / "small", 8) as disk:
        small = Settings(home=str(disk.path / "home"), store_url=settings.store_url)
        small.make_home()
        handed_over(small)
        disk.fill()
        run_files.remove_folder(small, RUN, {})
        assert not small.run_dir(RUN).exists()
        updates(small)
    assert objects(settings) == 0


@pytest.fixture
def lab(home: Path, tmp_path: Path, s3_server: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[StoreLab]:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setattr(removal, "ONCE_MORE", 0.2)
    monkeypatch.setattr(removal, "FIRST_PAUSE", 0.2)
    lab = StoreLab(home, tmp_path, s3_server.url)
    yield lab
    lab.close()


def test_runs_that_are_deleted_while_no_daemon_lives_and_the_store_is_away(
    lab: StoreLab, s3_server: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, gone = lab.launch(steps=5), lab.launch(steps=5)
    lab.end(kept)
    lab.end(gone)
    lab.until(lambda: not lab.mirrors())
    held = objects(lab.settings, kept)
    lab.backend.close()
    lab.store.runs.delete(gone)
    assert objects(lab.settings, gone) > 0
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    lab.start()
    lab.rounds(lambda: "reached" in (deleted_objects.problem(lab.settings) or ""))
    assert "1 deleted run" in str(status_sentence(lab.settings))
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server.endpoint)
    lab.rounds(lambda: status_sentence(lab.settings) is None)
    assert (objects(lab.settings, gone), objects(lab.settings, kept)) == (0, held)

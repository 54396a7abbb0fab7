"""Copies of data sets on a node: once for all, whole, verified, bounded."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from imgcls_lab import locks
from imgcls_lab.entry_points import STAGING
from imgcls_lab.errors import DataError, DiskFullError, ObjectStoreError, UnsafeFolderError
from imgcls_lab.events import Failed, FailureKind, Phase, read_events
from imgcls_lab.executor import staging
from imgcls_lab.executor.backends.launch import launch_of
from imgcls_lab.executor.mirror.object_store import ObjectStore
from imgcls_lab.executor.staging import LOCK, Stager, StoppedError
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run

ROOT = Path(__file__).parents[2]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A data set of twelve files."""
    for split in ("train", "val"):
        for number in range(6):
            path = tmp_path / "source" / split / f"class {number % 2}" / f"{number} ü.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(f"{split} {number}".encode() * 100)
    return tmp_path / "source"


class Node:
    """What a node's stager says and fetches."""

    def __init__(self, place: Path, source: Path, monkeypatch: pytest.MonkeyPatch, limit: int = 10**9) -> None:
        self.place, self.url, self.limit = place, f"file://{source}", limit
        self.fetched: list[str] = []
        self.said: list[tuple[str, int, int]] = []
        self.stop = False
        real = ObjectStore.blocks

        def blocks(store: ObjectStore, name: str, size: int):  # type: ignore[no-untyped-def]
            self.fetched.append(name)
            return real(store, name, size)

        monkeypatch.setattr(ObjectStore, "blocks", blocks)

    def stage(self, url: str | None = None) -> Path:
        """Stage and let go; the folder."""
        copy = self.stager().stage(url or self.url)
        os.close(copy.descriptor)
        return copy.folder

    def stager(self) -> Stager:
        return Stager(self.place, self.limit, lambda *said: self.said.append(said), lambda: self.stop)

    def take(self) -> list[str]:
        found, self.fetched = sorted(self.fetched), []
        return found


@pytest.fixture
def node(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    return Node(tmp_path / "cache", source, monkeypatch)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_data_set_is_copied_once_with_progress(node: Node, source: Path) -> None:
    assert tree(node.stage()) == tree(source)
    assert len(node.take()) == 12
    assert ("copying images", 12, 12) in node.said
    node.stage()
    assert node.take() == []


def test_the_same_content_from_elsewhere_is_one_copy(node: Node, source: Path, tmp_path: Path) -> None:
    first = node.stage()
    (tmp_path / "again").mkdir()
    for name, content in tree(source).items():
        path = tmp_path / "again" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    assert node.stage(f"file://{tmp_path}/again") == first
    assert [path.name for path in node.place.iterdir() if path.name.startswith(".partial")] == []


@pytest.mark.parametrize("which", ["place", "above"])
def test_nothing_is_copied_to_where_others_can_swap_it(node: Node, tmp_path: Path, which: str) -> None:
    """All runs of a node share the copies; another user of the node must not."""
    node.place = tmp_path / "scratch" / "staged"
    node.place.mkdir(parents=True)
    (node.place if which == "place" else node.place.parent).chmod(0o777)
    with pytest.raises(UnsafeFolderError) as refused:
        node.stage()
    assert refused.value.reason in {"mode", "replaceable"}
    assert node.take() == []


def test_a_changed_source_is_another_copy(node: Node, source: Path) -> None:
    first = node.stage()
    (source / "train/class 0/new.png").write_bytes(b"new")
    second = node.stage()
    assert second != first
    assert tree(second) == tree(source)


def test_a_damaged_file_alone_is_copied_again(node: Node, source: Path) -> None:
    folder = node.stage()
    node.take()
    (folder / "val/class 1/3 ü.png").write_bytes(b"damaged")
    (folder / "val/class 1/5 ü.png").unlink()
    assert tree(node.stage()) == tree(source)
    assert node.take() == ["val/class 1/3 ü.png", "val/class 1/5 ü.png"]


def test_damage_that_no_time_shows_is_found_by_the_digests(
    node: Node, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = node.stage() / "val/class 1/3 ü.png"
    before = path.stat()
    path.write_bytes(path.read_bytes()[::-1])
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    monkeypatch.setattr(staging, "VERIFY_EVERY", 0.0)
    assert tree(node.stage()) == tree(source)


def test_a_copy_without_its_list_is_made_anew(node: Node, source: Path) -> None:
    folder = node.stage()
    (folder.parent / "index.json").write_text("{")
    (folder / "train/class 0/0 ü.png").write_bytes(b"damaged")
    assert tree(node.stage()) == tree(source)


def test_a_killed_copy_goes_on_where_it_was(node: Node, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "THREADS", 1)
    node.stop = False
    real = staging._fetch

    def fetch(store: ObjectStore, name: str, size: int, target: Path) -> str:
        if len(node.fetched) == 5:
            raise KeyboardInterrupt
        return real(store, name, size, target)

    with monkeypatch.context() as patch:
        patch.setattr(staging, "_fetch", fetch)
        with pytest.raises(KeyboardInterrupt):
            node.stage()
    assert len(node.take()) == 5
    assert not [path for path in node.place.iterdir() if len(path.name) == 64]
    assert tree(node.stage()) == tree(source)
    assert len(node.take()) == 7


def test_the_copy_that_was_not_used_for_longest_goes_first(node: Node, source: Path, tmp_path: Path) -> None:
    size = sum(map(len, tree(source).values()))
    node.limit = int(size * 2.5)
    folders = []
    for number in range(3):
        (source / "train/class 0/0 ü.png").write_bytes(str(number).encode() * 1000)
        folders.append(node.stage())
        os.utime(folders[-1].parent / "used", (number, number))
        if number == 1:
            os.utime(folders[0].parent / "used", (9, 9))  # the first one was used again
    assert [folder.exists() for folder in folders] == [True, False, True]


def test_a_copy_that_a_run_reads_is_not_removed(node: Node, source: Path) -> None:
    size = sum(map(len, tree(source).values()))
    node.limit = int(size * 1.5)
    held = node.stager().stage(node.url)
    (source / "train/class 0/new.png").write_bytes(b"new")
    with pytest.raises(DiskFullError):
        node.stage()
    assert held.folder.exists()
    os.close(held.descriptor)
    node.stage()
    assert not held.folder.exists()


def test_a_data_set_above_the_limit_is_refused(node: Node) -> None:
    node.limit = 100
    with pytest.raises(DataError) as refused:
        node.stage()
    assert refused.value.reason == "too_large"


def test_one_process_of_a_node_copies_at_a_time(node: Node) -> None:
    node.stage()
    held = locks.try_lock(node.place / LOCK)
    assert held is not None
    waits = threading.Timer(0.3, os.close, [held])
    waits.start()
    node.stage()
    assert any(what.startswith("waiting") for what, _, _ in node.said)
    node.stop = True
    held = locks.try_lock(node.place / LOCK)
    assert held is not None
    with pytest.raises(StoppedError):
        node.stage()
    os.close(held)


@pytest.mark.parametrize("name", ["../escaped", "a/../../escaped", "/etc/escaped"])
def test_a_name_that_leads_out_is_refused(node: Node, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(ObjectStore, "listing", lambda *_: [(name, 3, "")])
    with pytest.raises(DataError) as refused:
        node.stage()
    assert refused.value.reason == "name"
    assert node.take() == []


def test_links_and_hidden_files_are_left_out(node: Node, source: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (source / "train/class 0/link.png").symlink_to(tmp_path / "secret")
    (source / "train/linked").symlink_to(tmp_path)
    (source / ".hidden").write_text("x")
    assert len(tree(node.stage())) == 12


def test_a_missing_or_empty_source_is_a_sentence(node: Node, tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError) as missing:
        node.stage(f"file://{tmp_path}/nothing")
    assert missing.value.reason == "no_bucket"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError) as empty:
        node.stage(f"file://{tmp_path}/empty")
    assert empty.value.reason == "empty"


# ── in the place of the engine ──────────────────────────────────────────────────────────────────────────────────────
ENGINE = """
import os, sys
from imgcls_lab import staged_data
print(staged_data.location(sys.argv[1]), staged_data.named(staged_data.location(sys.argv[1])))
"""


def become(home: Path, tmp_path: Path, url: str) -> tuple[subprocess.CompletedProcess[str], Path]:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"root": "/data/pets"}))
    argv = STAGING.argv(sys.executable, str(folder), "--attempt", "1", "--url", url)
    argv += ["--", sys.executable, "-c", ENGINE, "/data/pets"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "IMGCLS_HOME": str(home)}
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False), folder


def test_the_engine_reads_the_copy_and_names_the_root(home: Path, source: Path, tmp_path: Path) -> None:
    done, folder = become(home, tmp_path, f"file://{source}")
    location, named = done.stdout.splitlines()[-1].rsplit(" ", 1)
    assert tree(Path(location)) == tree(source)
    assert named == "/data/pets"
    assert json.loads((folder / "config.json").read_text())["root"] == "/data/pets"
    phases = [event for event in read_events(folder / "events-001.jsonl")[0] if isinstance(event, Phase)]
    assert (phases[-1].name, phases[-1].done, phases[-1].total) == ("copying images", 12, 12)


def test_a_source_that_cannot_be_read_ends_the_run_with_a_sentence(home: Path, tmp_path: Path) -> None:
    done, folder = become(home, tmp_path, f"file://{tmp_path}/nothing")
    assert done.returncode == 1
    failed = read_events(folder / "events-001.jsonl")[0][-1]
    assert isinstance(failed, Failed)
    assert failed.kind is FailureKind.APPLICATION
    assert str(tmp_path) in failed.message


@pytest.mark.parametrize(
    ("root", "url"),
    [
        ("{datasets}/pets", "s3://bucket/data/pets"),
        ("{datasets}/a/b c", "s3://bucket/data/a/b c"),
        ("{datasets}/../secret", None),
        ("{datasets}", None),
        ("/elsewhere/pets", None),
    ],
)
def test_only_data_sets_of_the_datasets_folder_are_copied(tmp_path: Path, root: str, url: str | None) -> None:
    settings = Settings(datasets_dir=str(tmp_path / "sets"), data_url="s3://bucket/data/")
    config = {"root": root.format(datasets=tmp_path / "sets")}
    run = Run(id="20260101-000000-abcdef", kind="train", config=config)
    argv = launch_of(settings, run, 1, ["python", "-m", "engine"], {})["argv"]
    assert argv[-3:] == ["python", "-m", "engine"]
    assert (argv[argv.index("--url") + 1] if "--url" in argv else None) == url

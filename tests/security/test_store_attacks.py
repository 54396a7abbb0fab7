"""What a writer of the object store who is not the run's user tries: nothing that is executed or believed comes of it.

The adversary reads and writes every object of the bucket, and knows the format. What it lacks is the home's key.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import run_layout, signing
from imgcls_lab.errors import ObjectStoreError, UnsafeFolderError
from imgcls_lab.executor import node_folder
from imgcls_lab.executor.mirror.head import Pull
from imgcls_lab.executor.mirror.index import RunObjects, State
from imgcls_lab.executor.mirror.node import Push, restore
from imgcls_lab.executor.mirror.object_store import ObjectStore
from tests.executor.mirror_pair import RUN, Pair, checkpoint, tree

OTHER_RUN = "20260101-000000-fedcba"


class Adversary:
    """Who may write the bucket. `seals`: how it tries to make a small object look right."""

    def __init__(self, pair: Pair) -> None:
        self.store = ObjectStore(pair.objects.store.url)
        self.prefix = pair.objects.prefix

    def content(self, data: bytes) -> dict[str, Any]:
        """Write an object as a node does; the part that names it."""
        digest = hashlib.sha256(data).hexdigest()
        key = f"001-{digest[:24]}"
        self.store.put(f"{self.prefix}objects/{key}", data)
        return {"key": key, "size": len(data), "sha256": digest}

    def manifest(self, files: dict[str, bytes]) -> dict[str, Any]:
        named = {name: [self.content(data)] for name, data in files.items()}
        return self.content(zlib.compress(json.dumps({"files": named}).encode()))

    def write(self, name: str, stored: dict[str, Any], seal: Callable[[str, bytes], bytes]) -> None:
        self.store.put(f"{self.prefix}{name}", seal(f"{self.prefix}{name}", zlib.compress(json.dumps(stored).encode())))


def no_seal(_name: str, data: bytes) -> bytes:
    return data


def zeros(_name: str, data: bytes) -> bytes:
    return bytes(32) + data


def plain_digest(name: str, data: bytes) -> bytes:
    return hashlib.sha256(name.encode() + data).digest() + data


def of_another_home(name: str, data: bytes) -> bytes:
    stored = RunObjects(ObjectStore("file:///tmp"), RUN, "0" * 64)
    return stored.seal(name, data)


SEALS = (no_seal, zeros, plain_digest, of_another_home)


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    (tmp_path / "store").mkdir()
    return Pair(tmp_path, f"file://{tmp_path}/store")


@pytest.mark.parametrize("seal", SEALS)
def test_a_config_that_was_swapped_on_its_way_does_not_reach_a_node(pair: Pair, seal: Any) -> None:
    Pull(pair.objects, pair.head, 1).hand_over()
    enemy = Adversary(pair)
    swapped = {"config.json": b'{"plugins": ["/tmp/evil.py"]}', "plugins/01-evil.py": b"evil", "notebook.ipynb": b"{}"}
    enemy.write("001/inputs", {"attempt": 1, "manifest": enemy.manifest(swapped)}, seal)
    with pytest.raises(ObjectStoreError) as refused:
        restore(pair.objects, pair.node, 1)
    assert refused.value.reason == "damaged"
    assert not {*swapped} & {*tree(pair.node)}


@pytest.mark.parametrize("seal", SEALS)
def test_a_forged_end_is_not_believed(pair: Pair, seal: Any) -> None:
    pair.begin()
    pair.steps(1, 3)
    pair.sync()
    before = tree(pair.head)
    enemy = Adversary(pair)
    forged = {
        "exit-001.json": b'{"code": 0}', "events-001.jsonl": b"", "plugins/01-evil.py": b"evil", "manifest.json": b"{}",
        "checkpoints/a001-s00000009/optimizer.pt": b"\x80\x04cos\nsystem\n(S'touch /tmp/x'\ntR.",
    }  # fmt: skip
    state = {"attempt": 1, "number": 99, "manifest": enemy.manifest(forged), "last": True}
    enemy.write("001/state", state, seal)
    with pytest.raises(ObjectStoreError) as refused:
        pair.pull.pull()
    assert refused.value.reason == "damaged"
    assert not pair.pull.is_last
    assert tree(pair.head) == before
    pair.sync()  # what the node says next counts
    assert pair.seen() == [1, 2, 3]


@pytest.mark.parametrize("seal", SEALS)
@pytest.mark.parametrize("wish", [{"attempt": 1, "desired": "kill"}, {"attempt": 2}])
def test_a_forged_wish_ends_no_run(pair: Pair, seal: Any, wish: dict[str, Any]) -> None:
    pair.begin()
    Adversary(pair).write("desired", wish, seal)
    with pytest.raises(ObjectStoreError) as refused:
        pair.push.tick()
    assert refused.value.reason == "damaged"
    assert (pair.node / "desired").read_text() == "run"


def test_objects_of_another_run_or_attempt_are_not_taken(pair: Pair) -> None:
    """Each was sealed by the right home, for another place."""
    pair.begin()
    pair.steps(1, 2)
    run_layout.write_atomic(pair.node / "exit-001.json", "{}")
    pair.push.run()
    pair.pull.pull()
    ended = pair.objects.store.get(pair.objects.small(1, "state"), 10**6)
    inputs = pair.objects.store.get(pair.objects.small(1, "inputs"), 10**6)
    home = pair.head.parent.parent
    other = RunObjects(pair.objects.store, OTHER_RUN, signing.store_key(home, OTHER_RUN))
    for objects, attempt in ((pair.objects, 2), (other, 1)):
        for name, data in (("state", ended), ("inputs", inputs)):
            objects.store.put(objects.small(attempt, name), data)
        with pytest.raises(ObjectStoreError) as refused:
            objects.read(State, attempt, "state")
        assert refused.value.reason == "damaged"
        with pytest.raises(ObjectStoreError):
            restore(objects, pair.node.parent / "other" / objects.prefix.split("/")[1], attempt)


def test_a_stop_is_not_taken_back_by_an_older_wish(pair: Pair) -> None:
    pair.begin()
    older = pair.objects.store.get(pair.objects.small(None, "desired"), 10**4)
    pair.pull.tell("stop")
    pair.push.tick()
    pair.objects.store.put(pair.objects.small(None, "desired"), older)
    pair.push.tick()
    assert (pair.node / "desired").read_text() == "stop"


def test_an_older_state_takes_back_no_end(pair: Pair) -> None:
    pair.begin()
    pair.steps(1, 1)
    pair.sync()
    older = pair.objects.store.get(pair.objects.small(1, "state"), 10**6)
    checkpoint(pair.node, "a001-s00000001", b"weights")
    pair.end()
    pair.pull.pull()
    before = tree(pair.head)
    pair.objects.store.put(pair.objects.small(1, "state"), older)
    for pull in (pair.pull, Pull(pair.objects, pair.head, 1)):
        pull.pull()
        assert tree(pair.head) == before


def test_objects_that_were_deleted_are_sent_again_to_the_next_attempt(pair: Pair) -> None:
    """As by a rule of the bucket that removes what is old."""
    pair.begin()
    pair.steps(1, 3)
    checkpoint(pair.node, "a001-s00000003", b"weights")
    pair.end()
    pair.pull.pull()
    for name, _, _ in pair.objects.store.listing(f"{pair.objects.prefix}objects"):
        pair.objects.store.delete(f"{pair.objects.prefix}objects/{name}")
    pair.node = pair.node.parent / "other" / RUN
    pair.begin()
    assert tree(pair.head) | {"events-002.jsonl": b""} == tree(pair.node)
    shutil.rmtree(Path(pair.objects.store.url.removeprefix("file://"), pair.objects.prefix))
    pair.node = pair.node.parent.parent / "third" / RUN
    pair.begin()
    assert (pair.node / "checkpoints/last/model.safetensors").read_bytes() == b"weights"


def test_a_node_with_another_key_sends_nothing(pair: Pair) -> None:
    """A job that lacks the key, as one that another user has submitted under the same name."""
    Pull(pair.objects, pair.head, 1).hand_over()
    stranger = RunObjects(pair.objects.store, RUN, "1" * 64)
    with pytest.raises(ObjectStoreError):
        restore(stranger, pair.node, 1)
    pair.begin()
    with pytest.raises(ObjectStoreError):
        Push(stranger, pair.node, 1, interval=0, beat_every=0, over=pair.over, hurry=pair.over).tick()


# ── a store on a disk that others can write to ──────────────────────────────────────────────────────────────────────
@pytest.fixture
def victim(tmp_path: Path) -> Path:
    """Files of the run's user that are nobody's business."""
    folder = tmp_path / "victim"
    for name in (RUN, f"{RUN}/objects", f"{RUN}/001"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in ("thesis.txt", f"{RUN}/notes.txt", f"{RUN}/objects/photo.jpg", f"{RUN}/001/state", f"{RUN}/desired"):
        (folder / name).write_text("mine")
    return folder


@pytest.mark.parametrize("place", ["runs", f"runs/{RUN}", f"runs/{RUN}/001", f"runs/{RUN}/objects"])
def test_no_link_in_a_store_leads_out_of_it(pair: Pair, victim: Path, tmp_path: Path, place: str) -> None:
    pair.begin()
    before = {str(path): path.read_bytes() for path in victim.rglob("*") if path.is_file()}
    swapped = tmp_path / "store" / place
    swapped.rename(tmp_path / "moved")
    swapped.symlink_to(victim / Path(place).relative_to("runs"))
    store, prefix = pair.objects.store, pair.objects.prefix
    attempts: list[Callable[[], object]] = [
        lambda: store.put(f"{prefix}001/state", b"x"), lambda: store.put(f"{prefix}objects/new", b"x"),
        lambda: store.create(f"{prefix}001/owner", b"x"), lambda: store.get(f"{prefix}001/state", 100),
        lambda: store.get(f"{prefix}objects/photo.jpg", 100), lambda: store.delete(f"{prefix}objects/photo.jpg"),
        lambda: store.put_file(f"{prefix}objects/large", victim / "thesis.txt"),
        lambda: store.delete_below(prefix, 100), lambda: store.listing(prefix),
    ]  # fmt: skip
    for attempt in attempts:
        with contextlib.suppress(ObjectStoreError):
            attempt()
    assert {str(path): path.read_bytes() for path in victim.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("what", ["link", "pipe", "folder", "device"])
def test_only_a_plain_file_is_an_object(pair: Pair, victim: Path, tmp_path: Path, what: str) -> None:
    pair.begin()
    path = tmp_path / "store/runs" / RUN / "desired"
    path.unlink()
    {
        "link": lambda: path.symlink_to(victim / "thesis.txt"), "pipe": lambda: os.mkfifo(path), "folder": path.mkdir,
        "device": lambda: path.symlink_to("/dev/zero"),
    }[what]()  # fmt: skip
    with pytest.raises(ObjectStoreError) as refused:
        pair.push.tick()  # and does not wait for a writer of the pipe
    assert refused.value.reason == "damaged"


# ── the node ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_node_signs_what_came_under_the_runs_key(pair: Pair) -> None:
    """Each node's home has a key of its own: a task, or a plugin of a resumed run, is executed there, too."""
    home, code = pair.head.parent.parent, b"print('a loss')"
    (pair.head / "plugins").mkdir()
    (pair.head / "plugins/01-loss.py").write_bytes(code)
    (pair.head / "plugins/02-changed.py").write_bytes(b"changed")
    record = [{"name": name, "sha256": hashlib.sha256(code).hexdigest()} for name in ("01-loss.py", "02-changed.py")]
    (pair.head / "manifest.json").write_text(json.dumps({"plugins": record}))
    info = signing.signed_info(home, {"id": RUN, "payload": {"kind": "audit"}}, b"{}")
    (pair.head / "run.json").write_text(json.dumps(info))
    pair.node = pair.node.parent / "runs" / RUN
    pair.begin()
    node_home = pair.node.parent.parent
    assert (node_home / signing.KEY).read_bytes() != (home / signing.KEY).read_bytes()
    found = signing.own_info(node_home, pair.node)
    assert found is not None
    assert found["payload"] == {"kind": "audit"}
    first, second = signing.recorded_plugins(pair.node)
    assert signing.is_own_code(node_home, first["sha256"], first.get("signature"))
    assert second.get("signature") is None


def launch_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setenv(node_folder.NODE_HOME, str(home))
    environment = {node_folder.STORE_URL: "file:///nowhere", node_folder.HOME: "/of/the/head"}
    argv = ["python", f"/of/the/head/runs/{RUN}"]
    return {
        "run_id": RUN,
        "attempt": 1,
        "folder": argv[1],
        "argv": argv,
        "environment": environment,
        "IMGCLS_STORE_KEY": "",
    }


@pytest.mark.parametrize("what", ["home", "runs", "above"])
def test_a_nodes_folder_that_others_can_write_to_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """As a folder in /scratch that another user has made before."""
    home = tmp_path / "scratch" / "imgcls"
    (home / "runs").mkdir(parents=True)
    {"home": home, "runs": home / "runs", "above": home.parent}[what].chmod(0o777)
    with pytest.raises(UnsafeFolderError):
        node_folder.restored(launch_on(home, monkeypatch), 0)
    assert not list((home / "runs").iterdir())


def test_a_nodes_folder_that_another_user_owns_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("root alone can give a folder away")
    home = tmp_path / "scratch" / "imgcls"
    (home / "runs").mkdir(parents=True)
    os.chown(home / "runs", 12345, -1)
    with pytest.raises(UnsafeFolderError) as refused:
        node_folder.restored(launch_on(home, monkeypatch), 0)
    assert refused.value.reason == "owner"

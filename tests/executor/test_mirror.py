"""The mirror of runs' folders in an object store, without processes: what is sent, named, fetched and refused."""

from __future__ import annotations

import itertools
import json
import os
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import locks, run_layout, run_paths
from imgcls_lab.errors import ConfigError, ConflictError, ObjectStoreError
from imgcls_lab.executor.mirror import index
from imgcls_lab.executor.mirror.__main__ import bring
from imgcls_lab.executor.mirror.head import Pull, check_inside
from imgcls_lab.executor.mirror.index import Manifest, Part, State, Tail
from imgcls_lab.executor.mirror.node import FencedError, restore
from imgcls_lab.executor.mirror.object_store import BLOCK, MissingObjectError, ObjectStore
from imgcls_lab.executor.mirror.upload import PART
from imgcls_lab.executor.supervisor import LOCK
from tests.clusters.s3_server import environment
from tests.executor.mirror_pair import Pair, checkpoint, tree

SPEEDUP = 6  # of the hour, ten minutes are looked at


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    (tmp_path / "store").mkdir()
    return Pair(tmp_path, f"file://{tmp_path}/store")


def test_events_arrive_in_whole_lines_and_once(pair: Pair) -> None:
    pair.begin()
    pair.steps(1, 3)
    with (pair.node / "events-001.jsonl").open("ab") as file:
        file.write(b'{"half of a li')
    pair.sync()
    assert (pair.head / "events-001.jsonl").read_bytes().endswith(b"}\n")
    pair.sync()
    assert pair.seen() == [1, 2, 3]


def test_long_events_become_parts_that_are_never_sent_again(pair: Pair) -> None:
    pair.begin()
    for last in range(1000, 6000, 1000):
        pair.steps(last - 999, last)
        pair.sync()
    assert pair.seen() == list(range(1, 5001))
    state = pair.objects.read(State, 1, "state")
    assert state.manifest is not None
    parts = pair.objects.read_manifest(state.manifest).files["events-001.jsonl"]
    assert len(parts) >= 2
    assert len(state.tails["events-001.jsonl"].text) < PART


def test_a_checkpoint_is_there_before_the_event_that_names_it(pair: Pair) -> None:
    pair.begin()
    pair.steps(1, 1)
    pair.sync()
    checkpoint(pair.node, "a001-s00000001", b"weights")
    real = pair.objects.store.put
    order: list[str] = []

    def put(name: str, data: bytes) -> None:
        order.append(name)
        real(name, data)

    pair.objects.store.put = put  # type: ignore[method-assign]
    pair.steps(2, 2)
    pair.sync()
    assert order[-1] == pair.objects.small(1, "state")
    assert (pair.head / "checkpoints/last/model.safetensors").read_bytes() == b"weights"
    assert pair.seen() == [1, 2]


def test_a_resumed_attempt_begins_elsewhere_with_the_same_folder(pair: Pair) -> None:
    pair.begin()
    pair.steps(1, 5)
    checkpoint(pair.node, "a001-s00000005", os.urandom(100_000))
    (pair.node / "reports").mkdir()
    (pair.node / "reports/epoch-0001.json").write_text("{}")
    (pair.node / "output.log").write_bytes(b"\xff\x00 odd bytes\n")
    pair.end()
    pair.pull.pull()
    assert pair.pull.is_last
    assert tree(pair.head) == tree(pair.node)
    before = pair.objects.store.requests["put"]
    pair.node = pair.node.parent / "other" / pair.node.name
    pair.begin()
    assert tree(pair.head) | {"events-002.jsonl": b""} == tree(pair.node)
    assert (
        pair.objects.store.requests["put"] - before <= 7
    )  # log, events and exit, manifest and three small ones: no checkpoint again
    pair.steps(6, 7)
    pair.sync()
    assert pair.seen() == [1, 2, 3, 4, 5, 6, 7]


def test_a_node_starts_without_what_an_earlier_attempt_left_there(pair: Pair) -> None:
    pair.begin()
    checkpoint(pair.node, "a001-s00000001", b"sent")
    pair.sync()
    checkpoint(pair.node, "a001-s00000009", b"never sent")
    pair.begin()
    left = sorted(path.name for path in (pair.node / "checkpoints").iterdir())
    assert left == ["a001-s00000001", "last"]
    assert os.readlink(pair.node / "checkpoints/last") == "a001-s00000001"


def test_what_the_node_removes_goes_at_the_head_and_in_the_store(pair: Pair) -> None:
    pair.begin()
    checkpoint(pair.node, "a001-s00000001", b"first" * 10)
    pair.sync()
    held = set(pair.objects.store.listing(pair.objects.prefix))
    checkpoint(pair.node, "a001-s00000002", b"second" * 10)
    (pair.node / "checkpoints/a001-s00000001").rename(pair.node / "checkpoints/.new-doomed")
    pair.sync()
    assert [path.name for path in sorted((pair.head / "checkpoints").iterdir())] == ["a001-s00000002", "last"]
    pair.sync()
    left = set(pair.objects.store.listing(pair.objects.prefix))
    assert len(left) <= len(held)
    assert (pair.head / "config.json").exists()


def test_a_checkpoint_that_vanishes_while_it_is_sent_is_not_named(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.begin()
    checkpoint(pair.node, "a001-s00000001", b"first")
    real = pair.objects.write_content

    def write(attempt: int, data: bytes) -> Part:
        if data == b"first":
            (pair.node / "checkpoints/a001-s00000001").rename(pair.node / "checkpoints/.new-doomed")
        return real(attempt, data)

    monkeypatch.setattr(pair.objects, "write_content", write)
    pair.sync()
    assert not [name for name in tree(pair.head) if name.startswith("checkpoints")]


def test_a_log_that_was_cut_is_the_same_at_the_head(pair: Pair) -> None:
    pair.begin()
    log = pair.node / "output.log"
    log.write_bytes(b"a" * PART + b"b" * PART + b"end of the first\n")
    pair.sync()
    for content in (b"a" * 100 + b"[cut]" + b"c" * PART, b"a" * 100 + b"[cut]" + b"c" * (3 * PART)):
        log.write_bytes(content)
        pair.sync()
        assert (pair.head / "output.log").read_bytes() == content


def test_a_killed_uploader_goes_on_where_it_was(pair: Pair) -> None:
    pair.begin()
    pair.steps(1, 3000)
    checkpoint(pair.node, "a001-s00000001", os.urandom(50_000))
    pair.sync()
    pair.push = pair.new_push()
    before = pair.objects.store.requests["put"]
    pair.steps(3001, 3010)
    pair.sync()
    assert pair.objects.store.requests["put"] - before <= 3
    assert pair.seen() == list(range(1, 3011))


def test_a_restarted_head_finds_its_place(pair: Pair) -> None:
    pair.begin()
    pair.steps(1, 2000)
    checkpoint(pair.node, "a001-s00000001", os.urandom(50_000))
    pair.sync()
    pair.steps(2001, 2002)
    pair.pull = Pull(pair.objects, pair.head, 1)
    before = pair.objects.store.requests["get"]
    pair.sync()
    assert pair.seen() == list(range(1, 2003))
    assert pair.objects.store.requests["get"] - before <= 4  # desired, state, manifest: no content again


def test_an_answer_from_the_past_changes_nothing(pair: Pair) -> None:
    pair.begin()
    checkpoint(pair.node, "a001-s00000001", b"first")
    pair.sync()
    old = pair.objects.store.get(pair.objects.small(1, "state"), 10**6)
    checkpoint(pair.node, "a001-s00000002", b"second")
    pair.steps(1, 2)
    pair.sync()
    before = tree(pair.head)
    pair.objects.store.put(pair.objects.small(1, "state"), old)
    for pull in (pair.pull, Pull(pair.objects, pair.head, 1)):
        pull.pull()
        assert tree(pair.head) == before


def test_requests_to_stop_reach_the_folder_of_the_node(pair: Pair) -> None:
    pair.begin()
    assert (pair.node / "desired").read_text() == "run"
    (pair.head / "desired").write_text("stop")
    pair.pull.tell_as_folder()
    pair.push.tick()
    assert (pair.node / "desired").read_text() == "stop"


def test_a_newer_attempt_ends_the_older_one(pair: Pair) -> None:
    pair.begin()
    older, folder = pair.push, pair.node
    pair.node = pair.node.parent / "other" / pair.node.name
    pair.begin()
    with pytest.raises(FencedError):
        older.run()
    assert (folder / "desired").read_text() == "kill"


def test_an_attempt_is_taken_by_one_node_only(pair: Pair, tmp_path: Path) -> None:
    pair.begin()
    with pytest.raises(ConflictError) as taken:
        restore(pair.objects, tmp_path / "third" / pair.node.name, 1)
    assert taken.value.reason == "taken"
    pair.push.tick()
    with pytest.raises(ConflictError) as begun:
        restore(pair.objects, pair.node, 1)
    assert begun.value.reason == "began"


def test_a_folder_in_which_a_supervisor_lives_is_not_restored(pair: Pair) -> None:
    pair.begin()
    held = locks.try_lock(pair.node / LOCK)
    Pull(pair.objects, pair.head, 2).hand_over()
    with pytest.raises(ConflictError) as lives:
        restore(pair.objects, pair.node, 2)
    assert lives.value.reason == "lives"
    assert held is not None
    os.close(held)


def test_a_start_waits_until_an_earlier_attempt_has_ended_there(pair: Pair) -> None:
    pair.begin()
    held = locks.try_lock(pair.node / LOCK)
    assert held is not None
    Pull(pair.objects, pair.head, 2).hand_over()
    ending = threading.Timer(0.5, os.close, (held,))
    ending.start()
    bring(pair.objects, pair.node, 2, take=True)
    assert not ending.is_alive()
    assert (pair.node / "config.json").exists()


def test_an_attempt_without_a_supervisor_ends_without_an_exit(pair: Pair) -> None:
    pair.begin()
    pair.steps(1, 2)
    pair.over.set()
    pair.push.run()
    pair.pull.pull()
    assert pair.pull.is_last
    assert not (pair.head / "exit-001.json").exists()
    assert pair.seen() == [1, 2]


def test_a_store_that_is_away_delays_the_run_and_ends_nothing(pair: Pair, tmp_path: Path) -> None:
    pair.begin()
    (tmp_path / "store").rename(tmp_path / "away")
    pair.steps(1, 2)
    with pytest.raises(ObjectStoreError):
        pair.push.tick()
    with pytest.raises(ObjectStoreError) as seen:
        pair.pull.pull()
    assert seen.value.reason == "no_bucket"
    (tmp_path / "away").rename(tmp_path / "store")
    pair.sync()
    assert pair.seen() == [1, 2]


def test_the_last_word_waits_between_two_tries(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pair.begin()
    (tmp_path / "store").rename(tmp_path / "away")
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 4:
            (tmp_path / "away").rename(tmp_path / "store")

    monkeypatch.setattr("imgcls_lab.executor.mirror.node.time.sleep", sleep)
    pair.push._interval = 1.0
    pair.end()
    assert slept == [2.0, 4.0, 8.0, 15.0]


def test_folders_of_one_machine_are_refused() -> None:
    with pytest.raises(ConfigError) as refused:
        check_inside({"ckpt_dir": "/scratch/models", "tb_root": ""})
    assert [problem.field for problem in refused.value.problems] == ["ckpt_dir"]


def test_an_hour_of_training_costs_few_requests(pair: Pair) -> None:
    """3,600 s at two seconds each: eight steps a second, an epoch with its report and checkpoint every five minutes."""
    pair.begin()
    sent = read = 0
    requests = pair.objects.store.requests
    for tick in range(1800 // SPEEDUP):
        pair.steps(16 * tick + 1, 16 * tick + 16)
        if tick % 150 == 149:
            checkpoint(pair.node, f"a001-s{16 * tick:08d}", b"weights")
            (pair.node / f"report-{tick}.json").write_text("{}")
        before = dict(requests)
        pair.push.tick()
        sent, read = sent + requests["put"] - before["put"], read + requests["get"] - before["get"]
        if tick % 150 == 149:
            pair.pull.pull()
    print(f"\nan hour of training: {sent * SPEEDUP} writes and {read * SPEEDUP} reads by the node (target: 2,000 each)")
    assert sent * SPEEDUP < 2000
    assert read * SPEEDUP <= 2000
    assert pair.seen() == list(range(1, 16 * (tick + 1) + 1))


# ── what a node says is not trusted either ──────────────────────────────────────────────────────────────────────────
def publish(pair: Pair, files: dict[str, bytes] | dict[str, Any], links: dict[str, str] | None = None) -> None:
    """A state whose manifest nobody has checked."""
    parts = {
        name: (pair.objects.write_content(1, data),) if isinstance(data, bytes) else data
        for name, data in files.items()
    }
    manifest = Manifest.model_construct(files=parts, links=links or {})
    state = State(attempt=1, number=99, manifest=pair.objects.write_content(1, index.pack(manifest)))
    pair.objects.write(state, 1, "state")


@pytest.mark.parametrize(
    "name",
    ["../escaped", "/etc/escaped", "a/../../escaped", "a//b", ".hidden", "reports/.hidden", "a\0b", "a\\b", "x" * 300,
     "/".join("a" * 20), "line\nbreak"],
)  # fmt: skip
def test_a_name_that_leads_out_is_refused(pair: Pair, name: str) -> None:
    pair.begin()
    before = tree(pair.head.parent)
    publish(pair, {name: b"content"})
    with pytest.raises(ObjectStoreError) as refused:
        pair.pull.pull()
    assert refused.value.reason == "damaged"
    assert tree(pair.head.parent) == before


def test_files_of_the_head_are_not_taken_from_a_node(pair: Pair) -> None:
    pair.begin()
    publish(pair, {"config.json": b'{"plugins": 1}', "run.json": b"{}", "launch-009.json": b"{}", "desired": b"kill"})
    pair.pull.pull()
    assert tree(pair.head) == {"config.json": b"{}"}


@pytest.mark.parametrize(
    "links", [{"checkpoints/last": "../.."}, {"reports": "a001-s00000001"}, {"checkpoints/x": "a"}]
)
def test_a_link_to_anything_but_a_checkpoint_is_refused(pair: Pair, links: dict[str, str]) -> None:
    pair.begin()
    publish(pair, {"checkpoints/a001-s00000001/m": b"x"}, links)
    with pytest.raises(ObjectStoreError):
        pair.pull.pull()


def test_nothing_is_written_behind_a_link(pair: Pair, tmp_path: Path) -> None:
    pair.begin()
    outside = tmp_path / "outside"
    outside.mkdir()
    (pair.head / "reports").symlink_to(outside)
    publish(pair, {"reports/epoch-0001.json": b"{}"})
    with pytest.raises(OSError):
        pair.pull.pull()
    assert not list(outside.iterdir())


def test_changed_content_is_refused(pair: Pair) -> None:
    pair.begin()
    (pair.node / "manifest.json").write_bytes(b"content")
    pair.push.tick()
    state = pair.objects.read(State, 1, "state")
    assert state.manifest is not None
    key = pair.objects.read_manifest(state.manifest).files["manifest.json"][0].key
    pair.objects.store.put(pair.objects.content(key), b"CONTENT")
    with pytest.raises(ObjectStoreError) as refused:
        pair.pull.pull()
    assert refused.value.reason == "damaged"
    assert not (pair.head / "manifest.json").exists()


def test_objects_beyond_their_bounds_are_refused(pair: Pair) -> None:
    pair.begin()
    bomb = State(attempt=1, number=1, tails={"events-001.jsonl": Tail(offset=0, text="a" * 10**7)})
    assert len(index.pack(bomb)) < 10**5
    pair.objects.write(bomb, 1, "state")
    with pytest.raises(ObjectStoreError):
        pair.pull.pull()
    pair.objects.store.put(pair.objects.small(1, "state"), b"x" * (index.SEAL + index.LARGEST_STATE + 1))
    with pytest.raises(ObjectStoreError) as refused:
        pair.pull.pull()
    assert refused.value.reason == "too_large"
    publish(pair, {"weights": (Part(key="001-aaaaaaaa", size=2**41, sha256="0" * 64),)})
    with pytest.raises(OSError, match="No space"):
        pair.pull.pull()


def test_a_file_that_is_replaced_while_it_is_sent_is_sent_whole(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    """A larger file takes the place of `run.json` between the look at its size and the reading of it."""
    info, real, times = pair.head / "run.json", run_paths.open_plain, iter("ab")
    info.write_text(json.dumps({"state": "queued"}))

    def replaced(folder: Path, name: str, *elsewhere: Any) -> BufferedReader:
        if name == info.name and (time := next(times, None)):
            run_layout.write_atomic(info, json.dumps({"state": "starting", "time": time}))
        return real(folder, name, *elsewhere)

    monkeypatch.setattr(run_paths, "open_plain", replaced)
    pair.begin()
    assert json.loads((pair.node / "run.json").read_text())["time"] == "b"


def test_a_file_that_never_rests_is_named(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    info, real, size = pair.head / "run.json", run_paths.open_plain, itertools.count(1)
    info.write_text("{}")

    def replaced(folder: Path, name: str, *elsewhere: Any) -> BufferedReader:
        if name == info.name:
            run_layout.write_atomic(info, " " * next(size))
        return real(folder, name, *elsewhere)

    monkeypatch.setattr(run_paths, "open_plain", replaced)
    monkeypatch.setattr("imgcls_lab.executor.mirror.upload.time.sleep", lambda _: None)
    with pytest.raises(OSError, match=r"changes all the time.*run\.json"):
        pair.begin()


def test_a_pickle_is_bytes(pair: Pair) -> None:
    """Nothing that comes from the store is ever loaded: unpacking is JSON of known models."""
    with pytest.raises(ObjectStoreError):
        index.unpack(State, b"\x80\x04cos\nsystem\n(S'true'\ntR.", 1000)


# ── the store itself ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("s3://key:secret@bucket/x", "secret_in_url"),
        ("s3://bucket/x?token=secret", "secret_in_url"),
        ("no-url", "no_url"),
        ("s3://", "no_url"),
        ("wrong://bucket", "no_url"),
    ],
)
def test_a_url_that_names_no_store_is_refused(url: str, reason: str) -> None:
    with pytest.raises(ObjectStoreError) as refused:
        ObjectStore(url)
    assert refused.value.reason == reason
    assert "secret@" not in str(refused.value)


def test_a_missing_library_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "s3fs", None)
    for scheme in ("s3", "s3a"):  # fsspec remembers what it has imported once
        monkeypatch.delitem(import_module("fsspec.registry")._registry, scheme, raising=False)
    with pytest.raises(ObjectStoreError) as refused:
        ObjectStore("s3://bucket/home")
    assert refused.value.reason == "no_library"


class _Refusing(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # it answers `Expect: 100-continue`
    status, code = 403, "AccessDenied"

    def _answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = f"<?xml version='1.0'?><Error><Code>{self.code}</Code><Message>no</Message></Error>".encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_DELETE = _answer  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[_Refusing]]:
    """An S3 server that refuses every request in the way that the test says."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Refusing)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    for name, value in environment(f"http://127.0.0.1:{server.server_port}").items():
        monkeypatch.setenv(name, value)
    yield _Refusing
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "code", "reason"),
    [
        (404, "NoSuchBucket", "no_bucket"),
        (403, "InvalidAccessKeyId", "wrong_credentials"),
        (403, "SignatureDoesNotMatch", "wrong_credentials"),
        (400, "ExpiredToken", "wrong_credentials"),
        (403, "AccessDenied", "no_rights"),
        (403, "RequestTimeTooSkewed", "clock"),
        (403, "QuotaExceeded", "full"),
        (507, "XMinioStorageFull", "full"),
    ],
)
def test_a_refusal_of_s3_is_a_reason(refusing: Any, status: int, code: str, reason: str) -> None:
    refusing.status, refusing.code = status, code
    store = ObjectStore("s3://bucket/home")
    for request in (lambda: store.put("a", b"x"), lambda: store.get("a", 10)):
        with pytest.raises(ObjectStoreError) as refused:
            request()
        assert refused.value.reason == reason
        assert "secret-of-a-test" not in str(refused.value)


def test_a_store_that_nobody_answers_for_is_unreachable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment("http://127.0.0.1:9").items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ObjectStoreError) as refused:
        ObjectStore("s3://bucket/home").put("a", b"x")
    assert refused.value.reason == "unreachable"


def test_missing_credentials_are_a_reason(refusing: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ObjectStoreError) as refused:
        ObjectStore("s3://bucket/home").put("a", b"x")
    assert refused.value.reason == "no_credentials"


def test_a_local_store_that_is_not_mounted_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(ObjectStoreError) as refused:
        ObjectStore(f"file://{tmp_path}/nothing").put("a", b"x")
    assert refused.value.reason == "no_bucket"
    assert not (tmp_path / "nothing").exists()


def test_content_larger_than_a_block_is_read_in_blocks(tmp_path: Path) -> None:
    store = ObjectStore(f"file://{tmp_path}")
    (tmp_path / "large").write_bytes(b"x" * (BLOCK + 5))
    assert [len(block) for block in store.blocks("large", BLOCK + 5)] == [BLOCK, 5]
    with pytest.raises(ObjectStoreError):
        list(store.blocks("large", BLOCK + 6))
    with pytest.raises(MissingObjectError):
        store.get("nothing", 10)

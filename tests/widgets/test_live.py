"""The kernel's side of a live cell: numbered batches, snapshots, answers, and an end."""

from __future__ import annotations

import hashlib
import io
import json
import math
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ipywidgets.widgets.widget import _instances
from PIL import Image

from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.events import EventWriter, Finished, Metrics, Started
from imgcls_lab.schemas import Series
from imgcls_lab.widgets import comm, live, widget_output
from imgcls_lab.widgets.comm import Pusher, pack
from tests.analysis.made import MadeRun, image_id, names_of
from tests.waiting import until

STARTED = Started(
    total_steps=20,
    steps_per_epoch=10,
    epochs=2,
    train_images=100,
    val_images=20,
    classes=2,
    device="cpu",
    precision="fp32",
    threads=1,
)


class Page:
    """What a page would get."""

    def __init__(self) -> None:
        self.snapshots: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.buffers: list[list[bytes] | None] = []

    def set_snapshot(self, snapshot: dict[str, Any]) -> None:
        self.snapshots.append(snapshot)

    def post(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None:
        self.messages.append(message)
        self.buffers.append(buffers)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / run_layout.CONFIG).write_text(TrainConfig(root="flowers", model_flavour="m").model_dump_json())
    with EventWriter(tmp_path, 1) as events:
        events.write(STARTED)
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comm, "PERIOD", 0.02)
    monkeypatch.setattr(comm, "REST", 0.1)


def test_a_page_gets_every_point_once_in_numbered_batches_until_the_end(folder: Path, quick: None) -> None:
    page = Page()
    pusher = Pusher(RunFolder(folder), page)
    pusher.start()
    with EventWriter(folder, 1) as events:
        for number in range(1, 21):
            events.write(Metrics(step=number, epoch=number / 10, values={"loss/train": 1 / number}))
            time.sleep(0.01)
        events.write(Finished(step=20, best_epoch=2, values={}))
    until(lambda: not pusher.running)

    assert page.snapshots[0]["seq"] == 0
    assert [message["seq"] for message in page.messages] == list(range(1, len(page.messages) + 1))
    steps: list[float] = []
    for message, buffers in zip(page.messages, page.buffers, strict=True):
        if message["heads"]:
            assert buffers is not None
            count = message["heads"][0]["count"]
            steps += struct.unpack(f"<{4 * count}d", buffers[0])[:count]
    assert steps == list(range(1, 21))
    last = page.snapshots[-1]
    assert (last["run"]["state"], last["heads"][0]["count"]) == ("succeeded", 20)
    assert last["seq"] == len(page.messages)


def test_a_page_without_news_hears_that_the_kernel_lives(
    folder: Path, quick: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comm, "ALIVE", 0.1)
    page = Page()
    pusher = Pusher(RunFolder(folder), page)
    pusher.start()
    until(lambda: page.messages.count({"op": "alive"}) >= 3)
    pusher.close()
    until(lambda: not pusher.running, seconds=2)


def test_closing_ends_the_thread(folder: Path, quick: None) -> None:
    pusher = Pusher(RunFolder(folder), Page())
    pusher.start()
    assert pusher.running
    pusher.close()
    until(lambda: not pusher.running, seconds=2)


def test_a_deleted_run_ends_the_thread(folder: Path, quick: None) -> None:
    run = RunFolder(folder)
    pusher = Pusher(run, Page())
    pusher.start()
    run._config = None
    (folder / run_layout.CONFIG).unlink()
    until(lambda: not pusher.running)


def test_a_page_is_answered_about_its_run_and_no_other(folder: Path) -> None:
    (folder / run_layout.OUTPUT_LOG).write_text("hello\n")
    page = Page()
    run = RunFolder(folder)
    pusher = Pusher(run, page)
    pusher.answer({"op": "query", "id": 1, "kind": "log", "params": {"id": run.run_id}})
    pusher.answer({"op": "query", "id": 2, "kind": "log", "params": {"id": "20260101-000000-aaaaaa"}})
    pusher.answer({"op": "command", "id": 3, "name": "stop", "args": {"id": run.run_id}})
    pusher.answer({"op": "command", "id": 4, "name": "runs.delete", "args": {"id": run.run_id}})
    pusher.answer({"op": "query", "id": 5, "kind": "report", "params": {"id": run.run_id}})
    assert [message["id"] for message in page.messages] == [1, 2, 3, 4, 5]
    assert page.messages[0]["result"]["text"] == "hello\n"
    assert [message["error"]["status"] for message in page.messages[1:]] == [400, 409, 400, 404]
    for odd in (5, True, 1.5, "x", [], ["a"], {"a": 1}, None):
        pusher.answer({"op": "query", "id": 6, "kind": odd, "params": odd})
        pusher.answer({"op": "picture", "id": 6, "request": odd})
        pusher.answer({"op": "query", "id": 6, "kind": "flips", "params": {"id": run.run_id, "against": odd}})
    assert all(message["error"]["status"] in (400, 404) for message in page.messages[5:])
    pusher.answer({"op": "resync"})
    assert len(page.snapshots) == 1


def test_points_are_packed_as_little_endian_doubles() -> None:
    series = Series(run_id="r", tag="lr", step=[1, 2], epoch=[0.5, 1], time=[7, 8], value=[0.25, None], thinned=False)
    heads, data = pack([series, series])
    assert [head["count"] for head in heads] == [2, 2]
    values = struct.unpack("<16d", data)
    assert values[:7] == (1, 2, 0.5, 1, 7, 8, 0.25)
    assert math.isnan(values[7])
    assert pack([]) == ([], b"")


@pytest.mark.skipif(not widget_output.available(), reason="the widget's front end is not built")
def test_the_widget_carries_its_front_end_and_closes_cleanly(folder: Path, quick: None) -> None:
    widget = live.LiveRunWidget(RunFolder(folder))
    assert live_widgets()[widget.code].text == widget_output.SCRIPT.read_text()
    assert ".imgcls" in live_widgets()[widget.code]._css
    assert widget.snapshot["run"]["state"] == "running"
    assert widget.following
    widget.close()
    until(lambda: not widget.following, seconds=2)


def test_a_page_is_answered_about_the_images_of_its_run(folder: Path) -> None:
    MadeRun(folder, ["cat", "dog"]).write([0, 1, 1], np.asarray([[0.9, 0.1], [0.8, 0.2], [1.0, 0.0]]))
    page, run = Page(), RunFolder(folder)
    pusher = Pusher(run, page)
    asked: list[tuple[str, dict[str, Any]]] = [
        ("evaluation", {}),
        ("evaluated", {"show": "mistakes", "label": "dog"}),
        ("image", {"image": image_id(names_of(3)[0])}),
        ("curves", {"label": "dog"}),
        ("flips", {}),
        ("evaluated", {"sort": "size"}),
        ("evaluation", {"epoch": "x"}),
    ]
    for number, (kind, params) in enumerate(asked):
        pusher.answer({"op": "query", "id": number, "kind": kind, "params": {"id": run.run_id, **params}})
    view, mistakes, image, curves, *refused = page.messages
    assert view["result"]["images"] == 3
    assert [item["loss"] for item in mistakes["result"]["items"]] == [
        None,
        pytest.approx(-math.log(0.2)),
    ]  # the first: infinite
    assert image["result"]["image"]["label"] == "cat"
    assert curves["result"]["images"] == 2
    assert [message["error"]["status"] for message in refused] == [404, 400, 400]


def test_a_page_gets_the_pictures_of_its_run_as_buffers(tmp_path: Path) -> None:
    root, folder = tmp_path / "images", tmp_path / "run"
    (root / "val/cat").mkdir(parents=True)
    folder.mkdir()
    Image.new("RGB", (300, 200), "red").save(root / "val/cat/1.png")
    image = hashlib.sha256((root / "val/cat/1.png").read_bytes()).hexdigest()
    (folder / run_layout.CONFIG).write_text(TrainConfig(root=str(root), model_flavour="m").model_dump_json())
    MadeRun(folder, ["cat", "dog"]).write([0], np.asarray([[0.9, 0.1]]), names=["val/cat/1.png"])
    listing = folder / "predictions/val-images.npz"
    with np.load(listing) as held:
        arrays = dict(held)
    np.savez(listing, **arrays | {"digests": np.frombuffer(bytes.fromhex(image), np.uint8).reshape(1, 32)})
    page, run = Page(), RunFolder(folder)
    pusher = Pusher(run, page)
    asked = {"kind": "run", "id": run.run_id, "image": image, "size": 128}
    for request in (asked, {**asked, "size": 100}, {**asked, "image": "0" * 64}, {**asked, "id": "another"}, {}):
        pusher.answer({"op": "picture", "id": 1, "request": request})
    (picture,) = page.buffers[0] or []
    assert Image.open(io.BytesIO(picture)).size == (128, 85)
    assert [message["error"]["status"] for message in page.messages[1:]] == [400, 404, 400, 400]


def test_many_cells_share_one_code_and_the_last_takes_it_along(folder: Path) -> None:
    others = {*live_widgets()}  # of the tests before
    cells = [live.LiveRunWidget(RunFolder(folder)) for _ in range(4)]
    (code,) = {cell.code for cell in cells}
    script = widget_output.SCRIPT.read_text()
    states = {key: json.dumps(widget.get_state(), default=repr) for key, widget in live_widgets().items()}
    assert [key for key, state in states.items() if json.dumps(script[:200])[1:-1] in state] == [code]
    assert max(len(states[cell.model_id]) for cell in cells) < 12_000
    for cell in cells[1:]:
        cell.close()
        cell.close()  # twice is no harm
    assert code in live_widgets()
    cells[0].close()
    assert (set(states) - others) & set(live_widgets()) == set()


def live_widgets() -> dict[str, Any]:
    """The widgets of this process that a notebook would keep, by their model's id."""
    return dict(_instances)

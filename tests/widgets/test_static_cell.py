"""What a notebook keeps of a run: a picture with the live cell's colours, a table, and little room."""

from __future__ import annotations

import base64
import io
import json
import math
import random
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.config.evaluation import METRIC_TITLES
from imgcls_lab.events import EventWriter, Failed, FailureKind, Finished, Metrics, RunState, Started
from imgcls_lab.schemas import RunDetail, Series
from imgcls_lab.widgets import static_cell, static_picture
from imgcls_lab.widgets.static_cell import static_parts

THEME = Path(__file__).parents[2] / "labextension" / "src" / "views" / "ui" / "theme.css"
CELL_BUDGET = 25_000  # bytes of a finished cell's output


def made(folder: Path, *, epochs: int = 8, steps: int = 400, noise: float = 0.3, monitor: str = "accuracy") -> None:
    """A run that has succeeded, with curves as trainings have them."""
    config = TrainConfig(root="flowers", model_flavour="m", monitor_metric=monitor, epochs=epochs)
    (folder / run_layout.CONFIG).write_text(config.model_dump_json())
    dice = random.Random(7)
    with EventWriter(folder, 1) as events:
        events.write(
            Started(
                total_steps=steps, steps_per_epoch=steps // epochs, epochs=epochs, train_images=100, val_images=20,
                classes=2, device="cpu", precision="fp32", threads=1,
            )
        )  # fmt: skip
        for step in range(1, steps + 1):
            epoch = step * epochs / steps
            values = {"loss/train": 2 * math.exp(-epoch / 2) + noise * dice.random()}
            if step % (steps // epochs) == 0:
                values |= {"loss/val": 2 * math.exp(-epoch / 2) + 0.1}
                values |= {f"metric/{name}": 1 - 0.8 * math.exp(-epoch / 2) for name in METRIC_TITLES if name != "loss"}
            events.write(Metrics(step=step, epoch=epoch, values=values))
        events.write(Finished(step=steps, best_epoch=epochs, values={}))


def parts_of(folder: Path) -> tuple[RunDetail, list[Series], dict[str, str]]:
    run = RunFolder(folder).run()
    series = RunFolder(folder).series(static_cell.tags(run), static_cell.POINTS).series
    return run, series, static_parts(run, series)


@pytest.mark.parametrize("noise", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("monitor", ["accuracy", "macro_f1"])
def test_a_finished_cell_takes_little_room(tmp_path: Path, noise: float, monitor: str) -> None:
    made(tmp_path, noise=noise, monitor=monitor)
    _, _, parts = parts_of(tmp_path)
    assert len(base64.b64decode(parts["image/png"])) <= 20_000
    assert len(json.dumps(parts)) <= CELL_BUDGET


def test_the_picture_has_the_colours_of_the_live_cell(tmp_path: Path) -> None:
    light = dict(re.findall(r"--imgcls-([\w-]+): light-dark\((#\w+), ", THEME.read_text().partition("}")[0]))
    series = {f"series-{n}": colour for n, colour in enumerate(static_picture.COLOURS.values(), 1)}
    states = {("brand" if name == "live" else name): value for name, value in static_picture.STATE_COLOURS.items()}
    assert {name: light[name] for name in {**series, **states}} == {**series, **states}
    made(tmp_path)
    _, _, parts = parts_of(tmp_path)
    picture = Image.open(io.BytesIO(base64.b64decode(parts["image/png"]))).convert("RGB")
    seen = {f"#{bytes(pixel).hex()}" for pixel in np.unique(np.asarray(picture).reshape(-1, 3), axis=0)}
    assert {"#ffffff", static_picture.COLOURS["training"], static_picture.COLOURS["validation"]} <= seen


def test_smoothing_is_an_unbiased_moving_average() -> None:
    drawn = static_picture.smoothed([(0.0, 4.0), (1.0, 4.0), (2.0, 0.0)], 0.5)
    assert [epoch for epoch, _ in drawn] == [0, 1, 2]
    assert [value for _, value in drawn] == pytest.approx([4, 4, (1 / 8 * 4 + 1 / 4 * 4) / (7 / 8)])


@pytest.mark.parametrize(
    "values", [[], [None], [1.0], [0.0], [1.0, None, 1.0], [-5e8, 5e8], [float(i) for i in range(500)]]
)
def test_any_curve_can_be_drawn(tmp_path: Path, values: list[float | None]) -> None:
    made(tmp_path)
    run, _, _ = parts_of(tmp_path)
    steps = list(range(len(values)))
    epochs = [step / 10 for step in steps]
    loss = Series(run_id="r", tag="loss/train", step=steps, epoch=epochs, time=epochs, value=values, thinned=False)
    Image.open(io.BytesIO(static_picture.png(run, [loss]))).load()


def test_a_run_that_can_go_on_says_how(tmp_path: Path) -> None:
    (tmp_path / run_layout.CONFIG).write_text(TrainConfig(root="flowers", model_flavour="m").model_dump_json())
    with EventWriter(tmp_path, 1) as events:
        events.write(Failed(step=0, kind=FailureKind.APPLICATION, message="The disk is full."))
    run, _, parts = parts_of(tmp_path)
    assert parts["text/plain"].startswith(f"{run.name} failed: The disk is full")
    assert ("resume()" in parts["text/plain"]) == run.resumable
    assert static_cell.mark(run) == "failed 1 0"


@pytest.mark.parametrize("name", ["a" * 200, "花の写真", "tabs\tand\nlines", "<script>alert(1)</script>"])
def test_any_name_can_be_shown(tmp_path: Path, name: str) -> None:
    made(tmp_path)
    run, series, _ = parts_of(tmp_path)
    parts = static_parts(run.model_copy(update={"name": name}), series)
    assert "<script" not in parts["text/html"]
    assert len(json.dumps(parts)) <= CELL_BUDGET


def test_text_and_picture_of_a_run_that_lives_say_as_of_when_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(tmp_path)
    ended, series, _ = parts_of(tmp_path)
    lives = ended.model_copy(update={"state": RunState.RUNNING, "name": "a" * 200})
    drawn = {}
    for moment in ("as of 2026-12-01 00:13:05 UTC", "as of 2027-01-02 11:48:59 UTC"):
        for module in (static_cell, static_picture):
            monkeypatch.setattr(module, "as_of", lambda moment=moment: moment)
        drawn[moment] = [static_parts(run, series) for run in (ended, lives)]
        assert f"trains: epoch 8 of 8 ({moment})" in drawn[moment][1]["text/plain"].replace(", best accuracy", "")
        assert f'lab.run("{lives.id}")' in drawn[moment][1]["text/plain"]
        assert moment not in drawn[moment][0]["text/plain"]
    (ended_1, lives_1), (ended_2, lives_2) = drawn.values()
    assert ended_1 == ended_2
    assert lives_1["image/png"] != lives_2["image/png"]

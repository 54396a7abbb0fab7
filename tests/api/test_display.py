"""The live cell's output: a form for each place that a notebook is read in."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import pytest
from PIL import Image

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api.display import RUN_TYPE, LiveCell
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.api.run_queue import RUNS_TYPE
from imgcls_lab.settings import Settings
from imgcls_lab.widgets.static_picture import HEIGHT, WIDTH


def test_the_bundle_holds_picture_and_table_and_the_run_for_the_server(few: TrainConfig, idle: Settings) -> None:
    run = lab.train(few, name="<b>&")
    bundle = LiveCell(RunFolder(run.folder), served=True).bundle()
    assert bundle[RUN_TYPE] == {
        "run_id": run.id,
        "version": 1,
        "home": str(Path(idle.home_path)),
        "kept": "succeeded 1 2",
    }
    assert RUN_TYPE not in LiveCell(RunFolder(run.folder), served=False).bundle()
    picture = Image.open(io.BytesIO(base64.b64decode(bundle["image/png"])))
    assert picture.width / picture.height == pytest.approx(WIDTH / HEIGHT, rel=0.01)
    text = bundle["text/plain"].splitlines()
    assert text[0].startswith("<b>& has finished: epoch 2 of 2, best accuracy")
    assert [row.split()[0] for row in text[1:]] == ["epoch", "1", "2"]
    assert "<b>" not in bundle["text/html"]  # a name is no markup
    assert bundle["image/png"] in bundle["text/html"]
    assert f"{run.view.best.value * 100:.1f} %" in bundle["text/html"]  # type: ignore[union-attr]


def test_watching_a_waiting_run_prints_where_it_stands(
    few: TrainConfig, idle: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.launch(few, name="patient").watch()
    assert capsys.readouterr().out.startswith("patient waits in the queue (as of ")


def test_a_list_of_runs_asks_the_server_what_it_asked_the_store(few: TrainConfig, idle: Settings) -> None:
    lab.launch(few, name="first")
    lab.launch(few.with_changes(lr=0.5), name="second")
    found = lab.runs(where="lr>0.1", state="queued", limit=7, columns=["lr"])
    bundle = found._repr_mimebundle_()
    assert "second" in bundle["text/html"]
    assert "first" not in bundle["text/html"]
    assert bundle[RUNS_TYPE] == {
        "version": 1,
        "home": str(idle.home_path),
        "query": {
            "states": ["queued"], "order": "desc", "where": "lr>0.1", "sort": "created_at", "limit": 7,
            "columns": ["lr"],
        },
    }  # fmt: skip

"""The live cell's output: a form for each place that a notebook is read in."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from IPython.core.displaypub import CapturingDisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api.display import RUN_TYPE, LiveCell
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.api.run_list import RUNS_TYPE
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


@pytest.fixture
def shown(few: TrainConfig, idle: Settings) -> Iterator[Callable[[str], list[str]]]:
    """Executes a cell of a kernel that knows the config as `few`; the texts of the outputs that it has in the end."""
    shell = InteractiveShell.instance()
    shell.kernel = None  # by this it is known that a notebook reads it
    shell.display_pub = CapturingDisplayPublisher(shell=shell)
    shell.push({"lab": lab, "few": few})

    def execute(cell: str) -> list[str]:
        shell.display_pub.outputs.clear()
        shell.run_cell(cell, store_history=True).raise_error()
        texts: dict[str, str] = {}
        for output in shell.display_pub.outputs:
            place = output["transient"]["display_id"]
            if place in texts or not output["update"]:  # else it is an output of a cell of before
                texts[place] = output["data"]["text/html"]
        return list(texts.values())

    yield execute
    InteractiveShell.clear_instance()


def test_a_cell_shows_a_run_once_however_it_is_asked_for(shown: Callable[[str], list[str]]) -> None:
    (line,) = shown("run = lab.launch(few, name='once').stop()\nrun.wait();")
    assert line.startswith("<progress")
    assert "once was cancelled" in line
    for cell in ("run.wait()", "run.wait()\nrun", "run.watch()\nrun.wait()", "run.watch()\nrun"):
        (whole,) = shown(cell)
        assert "Curves of once" in whole, cell
        assert "<progress" not in whole, cell
    line, whole = shown("other = lab.launch(few, name='other').stop().wait()\nrun")
    assert "other was cancelled" in line
    assert "Curves of once" in whole


def test_a_cell_shows_a_sweep_once_however_it_is_asked_for(shown: Callable[[str], list[str]]) -> None:
    (line,) = shown("sweep = lab.sweep(few, {'lr': [1e-3, 1e-2]}, name='once').stop()\nsweep.wait();")
    assert line.startswith("<progress")
    for cell in ("sweep.wait()", "display(sweep)\nsweep.wait()", "display(sweep)\nsweep"):
        (table,) = shown(cell)
        assert "0 of 2 trials" in table, cell
        assert "<progress" not in table, cell
    table, run = shown("display(sweep)\nsweep.run")  # the run that drives it is another thing
    assert "0 of 2 trials" in table
    assert "once was cancelled" in run


MOMENT = r"as of 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC"


def test_what_is_saved_of_a_run_that_goes_on_says_as_of_when_it_is(shown: Callable[[str], list[str]]) -> None:
    launch = "run = lab.launch(few, name='saved')\n"
    (line,) = shown(launch + "try:\n    run.wait(timeout=0)\nexcept TimeoutError:\n    pass")
    assert re.search(rf"saved waits in the queue.*\({MOMENT}\)", line)
    (table,) = shown("sweep = lab.sweep(few, {'lr': [1e-3, 1e-2]}, name='rates')\nsweep")
    assert re.search(MOMENT, table)
    assert re.search(MOMENT, lab.runs(name="saved")._repr_mimebundle_()["text/html"])
    (line,) = shown("run.stop().wait();")
    assert "saved was cancelled" in line
    assert not re.search(MOMENT, line)
    assert not re.search(MOMENT, lab.runs(name="saved")._repr_mimebundle_()["text/html"])
    (table,) = shown("sweep.stop().wait()\nsweep")
    assert not re.search(MOMENT, table)


LAST_OF_FORM = """
import time
until = time.monotonic() + 60
while "once was cancelled" not in form.plots.children[0].outputs[0]["data"]["text/plain"]:
    assert time.monotonic() < until, form.plots.children[0].outputs
    time.sleep(0.1)
"""


def test_the_plot_of_a_form_shows_how_its_run_ended(shown: Callable[[str], list[str]]) -> None:
    shown("form = lab.form(few)\nform.name.value = 'once'\nform.button.click();")
    shown("found = form.plots.children[0].outputs[0]['data']\nassert 'once waits' in found['text/plain'], found")
    shown("form.run.stop();" + LAST_OF_FORM)


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

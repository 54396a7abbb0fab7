"""The live cell's output: a form for each place that a notebook is read in."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.api.display import RUN_TYPE, LiveCell
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.schemas import Series
from imgcls_lab.settings import Settings
from imgcls_lab.widgets.static_picture import svg


def test_the_bundle_holds_picture_and_table_and_the_run_for_the_server(few: TrainConfig, idle: Settings) -> None:
    run = lab.train(few, name="<b>&")
    bundle = LiveCell(RunFolder(run.folder), served=True).bundle()
    assert bundle[RUN_TYPE] == {"run_id": run.id, "version": 1}
    assert RUN_TYPE not in LiveCell(RunFolder(run.folder), served=False).bundle()
    root = ElementTree.fromstring(bundle["image/svg+xml"])
    lines = root.findall(".//{http://www.w3.org/2000/svg}polyline")
    # training loss at every step; validation loss, accuracy and macro F1 at the ends of both epochs
    assert sorted(len(line.attrib["points"].split()) for line in lines) == [2, 2, 2, 10]
    text = bundle["text/plain"].splitlines()
    assert text[0].startswith("<b>& has finished: epoch 2 of 2, best accuracy")
    assert [row.split()[0] for row in text[1:]] == ["epoch", "1", "2"]


def test_watching_a_waiting_run_prints_where_it_stands(
    few: TrainConfig, idle: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    lab.launch(few, name="patient").watch()
    assert capsys.readouterr().out == "patient waits in the queue\n"


@pytest.mark.parametrize("values", [[], [None], [1.0], [1.0, None, 1.0], [float(i) for i in range(500)]])
def test_any_curve_can_be_drawn(values: list[float | None]) -> None:
    steps = list(range(len(values)))
    series = Series(
        run_id="r", tag="loss/train", step=steps, epoch=[s / 10 for s in steps], time=steps, value=values, thinned=False
    )
    picture = svg([series], "a < b")
    ElementTree.fromstring(picture)
    assert "nan" not in picture
    assert ("nothing yet" in picture.split("Accuracy")[0]) == (not any(v is not None for v in values))


@pytest.mark.parametrize("values", [[1.0, 1.0], [0.97, 1.0], [0.0, 0.0]])
def test_the_picture_of_accuracy_reads_in_per_cent_and_ends_at_100(values: list[float]) -> None:
    series = Series(
        run_id="r", tag="metric/accuracy", step=[1, 2], epoch=[1, 2], time=[1, 2], value=values, thinned=False
    )
    shown = [float(text[:-2]) for text in ElementTree.fromstring(svg([series], "r")).itertext() if text.endswith(" %")]
    assert len(shown) == 3
    assert 0 <= min(shown) <= max(shown) <= 100

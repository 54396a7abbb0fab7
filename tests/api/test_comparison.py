"""`lab.compare` and `imgcls-lab compare`: a frame, a picture and the same figures, on real trainings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from typer.testing import CliRunner

import imgcls_lab as lab
from imgcls_lab import TrainConfig
from imgcls_lab.cli import app
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.schemas import Series
from imgcls_lab.settings import Settings
from imgcls_lab.widgets.short_names import short_names
from imgcls_lab.widgets.static_comparison import comparison_svg

CASES = Path(__file__).parents[1] / "short_names.json"


@pytest.fixture
def pair(few: TrainConfig, own: Settings) -> list[lab.Run]:
    runs = [lab.launch(few.with_changes(lr=lr), name="same name") for lr in (1e-3, 3e-3)]
    for run in runs:
        run.wait(timeout=240)
    return runs


def test_two_trainings_are_compared_in_python_and_in_the_shell(pair: list[lab.Run]) -> None:
    first, second = pair
    found = lab.compare(first, second.id)
    assert list(found.frame.index) == [first.id, second.id]
    assert list(found.frame["lr"]) == [1e-3, 3e-3]
    assert [(part, fact) for part, fact in found.differences.index] == [("config", "Learning rate")]
    assert len(set(found.names)) == 2  # though both have one name
    picture = found.picture()
    assert picture["image/svg+xml"].count("<polyline") == 2
    assert "same name" in picture["text/html"]

    flips = found.flips().view
    right = {run.id: run.evaluation().view.values["metric/accuracy"] for run in pair}
    assert flips.difference == pytest.approx((right[second.id] or 0) - (right[first.id] or 0), abs=1e-9)
    assert flips.difference_low <= flips.difference <= flips.difference_high

    shell = CliRunner().invoke(app, ["compare", first.id, second.id, "--json"])
    told = json.loads(shell.output)
    assert [run["id"] for run in told["runs"]] == [first.id, second.id]
    assert [field["name"] for field in told["differs"]] == ["lr"]
    text = CliRunner().invoke(app, ["compare", first.id, second.id]).output
    assert f"{100 * flips.difference:+.1f} points" in text
    assert "Learning rate" in text

    with pytest.raises(InputError):
        lab.compare(first, first)
    with pytest.raises(NotFoundError):
        lab.compare(first, "20260101-000000-abcdef")


def test_runs_that_wait_are_compared_and_no_picture_obeys_a_name(few: TrainConfig, idle: Settings) -> None:
    evil = "<script>alert(1)</script>"
    for lr in (1e-3, 3e-3):
        lab.launch(few.with_changes(lr=lr), name=evil)
    found = lab.compare(lab.runs())
    bundle = found._repr_mimebundle_()
    assert "<script>" not in bundle["text/html"]
    assert "2 runs" in bundle["text/plain"]
    assert sorted(found.frame["lr"]) == [1e-3, 3e-3]
    curve = Series(run_id="r", tag="t", step=[1], epoch=[1.0], time=[1.0], value=[0.5], thinned=False)
    assert evil not in comparison_svg([(evil, curve)], evil, fraction=True)


def test_a_still_picture_draws_a_hundred_runs_no_two_alike() -> None:
    series = [
        Series(run_id="r", tag="t", step=[1, 2], epoch=[1, 2], time=[1, 2], value=[0.1, number / 100], thinned=False)
        for number in range(100)
    ]
    drawn = comparison_svg([(f"run {n}", each) for n, each in enumerate(series)], "accuracy", fraction=True)
    strokes = re.findall(r"<polyline points=\"[^\"]*\" fill=\"none\" ([^>]*)>", drawn)
    assert len(set(strokes)) == 100


def test_the_sentence_of_a_difference_holds_the_bands_of_seeds_where_both_were_repeated(
    few: TrainConfig, own: Settings
) -> None:
    alone = lab.launch(few.with_changes(lr=3e-3, seed=5))
    before, after = (lab.launch(few.with_changes(lr=lr), replicates=2) for lr in (1e-3, 1e-2))
    for one in (alone, before, after):
        one.wait(timeout=240)
    found = after[0].diff(before[0]).significance()
    assert found.seeds is not None
    for band, runs in zip(found.seeds, (after, before), strict=True):
        values = [run.best.value for run in runs if run.best is not None]
        assert (band.runs, band.mean, band.deviation) == (2, fmean(values), stdev(values))
    assert str(found).count("of 2 seeds") == 2
    assert after[0].diff(alone).significance().seeds is None


def test_a_still_picture_keeps_what_sets_the_trials_apart() -> None:
    curve = Series(run_id="r", tag="t", step=[1, 2], epoch=[1, 2], time=[1, 2], value=[0.1, 0.5], thinned=False)
    ends = [f"lr={lr} batch_size={size}" for lr in ("0.003", "0.0003") for size in (32, 64)]
    shared = "rates and batches of the digits:"
    drawn = comparison_svg([(f"{shared} {end}", curve) for end in ends], "accuracy", fraction=True)
    written = re.findall(r"<text [^>]*>([^<]*)</text>", drawn)
    assert [text for text in written if "=" in text] == ends
    assert written.count(shared) == 1


@pytest.mark.parametrize("case", json.loads(CASES.read_text()), ids=lambda case: case["what"])
def test_names_in_a_still_picture_are_those_of_the_legend(case: dict[str, Any]) -> None:
    shared, short = short_names(case["names"], case["most"])
    assert (shared, short) == (case["shared"], case["short"])
    assert all(len(name) <= case["most"] for name in short)

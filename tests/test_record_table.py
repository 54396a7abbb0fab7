"""What a notebook shows of a record, such as the answer of `run.evaluate`: a table that can be read, long ones cut."""

from __future__ import annotations

import re

import pytest

from imgcls_lab.schemas import BestMetric, EpochReport
from imgcls_lab.schemas.proofs import Certificate
from imgcls_lab.schemas.record_table import MISSING, MOST_ROWS, MOST_TEXT
from imgcls_lab.schemas.series import ClassFigures


def rows(page: str) -> dict[str, str]:
    """What stands beside each name."""
    return dict(re.findall(r"<tr><th>([^<]+)</th><td>([^<]*)</td></tr>", page))


def report(classes: int) -> EpochReport:
    figures = [ClassFigures(name=f"<b>{n}", images=6, precision=1 / 3, recall=None, f1=0.5) for n in range(classes)]
    return EpochReport(
        epoch=None, step=15, split="val", images=60, values={"accuracy": 2 / 3, "loss/val": None}, classes=figures,
        confusion=[[1] * classes] * classes, left_out={}, calibration=None, answered=None,
    )  # fmt: skip


def test_a_field_is_a_row_and_a_list_of_records_a_table() -> None:
    page = report(3)._repr_html_()
    shown = rows(page)
    assert (shown["split"], shown["step"], shown["epoch"]) == ("val", "15", MISSING)
    assert (shown["left_out"], shown["calibration"]) == (MISSING, MISSING)
    assert (shown["accuracy"], shown["loss/val"]) == ("0.666667", MISSING)
    assert "<tr><td>&lt;b&gt;2</td><td>6</td><td>0.333333</td><td>–</td><td>0.5</td></tr>" in page
    assert "<b>" not in page


@pytest.mark.parametrize("classes", [MOST_ROWS, MOST_ROWS + 1, 1000])
def test_what_is_long_is_cut_and_says_so(classes: int) -> None:
    page = report(classes)._repr_html_()
    assert page.count("&lt;b&gt;") == MOST_ROWS
    assert (f"{MOST_ROWS} of {classes:,}" in page) == (classes > MOST_ROWS)
    assert rows(page)["confusion"].endswith("…")
    assert len(rows(page)["confusion"]) == MOST_TEXT


def test_a_moment_is_a_date_and_a_record_in_a_record_a_table() -> None:
    best = BestMetric(metric="accuracy", value=0.975, epoch=3)
    assert rows(best._repr_html_()) == {"metric": "accuracy", "value": "0.975", "epoch": "3"}
    made = Certificate(
        run="a", identical=True, checkpoint="", from_step=0, last_step=5, steps=5, hashes=5, first_step=None,
        differences=[], sentence="equal", remedy="", made_at=86_400.0,
    )  # fmt: skip
    assert rows(made._repr_html_())["made_at"] == "1970-01-02 00:00:00 UTC"

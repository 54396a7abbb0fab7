"""Tables of a notebook: what is missing is a dash, and the frame behind them can be computed with."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pandas as pd

import imgcls_lab as lab
from imgcls_lab.api.tables import readable, table_html
from imgcls_lab.settings import Settings


def test_what_is_missing_is_a_dash_and_numbers_beside_it_read_as_ever() -> None:
    moments = pd.to_datetime([1.25, 2.5], unit="s", utc=True)
    frame = pd.DataFrame(
        {
            "lr": [1e-7, None], "epochs": [2, None], "best": [None, None], "ended": [moments[0], pd.NaT],
            "created": moments, "tags": [["a"], []], "whole": [True, False], "name": ["<b>", None],
        },
        index=["x", "y"],
    )  # fmt: skip
    shown = readable(frame)
    assert shown.loc["y", ["lr", "epochs", "best", "ended", "name"]].tolist() == ["–"] * 5
    assert shown.loc["x", ["lr", "epochs", "best"]].tolist() == ["1e-07", "2", "–"]
    assert shown["created"].tolist() == [pd.Timestamp(1, unit="s", tz="UTC"), pd.Timestamp(2, unit="s", tz="UTC")]
    assert shown["tags"].tolist() == [["a"], []]
    assert shown["whole"].tolist() == [True, False]
    assert "<b>" not in table_html(frame)
    assert readable(frame.iloc[:0]).columns.tolist() == frame.columns.tolist()


def test_a_notebook_that_waits_has_dashes_where_a_training_has_settings(idle: Settings, tmp_path: Path) -> None:
    assert lab.runs().frame().columns.tolist()[:3] == ["name", "project", "state"]  # also of no runs
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "empty.ipynb")
    lab.launch_notebook(tmp_path / "empty.ipynb", name="waits")
    found = lab.runs()
    shown = found._repr_mimebundle_()
    assert "–" in shown["text/html"]
    assert not re.search(r"\b(None|NaN|NaT)\b", shown["text/html"] + shown["text/plain"])
    assert (found.frame()["lr"] > 1e-3).tolist() == [False]

"""The map of an audit as a table, and as a file where pandas can write one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pandas as pd
import pytest

from imgcls_lab.audits.map_export import frame, write_parquet
from imgcls_lab.errors import InputError
from imgcls_lab.schemas.audits import MapView

VIEW = MapView(
    method="umap", model="m", classes=["ant", "bee"], splits=["train", "val"], image=["a" * 64, "b" * 64, "c" * 64],
    x=[0, 5, 65_535], y=[1, 2, 3], label=[1, 0, 1], split=[0, 0, 1], marked={"outlier": [2], "copy": [0, 2]},
)  # fmt: skip


def test_a_row_is_an_image_with_its_names_and_problems() -> None:
    table = frame(VIEW)
    assert table["label"].tolist() == ["bee", "ant", "bee"]
    assert table["split"].tolist() == ["train", "train", "val"]
    assert table["problems"].tolist() == ["copy", "", "copy, outlier"]
    assert table["x"].tolist() == VIEW.x


def test_the_file_is_read_back(tmp_path: Path) -> None:
    write_parquet(VIEW, tmp_path / "map.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(tmp_path / "map.parquet"), frame(VIEW), check_dtype=False)


def test_without_a_package_for_parquet_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(InputError, match="pyarrow"):
        write_parquet(VIEW, tmp_path / "map.parquet")
    assert not (tmp_path / "map.parquet").exists()

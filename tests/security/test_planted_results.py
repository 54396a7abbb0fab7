"""Audit results, image tables, features and predictions that nothing of ours wrote: as if not there, or a sentence."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imgcls_lab import bounded_arrays, image_table
from imgcls_lab.audits import results
from imgcls_lab.audits.feature_file import FeatureFile
from imgcls_lab.errors import DataError
from imgcls_lab.row_file import RowFile

COUNT = 3


def npy(header: str, data: bytes = b"") -> bytes:
    return b"\x93NUMPY\x02\0" + struct.pack("<I", len(header) + 1) + header.encode() + b"\n" + data


def entries(*rows: tuple[int, int, int, bool, float]) -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([*rows], results.ENTRY))
    return file.getvalue()


def of_shape(shape: str) -> str:
    return f"{{'descr': {results.ENTRY.descr!r}, 'fortran_order': False, 'shape': {shape}, }}"


INDEXES = {
    "claims": npy(of_shape("(1000000000000,)")),
    "negative": npy(of_shape("(-1,)")),
    "nested": npy("(" * 4000),
    "deep": npy("-" * 16_000 + "1"),
    "other": npy("{'descr': '<f8', 'fortran_order': False, 'shape': (1,), }", bytes(8)),
    "pickle": pickle.dumps(Path("/etc")),
    "empty": b"",
}


@pytest.fixture
def audit(tmp_path: Path) -> Path:
    (tmp_path / results.FOLDER).mkdir()
    return tmp_path


@pytest.mark.parametrize("name", INDEXES)
def test_an_index_that_no_audit_wrote_names_no_problem(audit: Path, name: str) -> None:
    (audit / results.FOLDER / "problems-files.npy").write_bytes(INDEXES[name])
    assert results.read_problems(audit) == ([], 0)


@pytest.mark.parametrize("entry", [(2**63, 10), (2**40, 10), (0, 2**32 - 1), (0, 50)])
def test_a_line_that_is_none_is_a_sentence_and_is_not_read_at_any_length(audit: Path, entry: tuple[int, int]) -> None:
    lines = audit / results.FOLDER / "problems-files.jsonl"
    lines.write_bytes(b"[" * 1000)
    os.truncate(lines, 2**33)  # sparse
    (lines.with_suffix(".npy")).write_bytes(entries((*entry, 1, True, 0.5)))
    with pytest.raises(DataError, match="audit"):
        results.read_problems(audit)
    lines.with_suffix(".npy").write_bytes(entries(*[(0, 2**20, 1, True, 0.5)] * 1000))
    with pytest.raises(DataError, match="audit"):
        results.read_problems(audit, limit=1000)


def test_a_summary_whose_texts_are_no_text_is_none(audit: Path) -> None:
    for content in (b'{"root": "\\ud800"}', b"[" * 100_000, b'{"root": "/x", "bytes": 1e999}'):
        (audit / results.SUMMARY).write_bytes(content)
        assert results.read_summary(audit) is None
    (audit / results.SUMMARY).write_bytes(b'{"root": "/x", "folders": {"a\\u0000b": 1}}')
    summary = results.read_summary(audit)
    assert summary is not None
    assert results.changed_since(audit, summary)


def test_only_a_map_of_the_right_arrays_is_one(audit: Path) -> None:
    places = {name: np.zeros(COUNT, np.uint16) for name in ("x", "y", "label", "split")}
    good = {"method": np.array("pca"), **places, "digest": np.zeros((COUNT, 32), np.uint8), "mark_copy": np.arange(2)}
    results.write_map(audit, **good)
    assert results.read_map(audit) is not None
    wrong = {
        "method": None, "x": np.zeros(2, np.uint16), "y": np.zeros((COUNT, 2), np.uint16), "label": np.array(3),
        "split": np.full(COUNT, np.nan), "digest": np.zeros((COUNT, 31), np.uint8), "mark_copy": np.array("a"),
    }  # fmt: skip
    for name, array in wrong.items():
        changed = {**good, name: array}
        results.write_map(audit, **{key: value for key, value in changed.items() if value is not None})
        assert results.read_map(audit) is None, name
    for content in (packed(npy(of_shape("(1000000000000,)"))), packed(npy("((")), b"PK\5\6" + bytes(18), b"x" * 99):
        (audit / results.MAP).write_bytes(content)
        assert results.read_map(audit) is None


def packed(array: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("x.npy", array)
    return file.getvalue()


@pytest.mark.parametrize("header", ["((", "[" * 5000, "-" * 16_000 + "1", "'''", "{" * 3000, "{'descr': [('a', " * 500])
def test_a_header_is_not_evaluated(tmp_path: Path, header: str) -> None:
    """numpy's own reader raises what is no ValueError for each of these."""
    (tmp_path / "a.npz").write_bytes(packed(npy(header)))
    with (tmp_path / "a.npz").open("rb") as file, pytest.raises(ValueError, match="header"):
        bounded_arrays.load(file)


def test_an_image_table_that_no_scan_wrote_is_none(tmp_path: Path) -> None:
    path, rows = tmp_path / "table", np.zeros(2, image_table.ROW)
    image_table.write(path, "/data", ["cat"], rows, np.array([b"train/cat/1.png", b"train/cat/2.png"]), problems={})
    content = path.read_bytes()
    start = content.index(b"{")
    end = start + int.from_bytes(content[start - 8 : start], "little")
    header, body = json.loads(content[start:end]), content[end:]
    planted: list[object] = [{**header, "problems": [1]}, {**header, "images": -1}, {**header, "images": 10**30}]
    planted += [{**header, "classes": ["\ud800"]}, [header]]
    texts = [json.dumps(each).encode() for each in planted]
    texts += [b"[" * 100_000, json.dumps(header).replace('"images": 2', '"images": 1e999').encode()]
    assert image_table._read(path) is not None
    for text in texts:
        path.write_bytes(content[: start - 8] + len(text).to_bytes(8, "little") + text + body)
        assert image_table._read(path) is None, text[:200]


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _width(width: object) -> Callable[[Path], None]:
    return lambda path: _write(path, json.dumps({"width": width, "model": "m"}))


def _write(path: Path, text: str) -> None:
    path.with_suffix(".json").write_text(text)


@pytest.mark.parametrize(
    "plant",
    [
        *map(_width, (0, -1, 2**62, 10**30, "4")),
        lambda path: _write(path, "[" * 100_000),
        lambda path: _pipe(path.with_suffix(".index")),
        lambda path: _pipe(path.with_suffix(".rows")),
    ],
)
def test_features_that_are_none_are_refused_and_nobody_waits_for_them(
    tmp_path: Path, plant: Callable[[Path], None]
) -> None:
    digest, base = np.arange(4, dtype=np.uint64), tmp_path / "features-x"
    RowFile(tmp_path, base.name, 8, {"width": 4, "model": "m"}).add([digest], [bytes(8)])
    assert FeatureFile(tmp_path, base.name).places(digest.view(np.uint8)[None]).tolist() == [0]
    plant(base)
    with pytest.raises((OSError, ValueError)):
        FeatureFile(tmp_path, base.name)


def test_an_index_of_features_is_read_as_far_as_there_are_rows(tmp_path: Path) -> None:
    digest, base = np.arange(4, dtype=np.uint64), tmp_path / "features-x"
    RowFile(tmp_path, base.name, 8, {"width": 4, "model": "m"}).add([digest], [bytes(8)])
    os.truncate(base.with_suffix(".index"), 2**40)  # sparse
    assert FeatureFile(tmp_path, base.name).places(digest.view(np.uint8)[None]).tolist() == [0]

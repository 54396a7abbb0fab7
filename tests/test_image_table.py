"""The image table: what a scan writes is found again by id, path, class and split."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from imgcls_lab import image_table
from imgcls_lab.image_table import ROW, ImageTable, table_path
from imgcls_lab.settings import Settings

FILES = [  # path, split, class, content
    (b"val/dog/c.png", 1, 1, b"three"),
    (b"train/cat/a.png", 0, 0, b"one"),
    ("train/cat/ä.png".encode(), 0, 0, b"two"),
    (b"train/dog/copy.png", 0, 1, b"one"),
]


@pytest.fixture
def table(tmp_path: Path) -> ImageTable:
    return written(Settings(home=str(tmp_path / "home")), tmp_path / "images")


def written(settings: Settings, root: Path) -> ImageTable:
    rows = np.zeros(len(FILES) + 1, ROW)
    for row, (_, split, label, content) in zip(rows, FILES, strict=False):
        row["digest"] = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
        row["split"], row["label"], row["size"], row["width"], row["height"] = split, label, len(content), 4, 3
    paths = np.array([*(path for path, *_ in FILES), b"train/cat/broken.png"])
    where = table_path(settings.scans_dir, root)
    image_table.write(where, root, ["cat", "dog"], rows, paths, problems={4: "It is cut off."})
    found = ImageTable.read(settings, root)
    assert found is not None
    return found


def of(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def test_all_copies_of_an_image_are_found_by_its_id(table: ImageTable) -> None:
    assert [table[row].path for row in table.find(of(b"one"))] == ["train/cat/a.png", "train/dog/copy.png"]


@pytest.mark.parametrize("image", ["", "0" * 64, "../../etc/passwd", of(b"another"), of(b"one")[:62]])
def test_an_unknown_id_finds_nothing(table: ImageTable, image: str) -> None:
    assert table.find(image) == []


def test_images_are_selected_and_sorted(table: ImageTable) -> None:
    names = [table[int(row)].path for row in table.select(split="train", label="cat")]
    assert names == ["train/cat/a.png", "train/cat/broken.png", "train/cat/ä.png"]
    assert [table[int(row)].path for row in table.select(text="COPY")] == ["train/dog/copy.png"]
    assert [table[int(row)].size for row in table.select(sort="size")] == [0, 3, 3, 3, 5]


def test_every_path_leads_to_its_row(table: ImageTable) -> None:
    assert all(table.find_path(table.path(row)) == row for row in range(len(table)))
    assert table.find_path("train/cat/nothing.png") is None


def test_a_file_that_cannot_be_read_has_a_reason_and_no_id(table: ImageTable) -> None:
    row = table.find_path("train/cat/broken.png")
    assert row is not None
    assert (table[row].image, table[row].problem) == ("", "It is cut off.")


def test_a_table_is_for_its_user_alone_and_a_damaged_one_counts_as_none(tmp_path: Path) -> None:
    settings, root = Settings(home=str(tmp_path / "home")), tmp_path / "images"
    written(settings, root)
    where = table_path(settings.scans_dir, root)
    assert where.stat().st_mode & 0o777 == 0o600
    whole = where.read_bytes()
    for damaged in (whole[:-1], whole[:40], b"", whole.replace(b"images", b"imagez"), b"\x80\x04pickle"):
        where.write_bytes(damaged)
        assert ImageTable.read(settings, root) is None
    where.unlink()
    os.symlink("/etc/passwd", where)
    assert ImageTable.read(settings, root) is None

"""Files of a data set are opened inside of it alone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from imgcls_lab import data_files
from imgcls_lab.errors import DataError


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "images" / "train" / "cat"
    inside.mkdir(parents=True)
    (inside / "a.png").write_bytes(b"an image")
    (tmp_path / "secret.png").write_bytes(b"a secret")
    return tmp_path / "images"


def test_a_file_and_a_link_inside_are_read(root: Path) -> None:
    os.symlink("cat", root / "train" / "kitten")
    assert data_files.read_image(root, "train/cat/a.png") == b"an image"
    assert data_files.read_image(root, "train/kitten/a.png") == b"an image"


@pytest.mark.parametrize(
    "relative", ["../secret.png", "/etc/passwd", "train/../../secret.png", "", "train/cat/a.png\0"]
)
def test_no_path_leads_out(root: Path, relative: str) -> None:
    with pytest.raises(DataError) as refused:
        data_files.read_image(root, relative)
    assert refused.value.reason == "outside"


@pytest.mark.parametrize("target", ["../../../secret.png", "/etc/passwd"])
def test_no_link_leads_out(root: Path, target: str) -> None:
    os.symlink(target, root / "train" / "cat" / "link.png")
    with pytest.raises(DataError) as refused:
        data_files.read_image(root, "train/cat/link.png")
    assert refused.value.reason == "outside"


def test_a_folder_that_became_a_link_leads_nowhere(root: Path) -> None:
    outside = root.parent / "other" / "cat"
    outside.mkdir(parents=True)
    (outside / "a.png").write_bytes(b"a secret")
    os.rename(root / "train", root / "was")
    os.symlink(root.parent / "other", root / "train")
    with pytest.raises(DataError) as refused:
        data_files.read_image(root, "train/cat/a.png")
    assert refused.value.reason == "outside"


def test_pipes_folders_and_missing_files_are_sentences(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    for relative, reason in (("pipe.png", "not_plain"), ("train", "not_plain"), ("train/cat/b.png", "gone")):
        with pytest.raises(DataError) as refused:
            data_files.read_image(root, relative)
        assert refused.value.reason == reason
        assert str(root) not in str(refused.value)

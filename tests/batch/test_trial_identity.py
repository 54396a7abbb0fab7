"""What makes two trials the same: the code that trains, and files as a run reads them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import imgcls_lab
from imgcls_lab.batch import trial_identity

HOME = Path(imgcls_lab.__file__).parent


def test_the_code_of_a_trial_is_all_of_the_code_that_trains() -> None:
    names = {path.relative_to(HOME).as_posix() for path in trial_identity.code_files()}
    assert {"engine/training/loop.py", "planning/holdout.py", "config/train.py", "images.py", "image_files.py"} <= names
    assert {f"engine/{path.relative_to(HOME / 'engine')}" for path in (HOME / "engine").rglob("*.py")} <= names
    assert not [name for name in names if name.startswith(("server/", "store/", "cli/"))]


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        (tmp_path / "data/train" / name).mkdir(parents=True)
        for number in range(3):
            (tmp_path / "data/train" / name / f"{number}.png").write_bytes(f"{name} {number}".encode())
    return tmp_path / "data"


def test_files_that_did_not_change_are_read_once(images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = trial_identity.of_images(images, tmp_path / "memory")
    read: list[Path] = []
    digest = trial_identity.file_digest
    monkeypatch.setattr(trial_identity, "file_digest", lambda path: read.append(path) or digest(path))
    assert trial_identity.of_images(images, tmp_path / "memory") == before
    assert read == []
    (images / "train/cat/1.png").write_bytes(b"another")
    assert trial_identity.of_images(images, tmp_path / "memory") != before
    assert read == [images / "train/cat/1.png"]


def test_a_large_file_of_a_model_counts_with_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights may be larger than any image file."""
    monkeypatch.setattr("imgcls_lab.images.MAX_BYTES", 10)
    (tmp_path / "model").mkdir()
    found = []
    for content in (b"weights of a model", b"weights of another"):
        (tmp_path / "model/model.safetensors").write_bytes(content)
        os.utime(tmp_path / "model/model.safetensors", ns=(len(found), len(found)))
        found.append(trial_identity.of_folder(tmp_path / "model", tmp_path / "memory"))
    assert len(set(found)) == 2


def test_a_stop_ends_the_reading(images: Path, tmp_path: Path) -> None:
    with pytest.raises(InterruptedError):
        trial_identity.of_images(images, tmp_path / "memory", stop=lambda: True)

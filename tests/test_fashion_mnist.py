"""Fashion-MNIST becomes a folder of images, a model and a recipe, once; its own files in small stand in for it."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcls_lab import fashion_mnist
from imgcls_lab.api import context
from imgcls_lab.api.resolving import resolve
from imgcls_lab.cli import main
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import DataError
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.settings import Settings

EACH = 6  # images of a class in either part


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "idx"
    folder.mkdir()
    random = np.random.default_rng(0)
    for part in ("train", "t10k"):
        images = random.integers(0, 256, (10 * EACH, 28, 28), np.uint8)
        labels = np.tile(np.arange(10, dtype=np.uint8), EACH)
        (folder / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(bytes(16) + images.tobytes()))
        (folder / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(bytes(8) + labels.tobytes()))
    monkeypatch.setattr(fashion_mnist, "HELD_OUT", 2)
    return folder


def test_the_last_training_images_of_each_class_are_held_out(source: Path, tmp_path: Path) -> None:
    root = fashion_mnist.write(tmp_path / "fashion", source=source)
    summary = inspect_folder(root)
    assert summary.problem is None
    assert summary.classes == sorted(fashion_mnist.CLASSES)
    assert {split: set(counts.values()) for split, counts in summary.splits.items()} == {
        "train": {EACH - 2},
        "val": {2},
        "test": {EACH},
    }
    assert [path.name for path in sorted((root / "val/bag").iterdir())] == ["00048.png", "00058.png"]
    with gzip.open(source / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    assert np.array_equal(np.asarray(Image.open(root / "val/bag/00058.png")), pixels[58])


def test_preparing_twice_registers_a_recipe_that_can_be_trained(source: Path, home: Path) -> None:
    store = context.store()
    files = [fashion_mnist.prepare(Settings(), store, source) for _ in range(2)]
    assert files[0] == files[1]
    saved = next(item for item in store.configs.list() if item.name == fashion_mnist.NAME)
    config = resolve(TrainConfig.parse(saved.config), Settings(), store)
    assert (config.root, config.epochs) == (str(files[0].root), 24)
    context.close()


def test_without_the_files_it_says_where_they_come_from(home: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="dataset-fashion-mnist"):
        fashion_mnist.prepare(Settings(), source=tmp_path)


def test_the_command_names_the_command_that_trains(
    source: Path, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(fashion_mnist, "SOURCE", source)
    with pytest.raises(SystemExit) as exit_:
        main(["demo", "--data", "fashion-mnist"])
    assert exit_.value.code == 0
    assert "imgcls-lab train --config fashion-mnist" in capsys.readouterr().out
    context.close()

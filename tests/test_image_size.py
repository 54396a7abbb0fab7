"""An image size that is left empty, where images are small: what it costs is said, and the field named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from imgcls_lab import image_size
from imgcls_lab.config import TrainConfig
from imgcls_lab.imagefolder import inspect_folder


def data_set(root: Path, edge: int, damaged: int = 0) -> Path:
    for split, count in (("train", 40), ("val", 10)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                path = root / split / name / f"{number:02d}.png"
                Image.fromarray(np.zeros((edge, 2 * edge, 3), np.uint8)).save(path)
                if number < damaged:
                    path.write_bytes(b"damaged")
    return root


def model(folder: Path, processor: dict[str, Any] | None = None, **config: Any) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps({"model_type": "vit", **config}))
    if processor is not None:
        (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def said(root: Path, flavour: Path, **changes: Any) -> str | None:
    config = TrainConfig.parse({"root": str(root), "model_flavour": str(flavour), **changes})
    return image_size.advice(config, inspect_folder(root))


def test_small_images_into_a_large_model_are_told_with_time_room_and_the_field(tmp_path: Path) -> None:
    text = said(data_set(tmp_path / "data", 28, damaged=5), model(tmp_path / "model", image_size=224))
    assert text is not None
    words = [
        "about 28 px",
        "made for 224 px",
        "about 64 times as long",
        "15.1 MB instead of 235 kB",
        "image_size",
        "32",
    ]
    assert [word for word in words if word not in text] == []


def test_nothing_is_said_where_there_is_nothing_to_say(tmp_path: Path) -> None:
    small, large = data_set(tmp_path / "small", 28), data_set(tmp_path / "large", 150)
    vit = model(tmp_path / "model", image_size=224)
    assert said(small, vit, image_size=224) is None
    assert said(large, vit) is None
    assert said(small, model(tmp_path / "small-model", image_size=32)) is None
    assert said(small, Path("google/a-model-that-is-not-here")) is None


@pytest.mark.parametrize(
    ("processor", "config", "shape"),
    [
        ({"size": {"height": 160, "width": 160}}, {"image_size": 224}, 160),
        ({"size": 192}, {}, 192),
        ({"size": {"height": 640, "width": 960}}, {}, (640, 960)),
        ({"size": {}}, {"image_size": [48, 96]}, (48, 96)),
        ({"size": {"shortest_edge": 256}, "do_center_crop": True, "crop_size": {"height": 224, "width": 224}}, {}, 224),
        ({"size": {"shortest_edge": 256}, "do_center_crop": False, "crop_size": 224}, {}, 256),
        (None, {"image_size": [96, 96]}, 96),
        (None, {"pretrained_cfg": {"input_size": [3, 288, 288]}}, 288),
        (None, {}, image_size.DEFAULT_SIZE),
    ],
)
def test_the_size_is_read_from_the_files_of_the_model(
    tmp_path: Path, processor: dict[str, Any] | None, config: dict[str, Any], shape: int | tuple[int, int]
) -> None:
    expected = (shape, shape) if isinstance(shape, int) else shape
    assert image_size.native_size(str(model(tmp_path / "model", processor, **config)), None) == expected


def test_a_damaged_model_is_left_to_the_run(tmp_path: Path) -> None:
    folder = model(tmp_path / "model")
    (folder / "config.json").write_text("{" + "[" * 100_000)
    assert image_size.native_size(str(folder), None) is None

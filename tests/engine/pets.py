"""A tiny real run on made photographs of cats and dogs, for tests that apply its model."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from imgcls_lab import engine
from imgcls_lab.config import TrainConfig

TINY = {
    "model_type": "resnet", "architectures": ["ResNetForImageClassification"], "embedding_size": 8,
    "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic", "num_channels": 3,
}  # fmt: skip


def train_pets(root: Path, folder: Path) -> TrainConfig:
    """Make the images under `root` (48 x 32 px; 6 of each class to train, 3 to validate) and a run of one epoch."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("val", 3)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 256, (32, 48, 3), np.uint8) // (1 + (name == "dog"))
                Image.fromarray(pixels).save(root / split / name / f"{number}.png")
    model = folder.with_name("tiny-resnet")
    model.mkdir()
    (model / "config.json").write_text(json.dumps(TINY))
    config = TrainConfig.parse({
        "root": str(root), "model_flavour": str(model), "load_pretrained": False, "image_size": 64,
        "augmentation": "light", "epochs": 1, "batch_size": 4, "device": "cpu", "threads": 1, "precision": "fp32",
    })  # fmt: skip
    engine.train(config, folder)
    return config


def png(width: int = 40, height: int = 30) -> bytes:
    """The file of an image of noise, always the same."""
    buffer = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()

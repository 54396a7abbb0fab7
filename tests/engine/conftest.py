"""Small real data and models for the engine's tests: handwritten digits as an ImageFolder, a tiny ResNet."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.events import AnyEvent, read_events

SIZE = 16

# Each step multiplies the weights by about -99, so the loss overflows within an epoch however a processor rounds.
WILD: dict[str, Any] = {
    "optimizer": "sgd", "lr": 10, "weight_decay": 10, "clip_grad_norm": None, "batch_size": 4, "schedule": "constant",
}  # fmt: skip


@pytest.fixture(scope="session")
def digits_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Digits 0..3, 16 px: 30 of each to train, 10 to validate."""
    root = tmp_path_factory.mktemp("digits")
    bunch = load_digits()
    for label in range(4):
        for number, index in enumerate(np.flatnonzero(bunch.target == label)[:40]):
            folder = root / ("train" if number < 30 else "val") / f"digit-{label}"
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (bunch.images[index] / 16 * 255).astype(np.uint8)
            Image.fromarray(pixels).resize((SIZE, SIZE), Image.Resampling.BICUBIC).save(folder / f"{number:03d}.png")
    return root


@pytest.fixture
def digits(digits_source: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(digits_source, tmp_path / "digits"))


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the config.json of a tiny ResNet and no weights."""
    folder = tmp_path_factory.mktemp("models") / "tiny-resnet"
    folder.mkdir()
    config = {
        "model_type": "resnet",
        "architectures": ["ResNetForImageClassification"],
        "embedding_size": 8,
        "hidden_sizes": [8, 16, 16, 32],
        "depths": [1, 1, 1, 1],
        "layer_type": "basic",
        "num_channels": 3,
    }
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved ViT of 16 px with weights and dropout, for four classes of other names."""
    from transformers import ViTConfig, ViTForImageClassification, ViTImageProcessor

    folder = tmp_path_factory.mktemp("models") / "tiny-vit"
    config = ViTConfig(
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        image_size=SIZE,
        patch_size=4,
        hidden_dropout_prob=0.1,
        id2label=dict(enumerate(["ant", "bee", "cow", "dog"])),
        label2id={"ant": 0, "bee": 1, "cow": 2, "dog": 3},
    )
    ViTForImageClassification(config).save_pretrained(folder)
    ViTImageProcessor(size={"height": SIZE, "width": SIZE}).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def make_config(digits_source: Path, tiny_model: Path) -> Callable[..., TrainConfig]:
    def make(**changes: Any) -> TrainConfig:
        values: dict[str, Any] = {
            "root": str(digits_source),
            "model_flavour": str(tiny_model),
            "load_pretrained": False,
            "image_size": SIZE,
            "augmentation": "light",
            "hflip": False,
            "epochs": 2,
            "batch_size": 16,
            "lr": 3e-3,
            "warmup_epochs": 0.25,
            "device": "cpu",
            "threads": 1,
            "precision": "fp32",
            "cache": "ram",
        }
        return TrainConfig.parse({**values, **changes})

    return make


@pytest.fixture
def run(make_config: Callable[..., TrainConfig], tmp_path: Path) -> Callable[..., Outcome]:
    """Train with some fields changed, in `tmp_path/NAME`."""

    def go(name: str = "run", **changes: Any) -> Outcome:
        return train(make_config(**changes), tmp_path / name)

    return go


def events_of(folder: Path, attempt: int = 1) -> list[AnyEvent]:
    return read_events(folder / f"events-{attempt:03d}.jsonl")[0]


def of_type(folder: Path, kind: str, attempt: int = 1) -> list[Any]:
    return [event for event in events_of(folder, attempt) if event.type == kind]


def curve(folder: Path, tag: str = "loss/train") -> list[float]:
    return [event.values[tag] for event in of_type(folder, "metrics")]


def same_files(one: Path, other: Path, name: str) -> bool:
    """Whether a file is the same to the last bit in two folders."""
    return (one / name).read_bytes() == (other / name).read_bytes()

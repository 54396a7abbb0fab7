"""The engine's promises in figures: real images, real weights, a plain CPU. Each prints what it reached."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcls_lab import fashion_mnist, predictions
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, standalone
from imgcls_lab.settings import Settings

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


def show(what: str, reached: float, target: float) -> None:
    print(f"\n{what}: {reached:.1%} (target {target:.1%})")


def pipeline_accuracy(model: Path, files: list[Path]) -> float:
    """What plain transformers measures on the files."""
    from transformers import pipeline

    answers = pipeline("image-classification", model=str(model), device="cpu")([str(file) for file in files], top_k=1)
    return float(np.mean([answer[0]["label"] == file.parent.name for answer, file in zip(answers, files, strict=True)]))


@pytest.fixture(autouse=True)
def source() -> None:
    if not fashion_mnist.available():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("The Debian package dataset-fashion-mnist is missing.")


def test_the_shipped_recipe_passes_93_percent_of_fashion_mnist(home: Path) -> None:
    """With both cores of an idle machine in less than half an hour, which is printed and not asserted."""
    files = fashion_mnist.prepare(Settings())
    began = time.monotonic()
    outcome = standalone(files.config, home / "run")
    show("Fashion-MNIST, the shipped recipe, test accuracy", outcome.values["test/accuracy"], 0.935)
    print(f"trained in {(time.monotonic() - began) / 60:.0f} min (target: under 30 on two idle cores)")
    assert outcome.values["test/accuracy"] >= 0.935
    assert len(predictions.read(outcome.folder, "test").labels) == 10_000


def test_pretrained_efficientnet_beats_scratch_by_ten_points_on_500_images(tmp_path: Path) -> None:
    from imgcls_lab.engine.model.pretrained_packages import efficientnet_lite0

    root = fashion_mnist.write(tmp_path / "fashion", train=500, test=1000)
    (root / "test").rename(root / "val")
    model = efficientnet_lite0(tmp_path / "efficientnet-lite0")

    def train(name: str, **changes: Any) -> Outcome:
        values = {
            "root": str(root),
            "model_flavour": str(model),
            "image_size": 96,
            "augmentation": "light",
            "batch_size": 32,
            "lr": 1e-3,
            "epochs": 6,
        }
        return standalone(TrainConfig.parse({**values, **changes}), tmp_path / name)

    tuned, scratch = train("tuned"), train("scratch", load_pretrained=False)
    gain = tuned.values["metric/accuracy"] - scratch.values["metric/accuracy"]
    show("EfficientNet-Lite0 on 500 images, pretrained", tuned.values["metric/accuracy"], 0.80)
    show("EfficientNet-Lite0 on 500 images, from scratch", scratch.values["metric/accuracy"], 0.0)
    show("Gain by the pretrained weights", gain, 0.10)
    assert gain >= 0.10
    files = sorted((root / "val").rglob("*.png"))
    theirs = pipeline_accuracy(tuned.folder / "checkpoints/best", files)
    show("The same checkpoint in a transformers pipeline", theirs, tuned.values["metric/accuracy"])
    assert theirs == pytest.approx(tuned.values["metric/accuracy"], abs=1e-9)

"""Label errors planted into digits and clothes: a twentieth of all, symmetric and in pairs. Each prints a result.

The constants of the search were chosen on these images; `test_planted_images.py` has others.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from acceptance.planted import (
    KINDS,
    Noise,
    clothes,
    digits,
    features_of,
    judge,
    judge_all,
    pretrained_features,
    wrong_labels,
)
from PIL import Image

from imgcls_lab import fashion_mnist
from imgcls_lab.config import TrainConfig
from imgcls_lab.demo_data import write_model
from imgcls_lab.engine import standalone

CLOTHES = 12_000


def test_errors_in_digits_by_their_pixels() -> None:
    images, truth = digits()
    judge_all("Digits by their pixels", np.stack(images).reshape(len(images), -1), truth, 10)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_errors_in_fashion_mnist_by_a_pretrained_model(tmp_path: Path) -> None:
    pixels, truth = clothes("train", CLOTHES)
    features = pretrained_features([Image.fromarray(image) for image in pixels], tmp_path, 224)
    judge_all("Fashion-MNIST by EfficientNet-Lite0", features, truth, 10)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_errors_in_digits_by_a_pretrained_model(tmp_path: Path) -> None:
    images, truth = digits()
    judge_all("Digits by EfficientNet-Lite0", pretrained_features(images, tmp_path, 224), truth, 10)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("noise", KINDS)
def test_errors_in_fashion_mnist_by_the_best_of_a_run_on_the_wrong_labels(noise: Noise, tmp_path: Path) -> None:
    """The run learns from the same wrong labels as the audit then judges."""
    pixels, truth = clothes("train", CLOTHES)
    labels = wrong_labels(truth, 10, noise)
    paths = []
    for number, image in enumerate(pixels):
        folder = f"{'train' if number % 10 else 'val'}/{fashion_mnist.CLASSES[labels[number]]}"
        (tmp_path / "data" / folder).mkdir(parents=True, exist_ok=True)
        paths.append(f"{folder}/{number:06d}.png")
        Image.fromarray(image).save(tmp_path / "data" / paths[-1])
    write_model(tmp_path / "small-resnet", fashion_mnist.SMALL_RESNET)
    recipe = fashion_mnist.RECIPE | {
        "root": str(tmp_path / "data"), "model_flavour": str(tmp_path / "small-resnet"), "epochs": 6, "image_size": 32,
    }  # fmt: skip
    outcome = standalone(TrainConfig.parse(recipe), tmp_path / "run")
    best = tmp_path / "best"
    shutil.copytree(outcome.folder / "checkpoints/best", best)
    judge(f"Fashion-MNIST by a run's best, {noise}", features_of(tmp_path / "data", paths, best), labels, truth, 10)

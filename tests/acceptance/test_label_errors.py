"""Label errors planted into real images: a twentieth of the labels, symmetric and in pairs. Each prints its result."""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from acceptance.planted import Noise, count_alarms, crops, features_of, judge, pretrained_features, wrong_labels
from PIL import Image
from sklearn.datasets import load_digits

from imgcls_lab import fashion_mnist
from imgcls_lab.config import TrainConfig
from imgcls_lab.demo_data import write_model
from imgcls_lab.engine import standalone

KINDS = get_args(Noise)
CLOTHES = 12_000


def judge_all(what: str, features: np.ndarray, truth: np.ndarray, classes: int) -> None:
    for noise in KINDS:
        judge(f"{what}, {noise}", features, wrong_labels(truth, classes, noise), truth, classes)
    count_alarms(what, features, truth, classes)


def test_errors_in_digits_by_their_pixels() -> None:
    digits = load_digits()
    judge_all("Digits by their pixels", digits.data, digits.target, 10)


def test_errors_in_photographs_by_a_pretrained_model(tmp_path: Path) -> None:
    images, truth = crops(each=24)
    classes = int(truth.max()) + 1
    features = pretrained_features(images, tmp_path, 96)
    judge_all("Crops of photographs by EfficientNet-Lite0", features, truth, classes)


@pytest.fixture(scope="module")
def clothes() -> tuple[np.ndarray, np.ndarray]:
    """The first images of Fashion-MNIST, uint8 (n, 28, 28), and their classes."""
    if not fashion_mnist.available():
        (pytest.fail if os.environ.get("CI") else pytest.skip)("The Debian package dataset-fashion-mnist is missing.")
    with gzip.open(fashion_mnist.SOURCE / "train-images-idx3-ubyte.gz") as file:
        pixels = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(fashion_mnist.SOURCE / "train-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return pixels[:CLOTHES], labels[:CLOTHES]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_errors_in_fashion_mnist_by_a_pretrained_model(clothes: Any, tmp_path: Path) -> None:
    pixels, truth = clothes
    features = pretrained_features([Image.fromarray(image) for image in pixels], tmp_path, 224)
    judge_all("Fashion-MNIST by EfficientNet-Lite0", features, truth, 10)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_errors_in_digits_by_a_pretrained_model(tmp_path: Path) -> None:
    digits = load_digits()
    images = [Image.fromarray((image * 15.9).astype(np.uint8)) for image in digits.images]
    features = pretrained_features(images, tmp_path, 224)
    judge_all("Digits by EfficientNet-Lite0", features, digits.target, 10)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("noise", KINDS)
def test_errors_in_fashion_mnist_by_the_best_of_a_run_on_the_wrong_labels(
    clothes: Any, noise: Noise, tmp_path: Path
) -> None:
    """The run learns from the same wrong labels as the audit then judges."""
    pixels, truth = clothes
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

"""Label errors, outliers and look-alikes planted into photographs and clothes. Each prints its result and its target.

No constant of the audit was chosen on these images: other crops of the photographs, and the test images of
Fashion-MNIST.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from acceptance.planted import (
    FOUND_AT_8_PX,
    VARIANTS,
    clothes,
    count_pairs,
    crops,
    digits,
    judge_all,
    judge_outliers,
    judge_variants,
    pretrained_features,
)
from PIL import Image

EACH, SEED, EDGE = 24, 5, 96  # crops of a photograph, px
SHIRTS = 3000


class Planted(NamedTuple):
    """Features of clean images, of strange ones and of variants. labels: of clean ones; sources: of the variants."""

    clean: np.ndarray
    labels: np.ndarray
    strange: np.ndarray
    variants: np.ndarray
    sources: np.ndarray

    @property
    def classes(self) -> int:
        return int(self.labels.max()) + 1


def planted(
    clean: list[Image.Image], labels: np.ndarray, strange: list[Image.Image], folder: Path, variants: int = 0
) -> Planted:
    sources = np.random.default_rng(1).permutation(len(clean))[:variants]
    kinds = list(VARIANTS.values())
    made = [kinds[place % len(kinds)](clean[source]) for place, source in enumerate(sources)]
    features = pretrained_features([*clean, *strange, *made], folder, EDGE)
    first, second = len(clean), len(clean) + len(strange)
    return Planted(features[:first], labels, features[first:second], features[second:], sources)


def resized(images: list[Image.Image], size: int, mode: str) -> list[Image.Image]:
    return [image.resize((size, size)).convert(mode) for image in images]


# ── photographs, quick ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    clean, labels = crops(EACH, SEED, EDGE)
    shirts = [Image.fromarray(pixels) for pixels in clothes("t10k", 3)[0]]
    strange = resized([*digits()[0][50:53], *shirts], EDGE, "RGB")
    return planted(clean, labels, strange, tmp_path_factory.mktemp("photographs"), variants=30)


def test_label_errors_in_photographs(photographs: Planted) -> None:
    judge_all("Crops of photographs by EfficientNet-Lite0", photographs.clean, photographs.labels, photographs.classes)


def test_digits_and_clothes_among_photographs_are_outliers(photographs: Planted) -> None:
    judge_outliers(
        "Digits and clothes among crops of photographs", photographs.clean, photographs.strange, photographs.labels
    )


def test_variants_of_photographs_are_near_duplicates(photographs: Planted) -> None:
    judge_variants(
        "Variants of crops of photographs", photographs.clean, photographs.variants, photographs.sources,
        photographs.labels,
    )  # fmt: skip


# ── digits and clothes ──────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture(scope="module")
def shirts(tmp_path_factory: pytest.TempPathFactory) -> Planted:
    pixels, labels = clothes("t10k", SHIRTS)
    strange = resized([*digits()[0][100:104], *crops(1, 8)[0][:11]], 28, "L")
    return planted([Image.fromarray(one) for one in pixels], labels, strange, tmp_path_factory.mktemp("clothes"))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_label_errors_in_other_clothes(shirts: Planted) -> None:
    judge_all("Test images of Fashion-MNIST by EfficientNet-Lite0", shirts.clean, shirts.labels, 10, seed=7)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_outliers_and_pairs_among_clothes(shirts: Planted) -> None:
    judge_outliers("Digits and photographs among clothes", shirts.clean, shirts.strange, shirts.labels)
    count_pairs("Test images of Fashion-MNIST", shirts.clean, shirts.labels)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_outliers_and_pairs_among_digits(tmp_path: Path) -> None:
    clean, labels = digits()
    strange = resized([Image.fromarray(one) for one in clothes("t10k", 6)[0]] + crops(1, 8)[0][:6], 8, "L")
    found = planted(clean, labels, strange, tmp_path)
    judge_outliers("Clothes and photographs among digits", found.clean, found.strange, labels, least=FOUND_AT_8_PX)
    count_pairs("Digits", found.clean, labels)

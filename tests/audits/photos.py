"""Photographs for the tests of audits: crops of scikit-image's, each another part, and faults that are planted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image
from skimage import data

EDGE = 112


def crops(count: int, seed: int = 0) -> Iterator[Image.Image]:
    """Crops that share no pixel with one another, as far as there are so many."""
    sources = [data.astronaut(), data.coffee(), data.chelsea(), data.immunohistochemistry(), data.retina()]
    tiles = [
        (image, top, left)
        for image in sources
        for top in range(0, image.shape[0] - EDGE, EDGE)
        for left in range(0, image.shape[1] - EDGE, EDGE)
        if _has_content(image[top : top + EDGE, left : left + EDGE])
    ]
    order = np.random.default_rng(seed).permutation(len(tiles))
    for image, top, left in (tiles[number] for number in order[:count]):
        yield Image.fromarray(image[top : top + EDGE, left : left + EDGE])


def _has_content(tile: np.ndarray) -> bool:
    """Not of a black background."""
    spread = tile.max(2).astype(int) - tile.min(2)
    return bool(tile.max((0, 1)).min() > 90 and tile.std() > 12 and spread.mean() > 12)


def data_set(root: Path, counts: dict[str, int], classes: tuple[str, ...] = ("cat", "dog"), seed: int = 0) -> Path:
    """counts: images of each class, by split."""
    pictures = crops(sum(counts.values()) * len(classes), seed)
    for split, count in counts.items():
        for name in classes:
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                next(pictures).save(folder / f"{number:04}.jpg", quality=95)
    return root

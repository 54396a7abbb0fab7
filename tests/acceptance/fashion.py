"""Fashion-MNIST as an ImageFolder, from the files of Debian's package dataset-fashion-mnist."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

SOURCE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")


def available() -> bool:
    return (SOURCE / "train-images-idx3-ubyte.gz").exists()


def read(part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images uint8 (n, 28, 28) and labels uint8 (n,) of `train` or `t10k`."""
    with gzip.open(SOURCE / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(SOURCE / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


def write(root: Path, *, train: int | None = None, val: int | None = None) -> Path:
    """Write train/ and val/ (the test part), all of it or the first so many images of each class."""
    for part, split, limit in (("train", "train", train), ("t10k", "val", val)):
        images, labels = read(part)
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True, exist_ok=True)
            for index in np.flatnonzero(labels == label)[: None if limit is None else limit // len(CLASSES)]:
                Image.fromarray(images[index]).save(folder / f"{index:05d}.png", compress_level=1)
    return root

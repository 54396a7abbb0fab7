"""The loader alone, on one core: decoding large photographs, and batches out of the cache.

Decoding is compared with Pillow and torchvision, as `ImageFolder` and the usual transforms do it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision.transforms import v2

from benchmarks.frame import Line, reported
from benchmarks.photos import write_photos
from benchmarks.timing import best, in_turn, seconds
from imgcls_lab.engine.data.image_cache import CacheKey, DiskCache
from imgcls_lab.engine.data.image_set import ImageSet, Indices, Reader
from imgcls_lab.engine.transforms.augment import Augmentation, crop_shape
from imgcls_lab.engine.transforms.augment_recipes import RECIPES
from imgcls_lab.engine.transforms.preprocessing import EvalSpec

SIZE, BATCH = 224, 64


def measure(folder: Path, quick: bool) -> list[Line]:
    torch.set_num_threads(1)
    return [*_decoding(folder, 3 if quick else 12, 3 if quick else 5), *_from_cache(folder, 512 if quick else 2048)]


def _decoding(folder: Path, count: int, rounds: int) -> list[Line]:
    root = write_photos(folder / "large", count, (1600, 1200), val=0)
    files = [str(file) for file in sorted(root.rglob("*.jpg"))]
    spec, recipe = EvalSpec.default(SIZE), RECIPES.get("standard")
    reader = Reader(spec, crop_shape(recipe, spec.shape), exact=False)
    augment = Augmentation(recipe, 0, spec)
    aspects = np.full(len(files), 4 / 3, np.float32)
    usual = v2.Compose([
        v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(), v2.ToImage(), v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(spec.mean, spec.std),
    ])  # fmt: skip

    def ours() -> None:
        augment(torch.stack([reader.read(file)[0] for file in files]), 0, np.arange(len(files)), aspects)

    def pillow() -> None:
        torch.stack([usual(Image.open(file).convert("RGB")) for file in files])

    found = in_turn({"ours": lambda: seconds(ours), "pillow": lambda: seconds(pillow)}, rounds)
    speed = {name: len(files) / best(times) for name, times in found.items()}
    return [
        Line(
            "1600 x 1200 JPEG to 224 px, one core, ours / Pillow and torchvision",
            2.5,
            speed["ours"] / speed["pillow"],
            "",
            "at least",
        ),
        reported("decode, crop and flip, ours", speed["ours"], "images/s"),
        reported("decode, crop and flip, Pillow and torchvision", speed["pillow"], "images/s"),
    ]


def _from_cache(folder: Path, count: int) -> list[Line]:
    """What goes to a GPU as bytes, which crops, flips and normalises; and the same with all of that done here."""
    spec = EvalSpec.default(SIZE)
    lines = []
    for name, what in (("light", "crop of whole pixels and flip"), ("standard", "resized crop and flip")):
        recipe = RECIPES.get(name)
        reader = Reader(spec, crop_shape(recipe, spec.shape), exact=False)
        cache = DiskCache(folder / "cache", CacheKey(name, reader.shape, reader.cache_key), count)
        random = np.random.default_rng(0)
        for number in range(count):
            pixels = random.integers(0, 256, (*reader.shape, 3), np.uint8)
            cache.put(number, np.array([number, 0, 0, 0], np.uint64), pixels)
            if number % BATCH == BATCH - 1:
                cache.flush()
        paths = np.array([b"x"] * count)
        pixels_of_all, rows = torch.from_numpy(cache.pixels()), cache.rows
        labels, aspects = np.zeros(count, np.int64), np.ones(count, np.float32)
        images = ImageSet(folder, "train", reader, paths, labels, aspects, pixels=pixels_of_all, rows=rows)
        augment = Augmentation(recipe, 0, spec)
        batches = [np.asarray(batch) for batch in random.permutation(count).reshape(-1, BATCH)]

        def bytes_alone(images: ImageSet = images, batches: list[Indices] = batches) -> None:
            for _ in images.batches(batches, 0):
                pass

        def whole(images: ImageSet = images, augment: Augmentation = augment, batches: list[Indices] = batches) -> None:
            for batch, pixels in zip(batches, images.batches(batches, 0), strict=True):
                augment(pixels, 0, batch, images.aspects[batch])

        found = in_turn({"bytes": lambda: seconds(bytes_alone), "whole": lambda: seconds(whole)}, 4)
        speed = {key: count / best(times) for key, times in found.items()}
        lines += [
            Line(
                f"from the cache, 224 px, one core: bytes for a GPU that does the {what}",
                10_000,
                speed["bytes"],
                "images/s",
                "at least",
            ),
            reported(f"from the cache, 224 px, one core: with {what} and normalisation", speed["whole"], "images/s"),
        ]
    return lines

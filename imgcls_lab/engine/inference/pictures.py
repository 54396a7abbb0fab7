"""Pictures of what a model sees: its input after preprocessing, after augmentation, and under a Grad-CAM. WebP.

Called by the inference process. Sizes are bounded, whatever the model and the image are.
"""

from __future__ import annotations

import io
import math

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.image_set import Reader
from imgcls_lab.engine.inference.predict import Classifier
from imgcls_lab.engine.transforms.augment import Augmentation, crop_shape
from imgcls_lab.engine.transforms.augment_recipes import recipe_of
from imgcls_lab.engine.transforms.preprocessing import EvalSpec

MAX_EDGE = 1024  # px
GAP = 4  # px between the versions of an image
_COLOURS = np.array(  # of viridis at 0, 1/4 ... 1: it is read without colour vision, too
    [(68, 1, 84), (59, 82, 139), (33, 145, 140), (94, 201, 98), (253, 231, 37)], np.float64
)
_STRONGEST = 0.6  # opacity of the map where it is 1

Pixels = npt.NDArray[np.uint8]


def model_input(loaded: Classifier, data: bytes, name: str) -> Pixels:
    """What the model sees of an image, uint8 (height, width, 3), before it is normalised. Raises DataError."""
    pixels: Pixels = Reader(loaded.spec).read(data, name)[0].numpy()
    return pixels


def augmented_input(
    loaded: Classifier, config: TrainConfig, data: bytes, name: str, *, epoch: int, number: int
) -> Pixels:
    """What a training step sees of an image in an epoch (from 0). Raises DataError.

    number: of the image among the training images; with that of the run, the picture is what the run saw.
    """
    recipe, spec = recipe_of(config), loaded.spec
    reader = Reader(spec, crop_shape(recipe, spec.shape), exact=False)
    stored, aspect = reader.read(data, name)
    augment = Augmentation(recipe, config.seed, spec)
    values = augment(stored[None], epoch, np.asarray([number]), np.asarray([aspect], np.float32))[0]
    return _denormalised(values, spec)


def augmented_versions(
    spec: EvalSpec, config: TrainConfig, data: bytes, name: str, *, first: int, count: int, edge: int
) -> Pixels:
    """An image as a training would see it in `count` epochs from `first` on, in rows. Raises DataError.

    edge: of each version, at most, in px. What a loss mixes, as MixUp does, is not drawn.
    """
    recipe = recipe_of(config)
    stored, aspect = Reader(spec, crop_shape(recipe, spec.shape), exact=False).read(data, name)
    augment, number, aspects = (
        Augmentation(recipe, config.seed, spec),
        np.asarray([0]),
        np.asarray([aspect], np.float32),
    )
    tiles = [
        _fitted(_denormalised(augment(stored[None], first + epoch, number, aspects)[0], spec), edge)
        for epoch in range(count)
    ]
    across = math.ceil(math.sqrt(count))
    height, width = tiles[0].shape[:2]
    sheet = np.full((across * (height + GAP) - GAP, across * (width + GAP) - GAP, 4), 0, np.uint8)
    for place, tile in enumerate(tiles):
        top, left = place // across * (height + GAP), place % across * (width + GAP)
        sheet[top : top + height, left : left + width] = np.dstack([tile, np.full((height, width), 255, np.uint8)])
    return sheet


def _fitted(pixels: Pixels, edge: int) -> Pixels:
    """At most `edge` px wide and high; small ones grow by whole factors, so that their pixels stay pixels."""
    longest = max(pixels.shape[:2])
    if longest > edge:
        height, width = (max(1, round(side * edge / longest)) for side in pixels.shape[:2])
        return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
    factor = max(1, edge // longest)
    return pixels.repeat(factor, 0).repeat(factor, 1)


def overlay(pixels: Pixels, heat: npt.NDArray[np.float32]) -> Pixels:
    """An image under a map of values 0..1 of any size."""
    height, width = pixels.shape[:2]
    grown = Image.fromarray(heat).resize((width, height), Image.Resampling.BILINEAR)
    values = np.clip(np.asarray(grown, np.float64), 0, 1)
    places = np.linspace(0, 1, len(_COLOURS))
    colours = np.stack([np.interp(values, places, _COLOURS[:, channel]) for channel in range(3)], -1)
    opacity = (_STRONGEST * values)[..., None]
    mixed: Pixels = (pixels * (1 - opacity) + colours * opacity).round().astype(np.uint8)
    return mixed


def webp(pixels: Pixels, size: int | None, *, exact: bool = False) -> bytes:
    """The picture, its longer edge `size` px, by default as it is, and MAX_EDGE at most. exact: no pixel is changed."""
    picture = Image.fromarray(pixels)
    longer = min(size or max(picture.size), MAX_EDGE)
    if longer != max(picture.size):
        width, height = (max(1, round(edge * longer / max(picture.size))) for edge in picture.size)
        small = max(picture.size) < longer
        picture = picture.resize((width, height), Image.Resampling.NEAREST if small else Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=90, lossless=exact)
    return buffer.getvalue()


def _denormalised(values: torch.Tensor, spec: EvalSpec) -> Pixels:
    mean, std = spec.mean_and_std(values.device)
    red_first = values.flip(0) if spec.bgr else values
    bytes_of_image = (red_first.permute(1, 2, 0) * std + mean).round().clamp(0, 255).byte()
    pixels: Pixels = bytes_of_image.contiguous().numpy()
    return pixels

"""Pictures of what a model sees: its input after preprocessing, after augmentation, and under a Grad-CAM. WebP.

Called by the inference process. Sizes are bounded, whatever the model and the image are.
"""

from __future__ import annotations

import io

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

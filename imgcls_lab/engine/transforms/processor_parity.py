"""Compares a processor with its spec: both prepare the same odd images, and the values must agree.

Called whenever a model with a processor is loaded, and before a run trains with a spec that it will export. A model
whose processor does anything else than its spec says is refused; nothing is trained on wrong pixels.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from PIL import Image

from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.export_processor import processor_of
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.engine.transforms.image_processors import spec_of
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ModelError

# Two ways to resample bytes differ by rounding: by 1 or 2 of 255 steps where they do, which is in one value of 200.
LARGEST_STEP = 2.0
MEAN_STEP = 0.02
FIRST: Shape = (211, 307)  # height and width of the first image
LONGEST_EDGE = 1100  # px of an image for the comparison
HUGE = 1_000_000  # pixels of an input, as a page's; each image takes a second
_SHOWN_FIELDS = (
    "do_",
    "size",
    "crop_",
    "pad_",
    "image_",
    "re",
    "include_top",
)  # beginnings of the fields that are shown

_verified: dict[str, EvalSpec] = {}  # by the fields of a processor: a process verifies it once


def verified_spec(processor: Any) -> EvalSpec:
    """The spec of a processor. Raises ModelError, with its class and what it does, if none does the same."""
    key = f"{type(processor).__qualname__} {json.dumps(processor.to_dict(), sort_keys=True, default=str)}"
    if key not in _verified:
        _verified[key] = _verify(processor)
    return _verified[key]


@lru_cache(maxsize=64)
def verify_export(spec: EvalSpec) -> None:
    """Raises ModelError if no processor of transformers can be written that prepares images as the spec does."""
    processor = processor_of(spec)
    for image in _images(spec.shape):
        _compare(processor, spec, image, _prepared(processor, image))


def _verify(processor: Any) -> EvalSpec:
    name = type(processor).__name__
    first = _image(FIRST)
    shape = _prepared(processor, first).shape[-2:]
    images = [first, *_images((shape[0], shape[1]))]
    found = [_prepared(processor, image) for image in images]
    other = next((place for place, values in enumerate(found) if values.shape[-2:] != shape), None)
    if other is not None:
        raise ModelError(
            f"{name} gives images of different sizes ({_px(found[0])} of one of {_px(first)}, {_px(found[other])} of "
            f"one of {_px(images[other])}), and a model is trained on batches of one size. {_fields_text(processor)}. "
            "Set do_center_crop and crop_size in its preprocessor_config.json, or take another model."
        )
    spec = spec_of(processor)
    for image, values in zip(images, found, strict=True):
        _compare(processor, spec, image, values)
    return spec


def _prepared(processor: Any, image: torch.Tensor) -> torch.Tensor:
    """What the processor makes of an image, float (3, height, width). Raises ModelError if that is no such thing."""
    name = type(processor).__name__
    try:
        given = processor(images=[Image.fromarray(image.numpy())], return_tensors="pt")
    except MemoryError:
        raise
    except Exception as error:  # whatever a processor meets in its own fields
        spec_of(processor)  # reports a wrong field better, if it is known
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        what = f"{name} cannot prepare an image of {_px(image)}: {reason.rstrip('.')}."
        raise ModelError(f"{what} {_fields_text(processor)}.") from error
    values = given.get("pixel_values")
    if not isinstance(values, torch.Tensor) or values.dim() != 4 or values.shape[:2] != (1, 3):
        form = {key: tuple(getattr(value, "shape", ())) for key, value in given.items()}
        raise ModelError(
            f"{name} makes no picture of 3 channels of an image, but {form}, and only pictures are trained on. Take "
            "another model."
        )
    return values[0].float()


def _compare(processor: Any, spec: EvalSpec, image: torch.Tensor, theirs: torch.Tensor) -> None:
    """Raises ModelError where the spec and the processor differ by more than rounding."""
    ours = normalise(spec.pixels(image)[None], spec)[0]
    if ours.shape == theirs.shape:
        step = 255 * torch.tensor(spec.std[::-1] if spec.bgr else spec.std)[:, None, None].abs()
        apart = (ours - theirs).abs() * step
        if apart.max() <= LARGEST_STEP and apart.mean() <= MEAN_STEP:
            return
        how = f"values differ by up to {apart.max():.3g} of 255 steps, {apart.mean():.3g} on average"
    else:
        how = f"it gives {_px(theirs)}, and {_px(ours)} were expected"
    raise ModelError(
        f"{type(processor).__name__} prepares images in a way that is not known here: of an image of {_px(image)} "
        f"{how}. {_fields_text(processor)}. Take another model."
    )


def _images(shape: Shape) -> list[torch.Tensor]:
    """Images of odd sizes: upright, wide, larger than the model's input and smaller; of a huge input two are enough."""
    height, width = shape
    large = min(LONGEST_EDGE, round(1.4 * height)) | 1, min(LONGEST_EDGE, round(1.9 * width)) | 1
    small = min(LONGEST_EDGE, height // 2 + 2) | 1, min(LONGEST_EDGE, width // 3 + 2) | 1
    sizes = (307, 211), large, small, (67, 389)
    return [_image(size) for size in sizes[: 1 if height * width > HUGE else None]]


def _image(shape: Shape) -> torch.Tensor:
    """Noise, the same each time: uint8 (height, width, 3). Not kept: a kernel that has trained holds no tensors."""
    return torch.from_numpy(np.random.default_rng(shape).integers(0, 256, (*shape, 3), np.uint8))


def _px(image: torch.Tensor) -> str:
    """Width and height of (height, width, 3) or (3, height, width)."""
    height, width = image.shape[:2] if image.shape[-1] == 3 and image.shape[0] != 3 else image.shape[-2:]
    return f"{width} x {height} px"


def _fields_text(processor: Any) -> str:
    """The fields that describe what a processor does, as many as fit."""
    fields = {name: value for name, value in processor.to_dict().items() if name.startswith(_SHOWN_FIELDS)}
    text = ", ".join(f"{name} {_short(value)}" for name, value in sorted(fields.items()))
    return f"Its fields: {text}" if len(text) < 500 else f"Its fields: {text[:500]} ..."


def _short(value: Any) -> str:
    return str({k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value)

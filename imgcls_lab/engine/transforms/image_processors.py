"""An image processor of transformers as an evaluation spec: each class gives its fields a meaning of its own.

`processor_parity` compares the spec with the processor itself; what is misread here, or unknown, is refused and never
trained on. `export_processor` writes a spec as a processor.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, cast

from imgcls_lab.engine.transforms.geometry import (
    Anchor,
    CutShare,
    KeepRatio,
    Place,
    Resize,
    Shape,
    ShortEdge,
    Step,
    Thumbnail,
    TurnLong,
)
from imgcls_lab.engine.transforms.preprocessing import PILLOW, TORCHVISION, EvalSpec, Interpolation
from imgcls_lab.errors import ModelError

Channels = tuple[float, float, float]
CONVNEXT_SQUASHES = 384  # px from which ConvNeXT's processor cuts nothing
LEVIT_SHARE = 256 / 224


def spec_of(processor: Any) -> EvalSpec:
    """The spec of an image processor. Raises ModelError where it does what no spec can express."""
    if hasattr(processor, "data_config"):
        return _of_timm(processor.data_config)
    fields = Fields(processor)
    taken = tuple(_STEPS.get(fields.kind, _standard)(fields))
    mean, std = _affine(fields)
    bgr = fields.kind == "PPLCNetImageProcessor" or (
        fields.kind == "MobileViTImageProcessor" and bool(fields.of("do_flip_channel_order"))
    )
    resampler = "pillow" if fields.pillow else "torchvision"
    spec = EvalSpec(taken, _interpolation(fields), mean, std, bgr, cast(Any, resampler))
    if all(step.output_shape is None for step in taken):
        raise ModelError(
            f"{fields.name} gives images of different sizes, and a model is trained on batches of one size. Set "
            "do_center_crop and crop_size in its preprocessor_config.json, or take another model."
        )
    return spec


class Fields:
    """A processor's fields by name, in the one spelling that transformers gives them."""

    def __init__(self, processor: Any) -> None:
        self._processor = processor
        self.pillow = getattr(processor, "backend", None) == "pil"
        self.name = type(processor).__name__
        self.kind = self.name.removesuffix("Pil")  # its twin takes the same fields

    @property
    def anchor(self) -> Anchor:
        return "centre-pil" if self.pillow else "centre"

    def of(self, name: str) -> Any:
        return getattr(self._processor, name, None)

    def size(self, name: str) -> dict[str, int]:
        """What is set of shortest_edge, height and so on."""
        found = self.of(name)
        if isinstance(found, int):
            return {"height": found, "width": found}
        pairs = found.items() if isinstance(found, dict) else vars(found).items() if found is not None else ()
        return {key: int(value) for key, value in pairs if value}

    def shape(self, name: str) -> Shape:
        """Height and width. Raises ModelError if it is another kind of size."""
        found = self.size(name)
        if "height" not in found or "width" not in found:
            raise ModelError(f"{self.name} has no height and width in its {name}, which is {found or 'empty'}.")
        return found["height"], found["width"]

    def channels(self, name: str) -> Channels:
        """One number for each of red, green and blue. Raises ModelError."""
        found = self.of(name)
        values = [found] * 3 if isinstance(found, int | float) else list(found or ())
        if len(values) == 1:
            values *= 3
        if len(values) != 3:
            raise ModelError(f"{self.name} has {len(values)} numbers in its {name}, and images have 3 channels.")
        return float(values[0]), float(values[1]), float(values[2])


# ── shape ───────────────────────────────────────────────────────────────────────────────────────────────────────
def _standard(fields: Fields) -> Sequence[Step]:
    """Resize, cut, and pad what was normalised: what transformers' base class does."""
    return _padded(fields, _without_padding(fields))


def _without_padding(fields: Fields) -> Sequence[Step]:
    return [*_resized(fields), *_cropped(fields)]


def _only_resized(fields: Fields) -> Sequence[Step]:
    if fields.of("do_pan_and_scan"):
        raise ModelError(f"{fields.name} cuts an image into several (do_pan_and_scan). Set it to false.")
    return _resized(fields)


def _resized(fields: Fields) -> Sequence[Step]:
    if not fields.of("do_resize"):
        return []
    size = fields.size("size")
    if "shortest_edge" in size:
        return [ShortEdge(size["shortest_edge"], size.get("longest_edge"))]
    if "max_height" in size and "max_width" in size:
        return [KeepRatio(size["max_height"], size["max_width"])]
    return [Resize(*fields.shape("size"))]


def _cropped(fields: Fields) -> Sequence[Step]:
    return [Place(*fields.shape("crop_size"), fields.anchor)] if fields.of("do_center_crop") else []


def _padded(fields: Fields, taken: Sequence[Step]) -> Sequence[Step]:
    """Padding comes after the normalisation and is zero there: the mean colour, as far as it is one of 256."""
    if not fields.of("do_pad") or fields.of("pad_size") is None:
        return taken  # without a size an image is padded to the largest of its batch, and here all are alike
    if taken and taken[-1].output_shape == fields.shape("pad_size"):
        return taken
    colour = [255 * value for value in _affine(fields)[0]]
    if any(abs(value - round(value)) > 1e-3 or not 0 <= round(value) <= 255 for value in colour):
        raise ModelError(f"{fields.name} pads images after it normalised them (do_pad). Set do_pad to false.")
    red, green, blue = map(round, colour)
    return [*taken, Place(*fields.shape("pad_size"), "corner", (red, green, blue))]


def _convnext(fields: Fields) -> Sequence[Step]:
    if not fields.of("do_resize"):
        return _cropped(fields)
    edge = fields.size("size").get("shortest_edge")
    if edge is None:
        raise ModelError(f"{fields.name} takes a shortest_edge as its size, and has {fields.size('size')}.")
    if edge >= CONVNEXT_SQUASHES:
        return [Resize(edge, edge), *_cropped(fields)]
    resized = ShortEdge(int(edge / fields.of("crop_pct")))
    return [resized, Place(edge, edge, fields.anchor), *_cropped(fields)]


def _poolformer(fields: Fields) -> Sequence[Step]:
    size, share = fields.size("size"), fields.of("crop_pct")
    if not fields.of("do_resize") or share is None:
        return _standard(fields)
    edge = size.get("shortest_edge")
    height, width = (edge, edge) if edge else fields.shape("size")
    height, width = int(height / share), int(width / share)
    resized = ShortEdge(height) if edge or size["height"] == size["width"] else Resize(height, width)
    return _padded(fields, [resized, *_cropped(fields)])


def _levit(fields: Fields) -> Sequence[Step]:
    edge = fields.size("size").get("shortest_edge")
    if not fields.of("do_resize") or not edge:
        return _standard(fields)
    return _padded(fields, [ShortEdge(int(LEVIT_SHARE * edge)), *_cropped(fields)])


def _textnet(fields: Fields) -> Sequence[Step]:
    edge = fields.size("size").get("shortest_edge")
    if not fields.of("do_resize") or not edge:
        return _without_padding(fields)
    return [ShortEdge(edge, multiple=fields.of("size_divisor")), *_cropped(fields)]


def _pp_lcnet(fields: Fields) -> Sequence[Step]:
    short = fields.of("resize_short")
    if not fields.of("do_resize") or short is None:
        return _without_padding(fields)
    return [ShortEdge(short, multiple=fields.of("size_divisor") or 1, nearest=True), *_cropped(fields)]


def _perceiver(fields: Fields) -> Sequence[Step]:
    if not fields.of("do_center_crop"):
        return _resized(fields)
    return [CutShare(*fields.shape("size"), *fields.shape("crop_size"), fields.anchor), *_resized(fields)]


def _donut(fields: Fields) -> Sequence[Step]:
    height, width = fields.shape("size")
    taken: list[tuple[str, Step]] = [
        ("do_align_long_axis", TurnLong(height, width)),
        ("do_resize", ShortEdge(min(height, width), whole=True)),
        ("do_thumbnail", Thumbnail(height, width)),
        ("do_pad", Place(height, width, "centre-out")),
    ]
    return [*(step for name, step in taken if fields.of(name)), *_cropped(fields)]


_STEPS: dict[str, Callable[[Fields], Sequence[Step]]] = {
    "BeitImageProcessor": _without_padding,
    "MobileNetV2ImageProcessor": _without_padding,
    "MobileViTImageProcessor": _without_padding,
    "EfficientNetImageProcessor": _without_padding,
    "SegformerImageProcessor": _only_resized,
    "Gemma3ImageProcessor": _only_resized,
    "ConvNextImageProcessor": _convnext,
    "PoolFormerImageProcessor": _poolformer,
    "LevitImageProcessor": _levit,
    "TextNetImageProcessor": _textnet,
    "PPLCNetImageProcessor": _pp_lcnet,
    "PerceiverImageProcessor": _perceiver,
    "DonutImageProcessor": _donut,
}


def _interpolation(fields: Fields) -> Interpolation:
    found = fields.of("resample")
    found = getattr(found, "value", found)  # of transformers' own enumerations, or torchvision's
    names = {int(number): name for name, number in PILLOW.items()}
    name = "bilinear" if found is None else found if found in PILLOW else names.get(found)
    if name is None:
        raise ModelError(f"{fields.name} resamples by {found!r}; Pillow's filters have the numbers 0 to 5.")
    if name not in TORCHVISION and not fields.pillow:
        raise ModelError(f"{fields.name} resamples by Pillow's {name} (resample {found}), which torchvision has not.")
    return cast(Interpolation, name)


# ── values ──────────────────────────────────────────────────────────────────────────────────────────────────────
def _affine(fields: Fields) -> tuple[Channels, Channels]:
    """Mean and deviation of values 0..1 that do what rescaling and normalising do together."""
    by = float(fields.of("rescale_factor")) if fields.of("do_rescale") else 1.0
    normalises = bool(fields.of("do_normalize")) and fields.kind != "MobileViTImageProcessor"
    mean = fields.channels("image_mean") if normalises else (0.0, 0.0, 0.0)
    std = fields.channels("image_std") if normalises else (1.0, 1.0, 1.0)
    if fields.kind == "EfficientNetImageProcessor":
        if fields.of("rescale_offset") and fields.of("do_rescale"):  # of what was rescaled, 1 is taken away
            mean = _each(lambda value: value + 1, mean)
        if fields.of("include_top"):  # what was normalised is divided once more
            again = fields.channels("image_std")
            std = (std[0] * again[0], std[1] * again[1], std[2] * again[2])
    if by != 1 / 255:  # else nothing is to be rounded
        mean, std = _each(lambda value: value / (255 * by), mean), _each(lambda value: value / (255 * by), std)
    if not all(math.isfinite(value) and value != 0 for value in std) or not all(map(math.isfinite, mean)):
        raise ModelError(f"{fields.name} divides by {std}: look at its image_std and rescale_factor.")
    return mean, std


def _each(change: Callable[[float], float], values: Channels) -> Channels:
    red, green, blue = map(change, values)
    return red, green, blue


# ── timm ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _of_timm(data: dict[str, Any]) -> EvalSpec:
    """What `timm.data.create_transform` makes of a data config for evaluation."""
    channels, height, width = data["input_size"]
    if channels != 3:
        raise ModelError(f"timm's input_size has {channels} channels, and images have 3.")
    interpolation = data["interpolation"]
    if interpolation not in PILLOW:
        raise ModelError(f"timm's interpolation is “{interpolation}”; {', '.join(PILLOW)} are known.")
    share = data.get("crop_pct") or 0.875
    high, wide = math.floor(height / share), math.floor(width / share)
    mean, std = (_three_of_timm(name, data[name]) for name in ("mean", "std"))
    mode = data.get("crop_mode") or "center"
    if mode == "squash":
        taken: list[Step] = [Resize(high, wide), Place(height, width, "centre-even")]
    elif mode == "border":
        red, green, blue = (round(255 * value) for value in mean)
        taken = [
            KeepRatio(high, wide, nearest=True),
            Place(height, width, "centre-even", (red, green, blue)),
        ]
    else:
        resized = ShortEdge(high) if high == wide else KeepRatio(high, wide, cover=True, nearest=True)
        taken = [resized, Place(height, width, "centre-even")]
    return EvalSpec(tuple(taken), interpolation, mean, std, resampler="pillow")


def _three_of_timm(name: str, values: Sequence[float]) -> Channels:
    if len(values) != 3:
        raise ModelError(f"timm's {name} has {len(values)} numbers, and images have 3 channels.")
    return float(values[0]), float(values[1]), float(values[2])

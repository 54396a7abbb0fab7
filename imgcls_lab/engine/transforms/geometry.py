"""The steps that bring an image to the form of a model's input: resize, cut, place on a canvas, turn.

An `EvalSpec` is made of them; each does what one line of an image processor does, to the bit. They know pixels alone:
nothing of models, and no file.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from typing import Any, Literal, Self

import torch

from imgcls_lab.errors import DataError
from imgcls_lab.images import MAX_PIXELS

Shape = tuple[int, int]  # height, width
Scaler = Callable[[torch.Tensor, Shape], torch.Tensor]  # uint8 (..., 3, height, width) -> the same, of another shape
Anchor = Literal["centre", "centre-pil", "centre-even", "centre-out", "corner"]

LONGEST = 16  # times the short edge; of longer images only the middle is resized: else one of 1 x 50,000 fills memory

# Where an image's edge goes on one of the canvas, (canvas, image) -> offset, negative where it is cut.
_ANCHORS: dict[Anchor, Callable[[int, int], int]] = {
    "centre": lambda canvas, image: (canvas - image) // 2 if image < canvas else -((image - canvas) // 2),
    "centre-pil": lambda canvas, image: (canvas - image + 1) // 2 if image < canvas else -((image - canvas) // 2),
    "centre-even": lambda canvas, image: (canvas - image) // 2 if image < canvas else -round((image - canvas) / 2),
    "centre-out": lambda canvas, image: (canvas - image) // 2,
    "corner": lambda _canvas, _image: 0,
}


@dataclass(frozen=True)
class Step(ABC):
    """One step. `output_shape`: of every image that it makes, None where that depends on the image."""

    @abstractmethod
    def __call__(self, image: torch.Tensor, scale: Scaler, /) -> torch.Tensor:
        """uint8 (..., 3, height, width) -> the same of another shape; `scale` resamples."""

    @property
    def output_shape(self) -> Shape | None:
        return None

    @abstractmethod
    def scaled(self, factor: Fraction) -> Self:
        """The same for an input that is `factor` times as large."""

    def to_json(self) -> dict[str, Any]:
        return {"step": type(self).__name__, **asdict(self)}


@dataclass(frozen=True)
class Resample(Step):
    """A step that resamples the image to a shape of its own, in proportion."""

    def __call__(self, image: torch.Tensor, scale: Scaler, /) -> torch.Tensor:
        return scale(image, self.shape_of(*image.shape[-2:]))

    @abstractmethod
    def shape_of(self, height: int, width: int) -> Shape:
        """The shape to which an image of this one is resampled."""


@dataclass(frozen=True)
class Box(Step):
    """A step that is defined by a height and a width."""

    height: int
    width: int

    def scaled(self, factor: Fraction) -> Self:
        return replace(self, height=round(self.height * factor), width=round(self.width * factor))


@dataclass(frozen=True)
class Resize(Box):
    """To this height and width, whatever the image's proportions are."""

    def __call__(self, image: torch.Tensor, scale: Scaler, /) -> torch.Tensor:
        return scale(image, (self.height, self.width))

    @property
    def output_shape(self) -> Shape:
        return self.height, self.width


@dataclass(frozen=True)
class ShortEdge(Resample):
    """The shorter edge to `edge`, the other in proportion.

    longest: the longer edge is at most this, and the shorter one then less than `edge`; multiple: both edges are
    raised to a multiple of it; nearest: edges are rounded to the nearest pixel, else down; whole: the ends of a strip
    count, since nothing is cut afterwards.
    """

    edge: int
    longest: int | None = None
    multiple: int = 1
    nearest: bool = False
    whole: bool = False

    def __call__(self, image: torch.Tensor, scale: Scaler, /) -> torch.Tensor:
        if not self.whole:
            return super().__call__(_crop_strip(image), scale)
        height, width = self.shape_of(*image.shape[-2:])
        if height * width > MAX_PIXELS:
            raise DataError(
                f"An image of {image.shape[-1]} x {image.shape[-2]} pixels is too long for this model's processor, "
                f"which makes {width} x {height} of it. Cut it or remove it."
            )
        return super().__call__(image, scale)

    def shape_of(self, height: int, width: int) -> Shape:
        short, long = min(height, width), max(height, width)
        if self.nearest:
            scale_by = self.edge / short
            found = round(height * scale_by), round(width * scale_by)
        elif self.longest and long / short * self.edge > self.longest:
            most = self.longest * float(short) / long
            edge = round(most)
            found = (height, width) if short == edge else _in_order(edge, int(most * long / short), height, width)
        else:
            found = _in_order(self.edge, int(self.edge * long / short), height, width)
        return _round_up(found[0], self.multiple), _round_up(found[1], self.multiple)

    def scaled(self, factor: Fraction) -> Self:
        longest = self.longest and round(self.longest * factor)
        return replace(self, edge=round(self.edge * factor), longest=longest)


@dataclass(frozen=True)
class KeepRatio(Box, Resample):
    """In proportion, as large as fits into height x width, or with `cover` as small as covers it.

    nearest: edges are rounded to the nearest pixel, else down.
    """

    cover: bool = False
    nearest: bool = False

    def __call__(self, image: torch.Tensor, scale: Scaler, /) -> torch.Tensor:
        return super().__call__(_crop_strip(image) if self.cover else image, scale)

    def shape_of(self, height: int, width: int) -> Shape:
        if self.nearest:
            ratios = height / self.height, width / self.width
            ratio = min(ratios) if self.cover else max(ratios)
            return max(1, round(height / ratio)), max(1, round(width / ratio))
        ratios = self.height / height, self.width / width
        ratio = max(ratios) if self.cover else min(ratios)
        return max(1, int(height * ratio)), max(1, int(width * ratio))


@dataclass(frozen=True)
class Thumbnail(Box, Resample):
    """Smaller in proportion where it is larger than height x width, as Donut does it; else as it is."""

    def shape_of(self, height: int, width: int) -> Shape:
        most_height, most_width = min(height, self.height), min(width, self.width)
        if (most_height, most_width) == (height, width):
            return height, width
        if height > width:
            most_width = int(width * most_height / height)
        elif width > height:
            most_height = int(height * most_width / width)
        return max(1, most_height), max(1, most_width)


@dataclass(frozen=True)
class Place(Box):
    """Cut out of the image, or lay it on a canvas of the colour `fill`, so that height x width come of it.

    anchor: which pixel is the middle where the number is odd: as transformers' torchvision and Pillow processors,
    torchvision's CenterCrop, and Donut's padding round it; or the image in the upper left corner.
    """

    anchor: Anchor = "centre"
    fill: tuple[int, int, int] = (0, 0, 0)

    def __call__(self, image: torch.Tensor, _scale: Scaler, /) -> torch.Tensor:
        offset = _ANCHORS[self.anchor]
        top, left = offset(self.height, image.shape[-2]), offset(self.width, image.shape[-1])
        return placed(image, (self.height, self.width), top, left, self.fill)

    @property
    def output_shape(self) -> Shape:
        return self.height, self.width


@dataclass(frozen=True)
class CutShare(Step):
    """The middle: height / of_height and width / of_width of the shorter edge, as Perceiver does it."""

    height: int
    width: int
    of_height: int
    of_width: int
    anchor: Anchor = "centre"

    def __call__(self, image: torch.Tensor, scale: Scaler, /) -> torch.Tensor:
        short = min(image.shape[-2:])
        height, width = int((self.height / self.of_height) * short), int((self.width / self.of_width) * short)
        return Place(max(1, height), max(1, width), self.anchor)(image, scale)

    def scaled(self, factor: Fraction) -> Self:
        height, width = round(self.height * factor), round(self.width * factor)
        of_height, of_width = round(self.of_height * factor), round(self.of_width * factor)
        return replace(self, height=height, width=width, of_height=of_height, of_width=of_width)


@dataclass(frozen=True)
class TurnLong(Box):
    """Turned clockwise where the image lies and height x width stands, or the other way round."""

    def __call__(self, image: torch.Tensor, _scale: Scaler, /) -> torch.Tensor:
        height, width = image.shape[-2:]
        across = (self.width < self.height and width > height) or (self.width > self.height and width < height)
        return torch.rot90(image, 3, dims=[-2, -1]) if across else image


_KINDS: dict[str, type[Step]] = {
    kind.__name__: kind for kind in (Resize, ShortEdge, KeepRatio, Thumbnail, Place, CutShare, TurnLong)
}


def from_json(data: dict[str, Any]) -> Step:
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
    kind = _KINDS[str(fields.pop("step"))]
    return kind(**fields)


def placed(image: torch.Tensor, shape: Shape, top: int, left: int, fill: tuple[int, int, int]) -> torch.Tensor:
    """(..., 3, height, width) -> (..., 3, *shape): the image with its corner there, on the colour `fill`."""
    height, width = image.shape[-2:]
    if top <= 0 and left <= 0 and top + height >= shape[0] and left + width >= shape[1]:
        return image[..., -top : shape[0] - top, -left : shape[1] - left]
    canvas = image.new_empty((*image.shape[:-2], *shape))
    canvas.copy_(torch.tensor(fill, dtype=image.dtype, device=image.device)[:, None, None])
    part = image[..., max(0, -top) : shape[0] - top, max(0, -left) : shape[1] - left]
    canvas[..., max(0, top) : max(0, top) + part.shape[-2], max(0, left) : max(0, left) + part.shape[-1]] = part
    return canvas


def _in_order(short: int, long: int, height: int, width: int) -> Shape:
    return (long, short) if width <= height else (short, long)


def _round_up(edge: int, multiple: int) -> int:
    return math.ceil(edge / multiple) * multiple


def _crop_strip(image: torch.Tensor) -> torch.Tensor:
    """The middle of a strip, see LONGEST."""
    height, width = image.shape[-2:]
    longest = LONGEST * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[..., top : top + min(height, longest), left : left + min(width, longest)]

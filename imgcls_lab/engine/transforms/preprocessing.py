"""The evaluation spec: how an image becomes the model's input, resolved once and exported with the model.

Validation, prediction and the exported processor do the same operations in the same order, so that a checkpoint
loaded elsewhere gives the accuracy that the run reported. `image_processors` makes a spec of a model's processor,
`export_processor` a processor of a spec.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

from imgcls_lab.engine.transforms import geometry
from imgcls_lab.engine.transforms.geometry import Place, Resize, Shape, ShortEdge, Step

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Interpolation = Literal["nearest", "lanczos", "bilinear", "bicubic", "box", "hamming"]
Resampler = Literal["torchvision", "pillow"]
# what torchvision resamples tensors by; Pillow knows them all
TORCHVISION: dict[Interpolation, InterpolationMode] = {
    "nearest": InterpolationMode.NEAREST_EXACT,
    "lanczos": InterpolationMode.LANCZOS,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}
# Pillow's numbers, as image processors store them
PILLOW: dict[Interpolation, Image.Resampling] = {
    "nearest": Image.Resampling.NEAREST,
    "lanczos": Image.Resampling.LANCZOS,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}


@dataclass(frozen=True)
class EvalSpec:
    """The steps in order, then one affine map a channel, then the channels' order.

    mean, std: of the channels in the order red, green, blue, of values 0..1: whatever a processor rescales by is folded
    into them; bgr: the model gets blue first; resampler: the library that resizes; results differ by rounding.
    """

    steps: tuple[Step, ...]
    interpolation: Interpolation
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    bgr: bool = False
    resampler: Resampler = "torchvision"

    @classmethod
    def default(cls, size: int | Shape) -> Self:
        """For models that come without a processor."""
        height, width = (size, size) if isinstance(size, int) else size
        return cls((Resize(height, width),), "bilinear", IMAGENET_MEAN, IMAGENET_STD)

    @property
    def shape(self) -> Shape:
        """Height and width of the model's input in pixels."""
        found = next((step.output_shape for step in reversed(self.steps) if step.output_shape), None)
        assert found is not None  # noqa: S101 - nobody makes one without
        return found

    def resized(self, size: int) -> Self:
        """The same for an input whose shorter edge is `size`; the part that a crop keeps stays."""
        return self.scaled(Fraction(size, min(self.shape)))

    def scaled(self, factor: Fraction) -> Self:
        """The same for an input that is `factor` times as large."""
        return replace(self, steps=tuple(step.scaled(factor) for step in self.steps))

    @property
    def cache_key(self) -> str:
        """All that decides which pixels are made of an image."""
        return f"{' '.join(map(repr, self.steps))} {self.interpolation} {self.resampler}"

    @property
    def squashes(self) -> bool:
        """Whether the proportions of an image are lost: it is only resized, not cropped."""
        return bool(self.steps) and isinstance(self.steps[0], Resize)

    @property
    def min_edge(self) -> int | None:
        """Shorter edge in pixels below which an image loses something; None: it is needed at its full size."""
        first = self.steps[0] if self.steps else None
        if isinstance(first, ShortEdge) and not first.longest:
            return first.edge + first.multiple - 1
        return max(first.height, first.width) if isinstance(first, Resize) else None

    def pixels(self, image: npt.NDArray[np.uint8] | torch.Tensor, *, exact: bool = True) -> torch.Tensor:
        """uint8 (..., height, width, 3) -> uint8 (..., *shape, 3): what is normalised and given to the model.

        exact: resampled by the library that the model's processor uses; else by torchvision, several times as fast.
        """
        scale = self._resize_by_pillow if self.resampler == "pillow" and exact else self._resize_by_torchvision
        tensor = _channels_first(image)
        for step in self.steps:
            tensor = step(tensor, scale)
        pixels: torch.Tensor = tensor.movedim(-3, -1).contiguous()
        return pixels

    def squash(self, image: npt.NDArray[np.uint8] | torch.Tensor, shape: Shape) -> torch.Tensor:
        """uint8 (..., height, width, 3) -> uint8 (..., *shape, 3), squashed: what training crops are cut from."""
        return self._resize_by_torchvision(_channels_first(image), shape).movedim(-3, -1).contiguous()

    def _resize_by_torchvision(self, image: torch.Tensor, shape: Shape) -> torch.Tensor:
        mode = TORCHVISION.get(self.interpolation)
        if mode is None or (mode is InterpolationMode.LANCZOS and image.device.type != "cpu"):
            return self._resize_by_pillow(image, shape)
        found: torch.Tensor = vision.resize(image, list(shape), interpolation=mode, antialias=True)
        return found

    def _resize_by_pillow(self, image: torch.Tensor, shape: Shape) -> torch.Tensor:
        """One image after the other: Pillow knows no batches."""
        if image.shape[-2:] == shape:
            return image
        several = image.movedim(-3, -1).reshape(-1, *image.shape[-2:], 3).cpu().numpy()
        size, filter_ = (shape[1], shape[0]), PILLOW[self.interpolation]
        found = np.stack([np.asarray(Image.fromarray(one).resize(size, filter_)) for one in several])
        return torch.from_numpy(found).to(image.device).reshape(*image.shape[:-3], *shape, 3).movedim(-1, -3)

    def mean_and_std(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of values 0..255, red first, shape (3,), float32."""
        factor = 1.0 / (1 / 255)  # as transformers fuses them, to the last bit
        return torch.tensor(self.mean, device=device) * factor, torch.tensor(self.std, device=device) * factor

    def to_json(self) -> dict[str, Any]:
        return {
            "steps": [step.to_json() for step in self.steps],
            "interpolation": self.interpolation,
            "mean": self.mean,
            "std": self.std,
            "bgr": self.bgr,
            "resampler": self.resampler,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        fields = {**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])}
        if "steps" not in fields:  # a run that began before there were steps: one resize and one crop of a square
            size, edge = fields.pop("size"), fields.pop("resize_to")
            resize = Resize(edge, edge) if fields.pop("squash") else ShortEdge(edge)
            cut = () if resize == Resize(size, size) else (Place(size, size),)
            return cls((resize, *cut), **fields)
        return cls(**{**fields, "steps": tuple(map(geometry.from_json, fields["steps"]))})


def _channels_first(image: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """A view: resizing is several times as fast where the channels lie last, and gives the same bytes."""
    tensor = image if isinstance(image, torch.Tensor) else torch.from_numpy(np.array(image))
    return tensor.movedim(-1, -3)

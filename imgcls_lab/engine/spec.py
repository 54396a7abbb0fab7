"""The evaluation spec: how an image becomes the model's input, resolved once and exported with the model.

Validation, prediction and the exported processor do the same operations in the same order, so that a checkpoint
loaded elsewhere gives the accuracy that the run reported.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import InterpolationMode
from torchvision.transforms.v2 import functional as vision

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

LONGEST = 16  # times the short edge; of longer images only the middle is resized, from which the crop is cut anyway

# Pillow's numbers, as image processors store them.
_PILLOW = {"nearest": 0, "lanczos": 1, "bilinear": 2, "bicubic": 3}
_TORCH = {
    "nearest": InterpolationMode.NEAREST_EXACT,
    "lanczos": InterpolationMode.LANCZOS,
    "bilinear": InterpolationMode.BILINEAR,
    "bicubic": InterpolationMode.BICUBIC,
}


@dataclass(frozen=True)
class EvalSpec:
    """Resize to `resize_to` (a square if `squash`, else the shorter edge), centre-crop to `size`, normalise.

    size, resize_to: pixels; mean, std: of the channels, of values 0..1.
    """

    size: int
    resize_to: int
    squash: bool
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def plain(cls, size: int) -> Self:
        """For models that come without a processor."""
        return cls(size, size, True, "bilinear", IMAGENET_MEAN, IMAGENET_STD)

    def resized(self, size: int) -> Self:
        """The same for another input size; the share that the crop keeps stays."""
        resize_to = max(size, round(self.resize_to * size / self.size))
        return type(self)(size, resize_to, self.squash, self.interpolation, self.mean, self.std)

    @property
    def reading(self) -> str:
        """What of it says which pixels come of an image."""
        return f"{self.size} {self.resize_to} {self.squash} {self.interpolation}"

    def pixels(self, image: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        """uint8 (..., height, width, 3) -> uint8 (..., size, size, 3): what is normalised and given to the model."""
        tensor = _channels_first(image)
        if not self.squash:
            tensor = _middle(tensor)
        tensor = vision.resize(
            tensor, self._resized_shape(*tensor.shape[-2:]), interpolation=_TORCH[self.interpolation], antialias=True
        )
        if tensor.shape[-2:] != (self.size, self.size):
            top = (tensor.shape[-2] - self.size) // 2
            left = (tensor.shape[-1] - self.size) // 2
            tensor = tensor[..., top : top + self.size, left : left + self.size]
        pixels: torch.Tensor = tensor.movedim(-3, -1).contiguous()
        return pixels

    def square(self, image: npt.NDArray[np.uint8] | torch.Tensor, edge: int) -> torch.Tensor:
        """uint8 (..., height, width, 3) -> uint8 (..., edge, edge, 3), squashed: what training crops are cut from."""
        tensor: torch.Tensor = vision.resize(
            _channels_first(image), [edge, edge], interpolation=_TORCH[self.interpolation], antialias=True
        )
        return tensor.movedim(-3, -1).contiguous()

    def _resized_shape(self, height: int, width: int) -> list[int]:
        if self.squash:
            return [self.resize_to, self.resize_to]
        short, long = min(height, width), max(height, width)
        new_long = int(self.resize_to * long / short)
        return [new_long, self.resize_to] if width <= height else [self.resize_to, new_long]

    def normaliser(self, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        """Mean and deviation of values 0..255, shape (3,), float32."""
        factor = 1.0 / (1 / 255)  # as transformers fuses them, to the last bit
        return torch.tensor(self.mean, device=device) * factor, torch.tensor(self.std, device=device) * factor

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        return cls(**{**data, "mean": tuple(data["mean"]), "std": tuple(data["std"])})

    def save_processor(self, folder: Path) -> None:
        """Write preprocessor_config.json, which transformers' pipelines read."""
        from transformers import ViTImageProcessor

        edges = {"height": self.resize_to, "width": self.resize_to}
        ViTImageProcessor(
            do_convert_rgb=True,
            do_resize=True,
            size=edges if self.squash else {"shortest_edge": self.resize_to},
            resample=_PILLOW[self.interpolation],
            do_center_crop=self.resize_to != self.size or not self.squash,
            crop_size={"height": self.size, "width": self.size},
            do_rescale=True,
            rescale_factor=1 / 255,
            do_normalize=True,
            image_mean=list(self.mean),
            image_std=list(self.std),
        ).save_pretrained(folder)

    @classmethod
    def from_processor(cls, processor: Any) -> Self | None:
        """The spec of a transformers image processor; None where it does something that a spec cannot say."""
        if hasattr(processor, "data_config"):  # timm's
            return cls._from_timm(processor.data_config)
        edge = _edge(getattr(processor, "size", None))
        if edge is None:
            return None
        size, squash = edge
        resize_to = size
        crop_pct = getattr(processor, "crop_pct", None)
        if crop_pct and not squash:  # ConvNeXT and kin: crop below 384 px, squash from there on
            resize_to, squash = (int(size / crop_pct), False) if size < 384 else (size, True)
        if getattr(processor, "do_center_crop", False):
            crop = _edge(getattr(processor, "crop_size", None))
            size = min(crop[0], resize_to) if crop else size
        names = {number: name for name, number in _PILLOW.items()}
        interpolation = names.get(int(getattr(processor, "resample", None) or 2), "bilinear")
        normalise = getattr(processor, "do_normalize", True)
        mean = getattr(processor, "image_mean", None) if normalise else (0.0, 0.0, 0.0)
        std = getattr(processor, "image_std", None) if normalise else (1.0, 1.0, 1.0)
        if mean is None or std is None or len(mean) != 3 or len(std) != 3:
            mean, std = IMAGENET_MEAN, IMAGENET_STD
        return cls(size, resize_to, squash, interpolation, tuple(mean), tuple(std))

    @classmethod
    def _from_timm(cls, data: dict[str, Any]) -> Self:
        size = int(data["input_size"][-1])
        resize_to = math.floor(size / float(data.get("crop_pct") or 1.0))
        interpolation = data.get("interpolation", "bilinear")
        if interpolation not in _PILLOW:
            interpolation = "bilinear"
        squash = data.get("crop_mode") == "squash"
        return cls(size, resize_to, squash, interpolation, tuple(data["mean"]), tuple(data["std"]))


def _middle(image: torch.Tensor) -> torch.Tensor:
    """The middle of a strip: with its short edge resized, the long one of a 1 x 50,000 image would fill the memory."""
    height, width = image.shape[-2:]
    longest = LONGEST * min(height, width)
    top, left = max(0, height - longest) // 2, max(0, width - longest) // 2
    return image[..., top : top + min(height, longest), left : left + min(width, longest)]


def _channels_first(image: npt.NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
    """A view: resizing is several times as fast where the channels lie last, and gives the same bytes."""
    tensor = image if isinstance(image, torch.Tensor) else torch.from_numpy(np.array(image))
    return tensor.movedim(-1, -3)


def _edge(size: Any) -> tuple[int, bool] | None:
    """(pixels, whether it is a square) of a processor's size, in any of its spellings."""
    if isinstance(size, int):
        return size, True
    if size is None:
        return None
    sizes = size if isinstance(size, dict) else vars(size)
    short, height, width = (sizes.get(name) for name in ("shortest_edge", "height", "width"))
    if short:
        return int(short), False
    return (int(min(height, width)), True) if height and width else None

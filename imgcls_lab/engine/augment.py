"""Augmentation of a whole batch with one draw an image, on the device that trains.

uint8 pixels in, normalised floats out. Each image's draws come from `draws.uniforms`, so a batch's composition
changes nothing. The recipes are those of TrainConfig.augmentation.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import functional as vision

from imgcls_lab.engine.draws import uniforms
from imgcls_lab.engine.spec import EvalSpec

Draws = npt.NDArray[np.float32]
Choices = npt.NDArray[np.int64]

CROP_AREA = (0.35, 1.0)  # share of the image that a random crop keeps
CROP_RATIO = (3 / 4, 4 / 3)  # its width over height
SMALL = 64  # images up to this edge are cropped at their own size; larger ones from a square 8/7 as wide
ERASE_SHARE = 0.25  # of the images
ERASE_AREA = (0.02, 0.2)

# RandAugment's operations; the geometric ones become one affine map with crop and flip.
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
COLOUR = ("brightness", "contrast", "saturation", "sharpness", "posterize", "solarize", "autocontrast", "equalize")
OPERATIONS = ("identity", *GEOMETRIC, *COLOUR)
PER_IMAGE = 2  # operations
_COLUMNS = 16


def crop_edge(recipe: str, size: int) -> int | None:
    """Edge of the squares that training crops are cut from; None where the evaluation's pixels are used."""
    if recipe not in ("standard", "heavy"):
        return None
    return size if size <= SMALL else round(size * 8 / 7)


@dataclass(frozen=True)
class Augmentation:
    """One recipe for one run. Calling it gives float32 (n, 3, size, size), normalised, in channels-last memory."""

    recipe: str
    hflip: bool
    seed: int
    spec: EvalSpec

    def __call__(
        self, pixels: torch.Tensor, epoch: int, images: npt.NDArray[np.int64], aspects: npt.NDArray[np.float32]
    ) -> torch.Tensor:
        """pixels: uint8 (n, edge, edge, 3) on the device; images: their indices; aspects: their width over height."""
        if self.recipe == "none":
            return normalise(pixels, self.spec)
        draws = uniforms(self.seed, epoch, images, _COLUMNS)
        if self.recipe == "light":
            return normalise(_shift(pixels, draws, max(1, self.spec.size // 16), self.hflip), self.spec)
        plans = _plan(draws) if self.recipe == "heavy" else []
        values = _warp(pixels, self._maps(draws, aspects, plans), self.spec.size)
        for slot, (operations, strengths) in enumerate(plans):
            values = _colour(values, operations, strengths, draws[:, 12 + slot])
        mean, std = self.spec.normaliser(pixels.device)
        values = (values - mean[:, None, None]) / std[:, None, None]
        if self.recipe == "heavy":
            values = _erase(values, draws)
        return values.contiguous(memory_format=torch.channels_last)

    def _maps(self, draws: Draws, aspects: npt.NDArray[np.float32], plans: list[tuple[Choices, Draws]]) -> torch.Tensor:
        """Affine maps (n, 2, 3) from output to input coordinates, both -1..1: random crop, flip, geometry."""
        shape = np.ones_like(aspects) if self.spec.squash else aspects
        area = CROP_AREA[0] + (CROP_AREA[1] - CROP_AREA[0]) * draws[:, 0]
        low, high = math.log(CROP_RATIO[0]), math.log(CROP_RATIO[1])
        ratio = np.exp(low + (high - low) * draws[:, 1])
        width = np.minimum(np.sqrt(area * ratio / shape), 1)
        height = np.minimum(np.sqrt(area * shape / ratio), 1)
        x = (2 * draws[:, 2] - 1) * (1 - width)  # centre of the crop
        y = (2 * draws[:, 3] - 1) * (1 - height)
        if self.hflip:
            width = np.where(draws[:, 4] < 0.5, -width, width)
        maps = np.zeros((len(draws), 3, 3), np.float64)
        maps[:, 0, 0], maps[:, 1, 1], maps[:, 2, 2] = width, height, 1
        maps[:, 0, 2], maps[:, 1, 2] = x, y
        for slot, (operations, strengths) in enumerate(plans):
            sign = np.where(draws[:, 12 + slot] < 0.5, -1.0, 1.0)
            maps = maps @ _geometry(operations, strengths * sign)
        return torch.from_numpy(maps[:, :2].astype(np.float32))


def normalise(pixels: torch.Tensor, spec: EvalSpec) -> torch.Tensor:
    """uint8 (n, size, size, 3) -> float32 (n, 3, size, size) in channels-last memory, as the processor does it."""
    mean, std = spec.normaliser(pixels.device)
    return pixels.float().sub_(mean).div_(std).permute(0, 3, 1, 2)


def _shift(pixels: torch.Tensor, draws: Draws, reach: int, flip: bool) -> torch.Tensor:
    """Shift by whole pixels, the border reflected, and flip: one gather."""
    count, edge = pixels.shape[0], pixels.shape[1]
    steps = np.minimum((draws[:, 2:4] * (2 * reach + 1)).astype(np.int64), 2 * reach) - reach
    rows = _reflect(np.arange(edge)[None, :] + steps[:, :1], edge)
    columns = _reflect(np.arange(edge)[None, :] + steps[:, 1:], edge)
    if flip:
        columns = np.where(draws[:, 4:5] < 0.5, columns[:, ::-1], columns)
    where = torch.from_numpy(rows[:, :, None] * edge + columns[:, None, :]).to(pixels.device)  # (n, edge, edge)
    offset = torch.arange(count, device=pixels.device)[:, None, None] * (edge * edge)
    return pixels.reshape(-1, 3)[(where + offset).reshape(-1)].reshape(pixels.shape)


def _reflect(index: npt.NDArray[np.int64], edge: int) -> npt.NDArray[np.int64]:
    index = np.abs(index)
    return np.where(index >= edge, 2 * (edge - 1) - index, index)


def _warp(pixels: torch.Tensor, maps: torch.Tensor, size: int) -> torch.Tensor:
    """Sample each image along its map: float32 (n, 3, size, size), values 0..255."""
    values = pixels.permute(0, 3, 1, 2).float()
    grid = torch.nn.functional.affine_grid(maps.to(pixels.device), [len(pixels), 3, size, size], align_corners=False)
    return torch.nn.functional.grid_sample(values, grid, "bilinear", "reflection", align_corners=False)


def _plan(draws: Draws) -> list[tuple[Choices, Draws]]:
    """For each slot the operation (an index into OPERATIONS) and the strength 0..0.6 of each image."""
    plans = []
    for slot in range(PER_IMAGE):
        operations = np.minimum(draws[:, 5 + slot] * len(OPERATIONS), len(OPERATIONS) - 1).astype(np.int64)
        plans.append((operations, 0.6 * draws[:, 7 + slot]))
    return plans


def _geometry(operations: Choices, amounts: Draws) -> npt.NDArray[np.float64]:
    """Maps (n, 3, 3); amount 1 is 30 degrees, a shear of 0.3 or a third of the image."""
    maps = np.tile(np.eye(3), (len(operations), 1, 1))
    for name in GEOMETRIC:
        chosen = np.flatnonzero(operations == OPERATIONS.index(name))
        amount = amounts[chosen].astype(np.float64)
        if name == "rotate":
            angle = amount * math.radians(30)
            maps[chosen, 0, 0], maps[chosen, 0, 1] = np.cos(angle), -np.sin(angle)
            maps[chosen, 1, 0], maps[chosen, 1, 1] = np.sin(angle), np.cos(angle)
        elif name == "shear_x":
            maps[chosen, 0, 1] = 0.3 * amount
        elif name == "shear_y":
            maps[chosen, 1, 0] = 0.3 * amount
        else:
            maps[chosen, 0 if name == "translate_x" else 1, 2] = 2 / 3 * amount
    return maps


def _colour(values: torch.Tensor, operations: Choices, strengths: Draws, signs: Draws) -> torch.Tensor:
    """Apply each image's colour operation to values 0..255, shape (n, 3, size, size)."""
    for name in COLOUR:
        chosen = np.flatnonzero(operations == OPERATIONS.index(name))
        if not len(chosen):
            continue
        where = torch.from_numpy(chosen).to(values.device)
        strength = torch.from_numpy(strengths[chosen]).to(values.device)[:, None, None, None]
        sign = torch.from_numpy(np.where(signs[chosen] < 0.5, -1.0, 1.0).astype(np.float32)).to(values.device)
        values[where] = _adjust(name, values[where], strength, sign[:, None, None, None]).clamp_(0, 255)
    return values


def _adjust(name: str, x: torch.Tensor, strength: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    factor = 1 + 0.9 * strength * sign
    if name == "brightness":
        return x * factor
    if name == "contrast":
        return torch.lerp(_grey(x).mean((2, 3), keepdim=True).expand_as(x), x, factor)
    if name == "saturation":
        return torch.lerp(_grey(x).expand_as(x), x, factor)
    if name == "sharpness":
        return torch.lerp(torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False), x, factor)
    if name == "posterize":
        step = torch.exp2(torch.floor(1 + 4 * strength))
        return torch.floor(x / step) * step
    if name == "solarize":
        return torch.where(x >= 255 * (1 - strength), 255 - x, x)
    if name == "autocontrast":
        low, high = x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)
        return torch.where(high > low, (x - low) * (255 / (high - low).clamp_min(1e-6)), x)
    equalized: torch.Tensor = vision.equalize(x.to(torch.uint8)).float()
    return equalized


def _grey(x: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device)[:, None, None]
    return (x * weights).sum(1, keepdim=True)


def _erase(values: torch.Tensor, draws: Draws) -> torch.Tensor:
    """Set a random box of some images to the mean colour (zero after normalisation)."""
    size = values.shape[-1]
    area = ERASE_AREA[0] + (ERASE_AREA[1] - ERASE_AREA[0]) * draws[:, 10]
    edges = np.sqrt(area) * size
    top = (draws[:, 11] * (size - edges)).astype(np.int64)
    left = (draws[:, 14] * (size - edges)).astype(np.int64)
    bottom, right = top + edges.astype(np.int64), left + edges.astype(np.int64)
    bottom = np.where(draws[:, 9] < ERASE_SHARE, bottom, top)
    line = np.arange(size)
    rows = (line >= top[:, None]) & (line < bottom[:, None])
    columns = (line >= left[:, None]) & (line < right[:, None])
    inside = torch.from_numpy(rows[:, :, None] & columns[:, None, :]).to(values.device)
    return values.masked_fill(inside[:, None], 0.0)

"""Augmentation of a whole batch, with random numbers of its own for each image, on the device that trains.

uint8 pixels in, normalised floats out. The random numbers of each image come from `rng.uniforms`, so a batch's
composition changes nothing. A `Recipe` says what is done, and how much.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torchvision.transforms.v2 import functional as vision

from imgcls_lab.engine.rng import uniforms
from imgcls_lab.engine.transforms.augment_recipes import Recipe
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.engine.transforms.preprocessing import EvalSpec

Draws = npt.NDArray[np.float32]
Choices = npt.NDArray[np.int64]

SMALL = 64  # images up to this edge are cropped at their own size; larger ones from the whole image at 8/7 of it
ERASE_AREA = (0.02, 0.2)  # share of the image that an erased box covers

# RandAugment's operations; the geometric ones become one affine map with crop and flip.
GEOMETRIC = ("rotate", "shear_x", "shear_y", "translate_x", "translate_y")
COLOUR = ("brightness", "contrast", "saturation", "sharpness", "posterize", "solarize", "autocontrast", "equalize")
OPERATIONS = ("identity", *GEOMETRIC, *COLOUR)
JITTERED = ("brightness", "contrast", "saturation")

# The columns of an image's draws; after the last come three for each of RandAugment's operations.
_AREA, _RATIO, _SHIFT_Y, _SHIFT_X, _HFLIP, _VFLIP, _X, _Y, _ROTATE, _JITTER = range(10)
_ERASE, _ERASE_AREA, _ERASE_TOP, _ERASE_LEFT, _SLOTS = (_JITTER + len(JITTERED) + i for i in range(5))


def crop_shape(recipe: Recipe, shape: Shape) -> Shape | None:
    """Height and width of what training crops are cut from; None where the evaluation's pixels are used.

    shape: of the model's input.
    """
    if not recipe.crops:
        return None
    height, width = shape
    return shape if max(shape) <= SMALL else (round(height * 8 / 7), round(width * 8 / 7))


@dataclass(frozen=True)
class Augmentation:
    """One recipe for one run. Calling it gives float32 (n, 3, *spec.shape), normalised."""

    recipe: Recipe
    seed: int
    spec: EvalSpec
    memory_format: torch.memory_format = torch.channels_last

    def __call__(
        self, pixels: torch.Tensor, epoch: int, images: npt.NDArray[np.int64], aspects: npt.NDArray[np.float32]
    ) -> torch.Tensor:
        """pixels: uint8 (n, height, width, 3) on the device; images: their indices; aspects: width over height."""
        recipe = self.recipe
        draws = uniforms(self.seed, epoch, images, _SLOTS + 3 * recipe.randaugment_ops)
        plans = _plan(recipe, draws) if recipe.randaugment else []
        if recipe.crops or recipe.rotate or plans:
            values = _warp(pixels, self._maps(draws, aspects, plans), self.spec.shape)
        else:
            values = self._shift_and_flip(pixels, draws)
        if recipe.color_jitter:
            values = _jitter(values, recipe.color_jitter, draws)
        for plan in plans:
            values = _colour(values, plan)
        values = _standardise(values, self.spec)
        if recipe.random_erasing:
            values = _erase(values, recipe.random_erasing, draws)
        return values.contiguous(memory_format=self.memory_format)

    def _shift_and_flip(self, pixels: torch.Tensor, draws: Draws) -> torch.Tensor:
        """Shift by whole pixels, the border reflected, and mirror: float32 (n, 3, height, width), values 0..255.

        Lines are taken before columns: whole ones are copied at once, and a column's place is the same in all of them.
        """
        if not (self.recipe.shift or self.recipe.hflip or self.recipe.vflip):
            return pixels.permute(0, 3, 1, 2).float()
        count, height, width, _ = pixels.shape
        down, right = self._shifts(draws)
        rows = _source_index(height, down, draws[:, _VFLIP] < self.recipe.vflip)
        columns = _source_index(width, right, draws[:, _HFLIP] < self.recipe.hflip)
        lines = torch.from_numpy((rows + height * np.arange(count)[:, None]).reshape(-1)).to(pixels.device)
        taken = pixels.reshape(count * height, -1).index_select(0, lines).reshape(pixels.shape).permute(0, 3, 1, 2)
        planes = taken.to(torch.float32, memory_format=torch.contiguous_format)
        where = torch.from_numpy(columns).to(pixels.device)[:, None, None, :]
        return planes.gather(3, where.expand(planes.shape))

    def _shifts(self, draws: Draws) -> tuple[Choices, Choices]:
        """Rows and columns, in pixels of the output, by which each image is shifted."""
        down, right = (
            _steps(draws[:, column], max(1, round(self.recipe.shift * edge)) if self.recipe.shift else 0)
            for column, edge in zip((_SHIFT_Y, _SHIFT_X), self.spec.shape, strict=True)
        )
        return down, right

    def _maps(self, draws: Draws, aspects: npt.NDArray[np.float32], plans: list[Plan]) -> torch.Tensor:
        """Affine maps (n, 2, 3) from output to input coordinates, both -1..1: crop, mirror, rotation, geometry."""
        recipe = self.recipe
        high, wide = self.spec.shape
        shape = np.ones_like(aspects) if self.spec.squashes else aspects * np.float32(high / wide)
        area = recipe.crop_scale + (1 - recipe.crop_scale) * draws[:, _AREA]
        ratio = np.exp((2 * draws[:, _RATIO] - 1) * math.log(recipe.crop_ratio))
        width = np.minimum(np.sqrt(area * ratio / shape), 1) if recipe.crops else np.ones_like(area)
        height = np.minimum(np.sqrt(area * shape / ratio), 1) if recipe.crops else np.ones_like(area)
        down, right = self._shifts(draws)
        maps = np.zeros((len(draws), 3, 3), np.float64)
        maps[:, 0, 0] = np.where(draws[:, _HFLIP] < recipe.hflip, -width, width)
        maps[:, 1, 1] = np.where(draws[:, _VFLIP] < recipe.vflip, -height, height)
        maps[:, 2, 2] = 1
        maps[:, 0, 2] = (2 * draws[:, _X] - 1) * (1 - width) + 2 * right / wide  # centre of the crop
        maps[:, 1, 2] = (2 * draws[:, _Y] - 1) * (1 - height) + 2 * down / high
        maps = maps @ _rotation(np.radians(recipe.rotate * (2 * draws[:, _ROTATE].astype(np.float64) - 1)), high / wide)
        for plan in plans:
            maps = maps @ _geometry(plan.operations, plan.strengths * plan.signs, high / wide)
        return torch.from_numpy(maps[:, :2].astype(np.float32))


@dataclass(frozen=True)
class Plan:
    """One of RandAugment's operations for each image: an index into OPERATIONS, strength 0..1, sign -1 or 1."""

    operations: Choices
    strengths: Draws
    signs: Draws


def _plan(recipe: Recipe, draws: Draws) -> list[Plan]:
    plans = []
    for slot in range(recipe.randaugment_ops):
        operation, strength, sign = draws[:, _SLOTS + 3 * slot : _SLOTS + 3 * slot + 3].T
        operations = np.minimum(operation * len(OPERATIONS), len(OPERATIONS) - 1).astype(np.int64)
        plans.append(Plan(operations, _strengths(recipe, strength), np.where(sign < 0.5, -1.0, 1.0).astype(np.float32)))
    return plans


def _strengths(recipe: Recipe, draws: Draws) -> Draws:
    if math.isinf(recipe.randaugment_std):
        even: Draws = draws * np.float32(recipe.randaugment / 10)
        return even
    normal = torch.special.ndtri(torch.from_numpy(draws.astype(np.float64).clip(1e-6, 1 - 1e-6))).numpy()
    around: Draws = ((recipe.randaugment + recipe.randaugment_std * normal) / 10).clip(0, 1).astype(np.float32)
    return around


def normalise(pixels: torch.Tensor, spec: EvalSpec) -> torch.Tensor:
    """uint8 (n, height, width, 3) -> float32 (n, 3, height, width), channels last in memory, as the processor does."""
    return _standardise(pixels.permute(0, 3, 1, 2).float(), spec)


def _standardise(values: torch.Tensor, spec: EvalSpec) -> torch.Tensor:
    """Values 0..255 (n, 3, height, width), red first, less their mean and divided by their deviation, in place.

    What comes back is in the model's order of the channels, and in the same memory unless that is another.
    """
    mean, std = spec.mean_and_std(values.device)
    if values.is_contiguous(memory_format=torch.channels_last):  # else the innermost loop runs over three numbers
        width = values.shape[-1]
        values.permute(0, 2, 3, 1).flatten(2).sub_(mean.repeat(width)).div_(std.repeat(width))
    else:
        values.sub_(mean[:, None, None]).div_(std[:, None, None])
    return values.flip(1) if spec.bgr else values


def _steps(draws: Draws, reach: int) -> Choices:
    """Uniform numbers as whole ones from -reach to reach."""
    return np.minimum((draws * (2 * reach + 1)).astype(np.int64), 2 * reach) - reach


def _source_index(edge: int, shifts: Choices, flips: npt.NDArray[np.bool_]) -> Choices:
    """Along one axis, where each image's pixels come from, (n, edge): shifted, the border reflected, then mirrored."""
    reach = int(np.abs(shifts).max())
    index = np.abs(np.arange(edge)[None, :] + np.arange(-reach, reach + 1)[:, None])
    shifted = np.where(index >= edge, 2 * (edge - 1) - index, index)  # for each shift there can be; then mirrored
    return np.concatenate([shifted, shifted[:, ::-1]])[shifts + reach + (2 * reach + 1) * flips]


def _warp(pixels: torch.Tensor, maps: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Sample each image along its map: float32 (n, 3, *shape), values 0..255."""
    values = pixels.permute(0, 3, 1, 2).float()
    grid = _grid(maps.to(pixels.device), shape)
    return torch.nn.functional.grid_sample(values, grid, "bilinear", "reflection", align_corners=False)


def _grid(maps: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Where each pixel comes from, (n, *shape, 2), x before y: affine_grid of torch, by sums, not a product."""
    high, wide = ((torch.arange(edge, device=maps.device) + 0.5) * (2 / edge) - 1 for edge in shape)  # pixels' centres
    grid = maps.new_empty((len(maps), *shape, 2))
    for axis in range(2):
        across, down, shift = maps[:, axis].unbind(1)
        columns = across[:, None] * wide
        rows = torch.addcmul(shift[:, None], down[:, None], high)
        torch.add(rows[:, :, None], columns[:, None, :], out=grid[..., axis])
    return grid


def _geometry(operations: Choices, amounts: Draws, tall: float = 1.0) -> npt.NDArray[np.float64]:
    """Maps (n, 3, 3); amount 1 is 30 degrees, a shear of 0.3 or a third of the image. tall: as `_rotation` has it."""
    maps = np.tile(np.eye(3), (len(operations), 1, 1))
    for name in GEOMETRIC:
        chosen = np.flatnonzero(operations == OPERATIONS.index(name))
        amount = amounts[chosen].astype(np.float64)
        if name == "rotate":
            maps[chosen] = _rotation(amount * math.radians(30), tall)
        elif name == "shear_x":
            maps[chosen, 0, 1] = 0.3 * amount * tall
        elif name == "shear_y":
            maps[chosen, 1, 0] = 0.3 * amount / tall
        else:
            maps[chosen, 0 if name == "translate_x" else 1, 2] = 2 / 3 * amount
    return maps


def _rotation(angles: npt.NDArray[np.float64], tall: float = 1.0) -> npt.NDArray[np.float64]:
    """Maps (n, 3, 3) of angles in radians. tall: height over width of the image, whose edges are both -1..1."""
    maps = np.tile(np.eye(3), (len(angles), 1, 1))
    maps[:, 0, 0], maps[:, 0, 1] = np.cos(angles), -np.sin(angles) * tall
    maps[:, 1, 0], maps[:, 1, 1] = np.sin(angles) / tall, np.cos(angles)
    return maps


def _colour(values: torch.Tensor, plan: Plan) -> torch.Tensor:
    """Apply the colour operations, each to the images that drew it; values stay 0..255."""
    for name in COLOUR:
        chosen = np.flatnonzero(plan.operations == OPERATIONS.index(name))
        if len(chosen):
            where = torch.from_numpy(chosen).to(values.device)
            strength = _each(plan.strengths[chosen], values.device)
            values[where] = _adjust(name, values[where], strength, _each(plan.signs[chosen], values.device)).clamp_(
                0, 255
            )
    return values


def _jitter(values: torch.Tensor, reach: float, draws: Draws) -> torch.Tensor:
    """Brightness, contrast and saturation of every image times 1 - reach to 1 + reach."""
    for place, name in enumerate(JITTERED):
        factor = _each(1 + reach * (2 * draws[:, _JITTER + place] - 1), values.device)
        values = _scaled(name, values, factor).clamp_(0, 255)
    return values


def _each(amounts: Draws, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(amounts).to(device)[:, None, None, None]


def _adjust(name: str, x: torch.Tensor, strength: torch.Tensor, sign: torch.Tensor) -> torch.Tensor:
    if name in (*JITTERED, "sharpness"):
        return _scaled(name, x, 1 + 0.9 * strength * sign)
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


def _scaled(name: str, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Away from (factor above 1) or towards what has nothing of it: black, one grey, grey, blurred."""
    if name == "brightness":
        return x * factor
    if name == "contrast":
        return torch.lerp(_grey(x).mean((2, 3), keepdim=True).expand_as(x), x, factor)
    if name == "saturation":
        return torch.lerp(_grey(x).expand_as(x), x, factor)
    return torch.lerp(torch.nn.functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False), x, factor)


def _grey(x: torch.Tensor) -> torch.Tensor:
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device)[:, None, None]
    return (x * weights).sum(1, keepdim=True)


def _erase(values: torch.Tensor, part: float, draws: Draws) -> torch.Tensor:
    """Set a random box of some images to the mean colour (zero after normalisation)."""
    high, wide = values.shape[-2:]
    area = ERASE_AREA[0] + (ERASE_AREA[1] - ERASE_AREA[0]) * draws[:, _ERASE_AREA]
    tall, broad = np.sqrt(area) * high, np.sqrt(area) * wide
    top = (draws[:, _ERASE_TOP] * (high - tall)).astype(np.int64)
    left = (draws[:, _ERASE_LEFT] * (wide - broad)).astype(np.int64)
    bottom, right = top + tall.astype(np.int64), left + broad.astype(np.int64)
    bottom = np.where(draws[:, _ERASE] < part, bottom, top)
    return values.mul_(1 - inside(np.stack([top, bottom, left, right], 1), values))


def inside(boxes: Choices, values: torch.Tensor) -> torch.Tensor:
    """1 within each image's box, else 0, in the shape and memory layout of values (n, 3, height, width).

    boxes: (n, 4), top, bottom, left, right.
    """
    sides = torch.from_numpy(boxes).to(values.device)[:, :, None, None, None].unbind(1)  # (n, 1, 1, 1) each
    row, column = (torch.arange(extent, device=values.device) for extent in values.shape[-2:])
    rows = (row[:, None] >= sides[0]) & (row[:, None] < sides[1])
    columns = (column >= sides[2]) & (column < sides[3])
    laid_out = torch.empty_like(values[:, :, :1]).copy_(columns)  # like the images: the product runs along the memory
    return torch.mul(rows.float(), laid_out, out=torch.empty_like(values))

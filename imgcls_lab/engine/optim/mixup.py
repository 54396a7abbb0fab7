"""MixUp and CutMix of a whole batch, with a share, a box and a partner an image, on the device that trains.

Called by the loop after augmentation. What is drawn for an image is a function of (seed, epoch, image); who its
partner is, of these draws in its batch. So a resume needs no state.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.optim.losses import Partners, Target
from imgcls_lab.engine.rng import uniforms
from imgcls_lab.engine.transforms.augment import inside
from imgcls_lab.planning.seeding import Stream

Doubles = npt.NDArray[np.float64]

# The columns of an image's draws.
_TOSS, _RADIUS, _ANGLE, _PLACE, _Y, _X = range(6)


def mix(
    values: torch.Tensor, labels: torch.Tensor, config: TrainConfig, epoch: int, images: npt.NDArray[np.int64]
) -> Target:
    """MixUp (Zhang et al. 2018) or CutMix (Yun et al. 2019) in place; with both on, a coin's toss an image.

    values: float (n, 3, height, width); labels: int64 (n,); images: their indices. The shares of the result are what
    is left of each image, for CutMix by what its box really covers.
    """
    draws = uniforms(config.seed, epoch, images, 6, Stream.MIX).astype(np.float64)
    cut = draws[:, _TOSS] < (0.5 if config.mixup and config.cutmix else float(config.cutmix > 0))
    shares = symmetric_beta(np.where(cut, config.cutmix, config.mixup), draws[:, _RADIUS], draws[:, _ANGLE])
    taken = torch.from_numpy(np.where(cut, 1, 1 - shares).astype(np.float32)).to(values.device)[:, None, None, None]
    if config.cutmix:
        height, width = values.shape[-2:]
        boxes = np.concatenate([_sides(draws[:, _Y], shares, height), _sides(draws[:, _X], shares, width)], 1)
        boxes = np.where(cut[:, None], boxes, [0, height, 0, width])
        areas = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
        shares = np.where(cut, 1 - areas / (height * width), shares)
        taken = taken * inside(boxes, values)
    order = torch.from_numpy(partners(draws[:, _PLACE])).to(values.device)
    values.lerp_(values[order], taken)
    return Target(labels, Partners(labels[order], torch.from_numpy(shares.astype(np.float32)).to(values.device)))


def symmetric_beta(alpha: Doubles, radius: Doubles, angle: Doubles) -> Doubles:
    """Beta(alpha, alpha) of two uniform numbers in [0, 1) each, exactly (Devroye 1996, from Bailey's Student's t)."""
    power = radius ** (1 / alpha)
    cosine = np.cos(2 * np.pi * angle)
    share: Doubles = 0.5 + 0.5 * cosine / np.sqrt(power / (1 - power) + cosine**2)
    return share.clip(0, 1)


def partners(places: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Whom each image is mixed with: its next in a ring in the order of `places`.

    So each image is one's partner, and none its own unless it is alone.
    """
    ring = np.argsort(places, kind="stable")
    found = np.empty_like(ring)
    found[ring] = np.roll(ring, -1)
    return found


def _sides(centre: Doubles, shares: Doubles, extent: int) -> npt.NDArray[np.int64]:
    """From where to where boxes that leave these shares reach along one side of the image, (n, 2), cut off at it."""
    middle, half = np.floor(centre * extent), np.sqrt(1 - shares) * extent / 2
    return np.stack([np.maximum(0, middle - half), np.minimum(extent, middle + half)], 1).astype(np.int64)

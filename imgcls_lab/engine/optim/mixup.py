"""MixUp and CutMix of a whole batch, with a lambda, a box and a partner for each image, on the device that trains.

Called by the loop after augmentation. The random numbers of an image are a function of (seed, epoch, image); its
partner is a function of these numbers in its batch. So a resume needs no state.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.optim.losses import MixPartners, Target
from imgcls_lab.engine.rng import uniforms
from imgcls_lab.engine.transforms.augment import inside
from imgcls_lab.planning.seeding import Stream

Doubles = npt.NDArray[np.float64]

# The columns of an image's draws.
_TOSS, _RADIUS, _ANGLE, _PLACE, _Y, _X = range(6)


def mix(
    values: torch.Tensor, labels: torch.Tensor, config: TrainConfig, epoch: int, images: npt.NDArray[np.int64]
) -> Target:
    """MixUp (Zhang et al. 2018) or CutMix (Yun et al. 2019) in place; with both on, each image draws one of them.

    values: float (n, 3, height, width); labels: int64 (n,); images: their indices. The weights of the result are what
    is left of each image, for CutMix by what its box really covers.
    """
    draws = uniforms(config.seed, epoch, images, 6, Stream.MIX).astype(np.float64)
    cut = draws[:, _TOSS] < (0.5 if config.mixup and config.cutmix else float(config.cutmix > 0))
    lam = symmetric_beta(np.where(cut, config.cutmix, config.mixup), draws[:, _RADIUS], draws[:, _ANGLE])
    taken = torch.from_numpy(np.where(cut, 1, 1 - lam).astype(np.float32)).to(values.device)[:, None, None, None]
    if config.cutmix:
        height, width = values.shape[-2:]
        boxes = np.concatenate([_sides(draws[:, _Y], lam, height), _sides(draws[:, _X], lam, width)], 1)
        boxes = np.where(cut[:, None], boxes, [0, height, 0, width])
        areas = (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
        lam = np.where(cut, 1 - areas / (height * width), lam)
        taken = taken * inside(boxes, values)
    order = torch.from_numpy(partners(draws[:, _PLACE])).to(values.device)
    values.lerp_(values[order], taken)
    return Target(labels, MixPartners(labels[order], torch.from_numpy(lam.astype(np.float32)).to(values.device)))


def symmetric_beta(alpha: Doubles, radius: Doubles, angle: Doubles) -> Doubles:
    """Beta(alpha, alpha) of two uniform numbers in [0, 1) each, exactly (Devroye 1996, from Bailey's Student's t)."""
    power = radius ** (1 / alpha)
    cosine = np.cos(2 * np.pi * angle)
    lam: Doubles = 0.5 + 0.5 * cosine / np.sqrt(power / (1 - power) + cosine**2)
    return lam.clip(0, 1)


def partners(places: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """The partner of each image: the next in a ring in the order of `places`.

    No image is its own partner unless it is alone.
    """
    ring = np.argsort(places, kind="stable")
    found = np.empty_like(ring)
    found[ring] = np.roll(ring, -1)
    return found


def _sides(centre: Doubles, lam: Doubles, extent: int) -> npt.NDArray[np.int64]:
    """Where boxes that leave these parts reach along one side of the image, (n, 2), cut off at it."""
    middle, half = np.floor(centre * extent), np.sqrt(1 - lam) * extent / 2
    return np.stack([np.maximum(0, middle - half), np.minimum(extent, middle + half)], 1).astype(np.int64)

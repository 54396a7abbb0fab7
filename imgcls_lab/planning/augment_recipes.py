"""The augmentation recipes: by name what they do to training images, and what a config makes of one.

The engine registers them for plugins to add to; a form says by them what an empty field comes to.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from imgcls_lab.config import TrainConfig


@dataclass(frozen=True)
class Recipe:
    """How training images are varied; the values as they stand change nothing.

    shift: furthest shift, a share of the edge, the border reflected; crop_scale: smallest share of the image's area
    that a random crop keeps; crop_ratio: how much wider or higher than the image a crop may be in shape; hflip,
    vflip: share of the images that are mirrored or turned upside down; rotate: largest angle, degrees; color_jitter:
    largest change of brightness, contrast and saturation; randaugment: magnitude 0..10 of RandAugment (Cubuk et al.
    2020), randaugment_ops: its operations an image, randaugment_std: deviation of the magnitude, infinite: evenly
    from 0 up to it; random_erasing: share of the images in which a random box is erased (Zhong et al. 2020).
    """

    shift: float = 0.0
    crop_scale: float = 1.0
    crop_ratio: float = 1.0
    hflip: float = 0.0
    vflip: float = 0.0
    rotate: float = 0.0
    color_jitter: float = 0.0
    randaugment: float = 0.0
    randaugment_ops: int = 2
    randaugment_std: float = math.inf
    random_erasing: float = 0.0

    @property
    def crops(self) -> bool:
        return self.crop_scale < 1 or self.crop_ratio > 1


BUILT_IN = {
    "none": Recipe(),
    "light": Recipe(shift=1 / 16, hflip=0.5),
    "standard": Recipe(crop_scale=0.35, crop_ratio=4 / 3, hflip=0.5),
    "heavy": Recipe(crop_scale=0.35, crop_ratio=4 / 3, hflip=0.5, randaugment=6, random_erasing=0.25),
    # timm's for fine-tuning: rand-m9-mstd0.5 and --reprob 0.25
    "timm": Recipe(
        crop_scale=0.08, crop_ratio=4 / 3, hflip=0.5, randaugment=9, randaugment_std=0.5, random_erasing=0.25
    ),
}

HALF = 0.5  # of the images are mirrored where a config asks for it and the recipe does not

# Fields of TrainConfig that, where given, replace what the recipe says.
DETAILS = (
    *("crop_scale", "crop_ratio", "vflip", "rotate", "color_jitter"),
    *("randaugment", "randaugment_ops", "random_erasing"),
)


def with_details(named: Recipe, config: TrainConfig) -> Recipe:
    """A recipe with the details that the config gives."""
    details = {name: value for name in DETAILS if (value := getattr(config, name)) is not None}
    mirrored = {None: named.hflip, True: named.hflip or HALF, False: 0.0}[config.hflip]
    return replace(named, hflip=mirrored, **details)

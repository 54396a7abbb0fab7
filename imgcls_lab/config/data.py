"""The group “data” of TrainConfig: which images, how they are split, augmented and kept."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.config.fields import FieldGroup, Positive, field


class DataFields(FieldGroup):
    """Data."""

    root: str = field(
        ..., "data", "Data set", "Folder with train/CLASS, val/CLASS and optionally test/CLASS.", first=True
    )
    image_size: Positive | None = field(
        None,
        "data",
        "Image size",
        "Edge of the square the model sees; empty: what the model was made for.",
        unit="px",
        le=4096,
    )
    augmentation: Literal["none", "light", "standard", "heavy"] = field(
        "standard",
        "data",
        "Augmentation",
        "none: resize only; light: small shifts, and flips; standard: random crop and flip; "
        "heavy: standard with RandAugment and random erasing.",
        first=True,
    )
    hflip: bool = field(
        True,
        "data",
        "Mirror images",
        "Let augmentation mirror images. Turn off where left and right mean something, as in digits and letters.",
    )
    val_fraction: float = field(
        0.2,
        "data",
        "Validation share",
        "Share of train/ kept for validation, class by class, if there is no val/.",
        gt=0,
        lt=1,
    )
    balance: Literal["none", "sampler", "class_weights"] = field(
        "none",
        "data",
        "Class balance",
        "sampler: draw rare classes more often; class_weights: weigh their loss more.",
    )
    cache: Literal["auto", "ram", "off"] = field(
        "auto",
        "data",
        "Image cache",
        "Keep decoded images in memory; auto: if they fit into a quarter of what is free.",
        affects_result=False,
    )

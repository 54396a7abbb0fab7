"""The group “data” of TrainConfig: which images, how they are split, augmented and kept."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from imgcls_lab.config.applies import When
from imgcls_lab.config.fields import FieldGroup, Positive, field
from imgcls_lab.config.names import RECIPES


class DataFields(FieldGroup):
    """Data."""

    root: str = field(
        ...,
        "data",
        "Data set",
        "Folder with train/CLASS, and optionally val/CLASS and test/CLASS; or with CLASS alone.",
        first=True,
        at_fork="refused",
    )
    data_revision: Annotated[int, Field(ge=0)] | str | None = field(
        None,
        "data",
        "Corrections",
        "Number of the data set's revision whose labels and exclusions are used; or a file with corrections, as "
        "`imgcls-lab datasets export` writes it; empty: the labels are those of the folders.",
        labels={"": "none"},
        at_fork="between_epochs",
    )
    image_size: Positive | None = field(
        None,
        "data",
        "Image size",
        "Shorter edge of the model's input; empty: the size that the model was trained with.",
        unit="px",
        le=4096,
        labels={"": "the model's own"},
        at_fork="refused",
    )
    augmentation: str = field(
        "standard",
        "data",
        "Augmentation",
        "none: resize only; light: small shifts, and flips; standard: random crop and flip; "
        "heavy: standard with RandAugment and random erasing; timm: the augmentation that timm uses for fine-tuning.",
        first=True,
        suggestions=RECIPES,
        min_length=1,
        labels={"none": "none", "light": "light", "standard": "standard", "heavy": "heavy", "timm": "timm’s"},
    )
    hflip: bool | None = field(
        None,
        "data",
        "Mirror images",
        "on: mirror half of the images with any augmentation; off: mirror none, because left and right have a "
        "meaning, as in digits and letters; empty: as the augmentation does.",
        labels={"": "as the augmentation does", "true": "half of them", "false": "none"},
    )
    crop_scale: float | None = field(
        None,
        "data",
        "Smallest crop",
        "Smallest fraction of an image's area that a random crop keeps; 1: the whole image; empty: as the "
        "augmentation does.",
        gt=0,
        le=1,
        labels={"": "as the augmentation does"},
    )
    crop_ratio: float | None = field(
        None,
        "data",
        "Crop shape",
        "How much the aspect ratio of a crop may differ from that of the image; 1: not at all; empty: as the "
        "augmentation does.",
        ge=1,
        le=10,
        labels={"": "as the augmentation does"},
    )
    vflip: float | None = field(
        None,
        "data",
        "Upside down",
        "Fraction of the images that are flipped vertically; empty: as the augmentation does.",
        ge=0,
        le=1,
        labels={"": "as the augmentation does"},
    )
    rotate: float | None = field(
        None,
        "data",
        "Rotation",
        "Largest angle of a random rotation; empty: as the augmentation does.",
        unit="degrees",
        ge=0,
        le=180,
        labels={"": "as the augmentation does"},
    )
    color_jitter: float | None = field(
        None,
        "data",
        "Colour jitter",
        "Largest change of brightness, contrast and saturation; empty: as the augmentation does.",
        ge=0,
        le=1,
        labels={"": "as the augmentation does"},
    )
    randaugment: float | None = field(
        None,
        "data",
        "RandAugment",
        "Magnitude of RandAugment; 0: off; empty: as the augmentation does.",
        ge=0,
        le=10,
        labels={"": "as the augmentation does"},
    )
    randaugment_ops: int | None = field(
        None,
        "data",
        "RandAugment's operations",
        "Operations of RandAugment per image; empty: as the augmentation does.",
        ge=1,
        le=4,
        labels={"": "as the augmentation does"},
        applies=(When("randaugment"), When("augmentation", ("heavy", "timm"))),
    )
    random_erasing: float | None = field(
        None,
        "data",
        "Random erasing",
        "Fraction of the images in which a random box is erased; empty: as the augmentation does.",
        ge=0,
        le=1,
        labels={"": "as the augmentation does"},
    )
    val_fraction: float = field(
        0.2,
        "data",
        "Validation fraction",
        "Fraction of each class in train/ that is held out for validation, if there is no val/.",
        gt=0,
        lt=1,
        at_fork="refused",
    )
    group_pattern: str | None = field(
        None,
        "data",
        "Groups",
        "Regular expression whose first group names the group of an image by its path, such as (patient[0-9]+): all "
        "images of a group are on the same side of the split.",
        max_length=500,
        labels={"": "none"},
        at_fork="refused",
    )
    on_duplicates: Literal["report", "drop_exact", "drop_near"] = field(
        "report",
        "data",
        "Copies",
        "Training images that are also in val/ or test/. report: keep and report them; drop_exact: leave out exact "
        "copies; "
        "drop_near: leave out look-alikes, too.",
        labels={
            "report": "keep and report",
            "drop_exact": "leave out exact copies",
            "drop_near": "leave out look-alikes, too",
        },
        at_fork="between_epochs",
    )
    balance: Literal["none", "sampler", "class_weights"] = field(
        "none",
        "data",
        "Class balance",
        "sampler: draw rare classes more often; class_weights: give their loss a higher weight.",
        labels={
            "none": "as they are",
            "sampler": "draw rare classes more often",
            "class_weights": "weigh rare classes more",
        },
        at_fork="between_epochs",
    )
    cache: Literal["auto", "ram", "disk", "off"] = field(
        "auto",
        "data",
        "Image cache",
        "Where decoded images are kept; auto: on disk, shared by all runs, if there is space; otherwise in memory.",
        affects_result=False,
        labels={"auto": "automatic", "ram": "in memory", "disk": "on disk", "off": "off"},
    )

    @field_validator("data_revision", mode="before")
    @classmethod
    def _is_a_number_or_a_file(cls, value: Any) -> Any:
        """A form and `--set` give a number as a text. 0 is the folders as they are."""
        if isinstance(value, bool):
            raise ValueError(f"must be a number or a file, not {str(value).lower()}")
        if isinstance(value, str):
            text = value.strip()
            value = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else text or None
        return None if value == 0 else value

    @field_validator("group_pattern", mode="after")
    @classmethod
    def _has_a_group(cls, value: str | None) -> str | None:
        try:
            groups = re.compile(value).groups if value is not None else 1
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"is no regular expression: {error}") from None
        if not groups:
            raise ValueError(
                "has no group; put the part that names the group into parentheses, such as (patient[0-9]+)"
            )
        return value

"""The group “model” of TrainConfig: which model, and which of its parts are trained."""

from __future__ import annotations

import os
import re

from pydantic import field_validator

from imgcls_lab.config.applies import When
from imgcls_lab.config.fields import FieldGroup, Names, Positive, field, split_names

_REVISION = re.compile(r"(?!.*(\.\.|//))[A-Za-z0-9_][A-Za-z0-9_.+@/-]*")
WEIGHTS = ("model.safetensors", "model.safetensors.index.json")  # either, in a model's folder


def weights_problem(flavour: str, load_pretrained: bool) -> str | None:
    """A sentence if a model of a local folder is to start from weights that are not there; a hub is not asked."""
    if not load_pretrained or not os.path.isfile(os.path.join(flavour, "config.json")):
        return None
    if any(os.path.isfile(os.path.join(flavour, name)) for name in WEIGHTS):
        return None
    return (
        f"The model folder “{flavour}” has no {WEIGHTS[0]}. Turn load_pretrained off to start from random weights, or "
        "save the model with save_pretrained."
    )


def is_revision(text: str) -> bool:
    """Whether a text can name a branch, tag or commit: the hub's client makes a path in its cache of it."""
    return _REVISION.fullmatch(text) is not None


class ModelFields(FieldGroup):
    """Model."""

    model_flavour: str = field(
        "google/vit-base-patch16-224",
        "model",
        "Model",
        "Model of the Hugging Face hub (timm/... too), or a local folder with a config.json.",
        first=True,
        suggestions=("google/vit-base-patch16-224", "microsoft/resnet-50", "facebook/convnextv2-tiny-22k-224"),
        min_length=1,
        at_fork="refused",
    )
    load_pretrained: bool = field(
        True,
        "model",
        "Start from",
        "Start from the model's weights; off: start from random ones.",
        first=True,
        labels={"true": "pretrained weights", "false": "random weights"},
        at_fork="refused",
    )
    freeze_backbone: bool = field(
        False,
        "model",
        "Train",
        "Train only the classification head.",
        first=True,
        labels={"true": "the head alone", "false": "the whole model"},
        at_fork="fresh_optimizer",
    )
    feature_views: int = field(
        4,
        "model",
        "Views of features",
        "With a frozen backbone: compute the features of this many augmented views of each image once, and train the "
        "head on "
        "them in turn. 0: compute them again in each epoch.",
        ge=0,
        le=1000,
        applies=(When("freeze_backbone", (True,)),),
    )
    revision: str | None = field(
        None,
        "model",
        "Revision",
        "Branch, tag or commit of the hub model; pin a commit to reproduce.",
        labels={"": "the newest"},
        at_fork="refused",
    )
    unfreeze_epoch: Positive | None = field(
        None,
        "model",
        "Unfreeze after",
        "Epochs after which the frozen backbone is trained, too; empty: it stays frozen.",
        unit="epochs",
        labels={"": "never"},
        applies=(When("freeze_backbone", (True,)),),
        at_fork="fresh_optimizer",
    )
    unfreeze_blocks: int | None = field(
        None,
        "model",
        "Blocks an epoch",
        "How many more blocks of the backbone, from the head down, are unfrozen each epoch; empty: all at once.",
        gt=0,
        labels={"": "all at once"},
        applies=(When("unfreeze_epoch"),),
        at_fork="fresh_optimizer",
    )
    backbone_lr_ratio: float = field(
        1.0,
        "model",
        "Backbone's rate",
        "Learning rate of the backbone, as a factor of the head's.",
        gt=0,
        le=1,
        applies=(When("freeze_backbone", (False,)), When("unfreeze_epoch")),
    )
    lora_rank: Positive | None = field(
        None,
        "model",
        "LoRA rank",
        "Train low-rank updates of this rank and the head instead of all weights; empty: off.",
        le=1024,
        labels={"": "off"},
        applies=(When("freeze_backbone", (False,)),),
        at_fork="fresh_optimizer",
    )
    lora_alpha: float | None = field(
        None,
        "model",
        "LoRA alpha",
        "The updates are scaled by alpha / rank; empty: alpha is the rank.",
        gt=0,
        labels={"": "the rank"},
        applies=(When("lora_rank"),),
        at_fork="fresh_optimizer",
    )
    lora_targets: Names = field(
        (),
        "model",
        "LoRA targets",
        "Names, or ends of names, of the layers that get updates, such as query, value; empty: all layers of the "
        "backbone.",
        labels={"": "all layers of the backbone"},
        applies=(When("lora_rank"),),
        at_fork="fresh_optimizer",
    )
    drop_path: float | None = field(
        None,
        "model",
        "Drop path",
        "Rate of stochastic depth; empty: the model's default.",
        ge=0,
        lt=1,
        labels={"": "the model's own"},
    )
    dropout: float | None = field(
        None,
        "model",
        "Dropout",
        "Rate of dropout; empty: the model's default.",
        ge=0,
        lt=1,
        labels={"": "the model's own"},
    )
    gradient_checkpointing: bool = field(
        False,
        "model",
        "Gradient checkpointing",
        "Compute activations twice instead of keeping them: less memory, slower steps.",
        applies=(When("freeze_backbone", (False,)), When("unfreeze_epoch")),
    )

    @field_validator("revision", mode="after")
    @classmethod
    def _names_a_revision(cls, value: str | None) -> str | None:
        if value and not is_revision(value):
            raise ValueError("is no branch, tag or commit")
        return value

    _split_targets = field_validator("lora_targets", mode="before")(split_names)

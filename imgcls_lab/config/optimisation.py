"""The group “optimisation” of TrainConfig: optimizer and batches."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from imgcls_lab.config.applies import When
from imgcls_lab.config.fields import FieldGroup, Names, Numbers, field, split_names
from imgcls_lab.config.names import TAKE_BETAS, TAKE_EPS, TAKE_MOMENTUM

SEEDS = 2**32  # that there are


class OptimisationFields(FieldGroup):
    """Optimisation."""

    epochs: int = field(10, "optimisation", "Epochs", "Passes over the training images.", first=True, gt=0, le=100_000)
    batch_size: int = field(
        32,
        "optimisation",
        "Batch size",
        "Images per batch.",
        first=True,
        gt=0,
        le=65_536,
        at_fork="between_epochs",
    )
    lr: float = field(
        3e-4,
        "optimisation",
        "Learning rate",
        "Highest learning rate of the run.",
        first=True,
        gt=0,
        le=10,
        allow_inf_nan=False,
    )
    optimizer: str = field(
        "adamw",
        "optimisation",
        "Optimizer",
        "Name of an optimizer of timm or of a plugin.",
        suggestions=("adamw", "sgd", "lion", "lamb", "adopt", "muon", "nadamw", "adan", "rmsprop"),
        min_length=1,
        at_fork="fresh_optimizer",
    )
    weight_decay: float = field(
        0.05, "optimisation", "Weight decay", "Decay of the weights; not applied to biases and norms.", ge=0, le=10
    )
    momentum: float | None = field(
        None,
        "optimisation",
        "Momentum",
        "Momentum of SGD and similar optimizers; empty: 0.9.",
        ge=0,
        lt=1,
        labels={"": "0.9"},
        applies=(When("optimizer", TAKE_MOMENTUM, said="with optimizers that take a momentum, such as sgd"),),
    )
    betas: Numbers = field(
        (),
        "optimisation",
        "Betas",
        "Decay rates of the moving averages in Adam and similar optimizers, such as 0.9, 0.95; empty: the "
        "optimizer's default.",
        max_length=3,
        labels={"": "the optimizer's own"},
        applies=(When("optimizer", TAKE_BETAS, said="with Adam and similar optimizers"),),
    )
    eps: float | None = field(
        None,
        "optimisation",
        "Epsilon",
        "Term that keeps Adam and similar optimizers from dividing by zero; empty: the optimizer's default.",
        gt=0,
        le=1,
        labels={"": "the optimizer's own"},
        applies=(When("optimizer", TAKE_EPS, said="with Adam and similar optimizers"),),
    )
    gradient_accumulation_steps: int = field(
        1,
        "optimisation",
        "Gradient accumulation",
        "Batches whose gradients are added up before an optimizer step.",
        gt=0,
        le=4096,
        at_fork="between_epochs",
    )
    layer_decay: float | None = field(
        None,
        "optimisation",
        "Layer decay",
        "Factor on the learning rate from each block to the one below it, such as 0.75; empty: one rate for all.",
        gt=0,
        le=1,
        labels={"": "one rate for all"},
        applies=(When("freeze_backbone", (False,)), When("unfreeze_epoch")),
    )
    clip_grad_norm: float | None = field(
        1.0,
        "optimisation",
        "Clip gradients",
        "Largest norm of the gradient; empty: no limit.",
        gt=0,
        labels={"": "no limit"},
    )
    clip_mode: Literal["norm", "value", "agc"] = field(
        "norm",
        "optimisation",
        "Clip by",
        "What is limited. norm: the norm of the whole gradient; value: each of its values; agc: the norm per unit, "
        "relative to "
        "the norm of its weights (0.01 is usual).",
        labels={"norm": "norm of the gradient", "value": "each value", "agc": "norm per unit (AGC)"},
        applies=(When("clip_grad_norm"),),
    )
    seed: int = field(
        0,
        "optimisation",
        "Seed",
        "Seed of everything random.",
        ge=0,
        lt=SEEDS,
        at_fork="refused",
    )
    plugins: Names = field(
        (),
        "optimisation",
        "Plugins",
        "Python files that register losses, optimizers, schedules or recipes. They are code: name only files that "
        "you trust.",
        labels={"": "none"},
    )

    _split_lists = field_validator("betas", "plugins", mode="before")(split_names)

    @field_validator("betas", mode="after")
    @classmethod
    def _decay(cls, value: Numbers) -> Numbers:
        if not all(0 <= beta < 1 for beta in value):
            raise ValueError("must each be at least 0 and less than 1")
        return value

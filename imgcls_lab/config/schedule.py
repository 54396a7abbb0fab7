"""The group “schedule” of TrainConfig: the learning rate over time, and when to stop."""

from __future__ import annotations

from imgcls_lab.config.applies import When
from imgcls_lab.config.fields import FieldGroup, field
from imgcls_lab.config.names import SCHEDULES

DECAYING = tuple(name for name in SCHEDULES if name != "constant")


class ScheduleFields(FieldGroup):
    """Schedule."""

    schedule: str = field(
        "cosine",
        "schedule",
        "Schedule",
        "Curve of the learning rate after the warm-up, or the name of a plugin's schedule.",
        suggestions=SCHEDULES,
        min_length=1,
        labels={
            "poly": "polynomial",
            "wsd": "warm-up, stable, decay",
            "rsqrt": "reciprocal square root",
            "step": "steps",
            "plateau": "on a plateau",
        },
    )
    warmup_epochs: float = field(
        0.5, "schedule", "Warm-up", "Epochs in which the learning rate rises from zero.", unit="epochs", ge=0
    )
    min_lr_ratio: float = field(
        0.01,
        "schedule",
        "Final rate",
        "Learning rate at the end, as a fraction of the highest.",
        ge=0,
        le=1,
        applies=(When("schedule", DECAYING, said="with schedules that decay"),),
    )
    poly_power: float = field(
        2.0, "schedule", "Power", "Exponent of the schedule poly.", gt=0, le=10, applies=(When("schedule", ("poly",)),)
    )
    decay_epochs: float | None = field(
        None,
        "schedule",
        "Decay every",
        "Epochs between two decays of the schedule step; empty: a third of the run.",
        unit="epochs",
        gt=0,
        labels={"": "a third of the run"},
        applies=(When("schedule", ("step",)),),
    )
    decay_rate: float = field(
        0.1,
        "schedule",
        "Decay rate",
        "Factor of each decay of the schedules step and plateau.",
        gt=0,
        lt=1,
        applies=(When("schedule", ("step", "plateau")),),
    )
    decay_fraction: float = field(
        0.2,
        "schedule",
        "Decay fraction",
        "Last fraction of the run, in which wsd and rsqrt decay.",
        gt=0,
        le=1,
        applies=(When("schedule", ("wsd", "rsqrt")),),
    )
    plateau_epochs: int = field(
        3,
        "schedule",
        "Plateau",
        "Epochs without an improvement after which the schedule plateau decays.",
        unit="epochs",
        gt=0,
        applies=(When("schedule", ("plateau",)),),
    )
    early_stopping_patience: int | None = field(
        None,
        "schedule",
        "Early stopping",
        "Stop after this many epochs without an improvement; empty: never.",
        unit="epochs",
        gt=0,
        labels={"": "never"},
    )
    min_delta: float = field(
        0.0,
        "schedule",
        "Smallest improvement",
        "Change of the monitored metric that early stopping and plateau count as an improvement.",
        ge=0,
        allow_inf_nan=False,
        applies=(When("early_stopping_patience"), When("schedule", ("plateau",))),
    )

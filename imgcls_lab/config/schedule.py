"""The group “schedule” of TrainConfig: the learning rate over time, and when to end."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.config.fields import FieldGroup, field


class ScheduleFields(FieldGroup):
    """Schedule."""

    schedule: Literal["cosine", "linear", "constant"] = field(
        "cosine", "schedule", "Schedule", "Course of the learning rate after the warm-up, step by step."
    )
    warmup_epochs: float = field(
        0.5, "schedule", "Warm-up", "Epochs in which the learning rate rises from zero.", unit="epochs", ge=0
    )
    min_lr_ratio: float = field(
        0.01, "schedule", "Final rate", "Learning rate at the end, as a share of the highest.", ge=0, le=1
    )
    early_stopping: int | None = field(
        None,
        "schedule",
        "Early stopping",
        "Stop after this many epochs without a better result; empty: never.",
        unit="epochs",
        gt=0,
    )

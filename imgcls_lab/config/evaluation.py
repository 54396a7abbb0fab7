"""The group “evaluation” of TrainConfig: what is measured, and what decides which checkpoint is best."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.config.fields import FieldGroup, field


class EvaluationFields(FieldGroup):
    """Evaluation."""

    monitor_metric: Literal["accuracy", "top5", "macro_f1", "loss"] = field(
        "accuracy",
        "evaluation",
        "Keep the best by",
        "Validation figure that decides which checkpoint is the best.",
        first=True,
    )
    monitor_mode: Literal["auto", "max", "min"] = field(
        "auto", "evaluation", "Better is", "auto: lower for loss, higher for the others."
    )
    eval_batch_size: int | None = field(
        None,
        "evaluation",
        "Evaluation batch",
        "Images a step in validation; empty: twice the batch size.",
        affects_result=False,
        gt=0,
        le=65_536,
    )
    log_every: int = field(
        1,
        "evaluation",
        "Log every",
        "Steps between two points of the training curves.",
        unit="steps",
        affects_result=False,
        gt=0,
    )

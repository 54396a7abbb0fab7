"""What a run would do on a folder of images, counted before a single image is opened.

Called by the server's check and by the form in a notebook. The run itself leaves out what it cannot read, so that it
may have some images and steps fewer.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgcls_lab.config import TrainConfig
from imgcls_lab.imagefolder import FolderSummary
from imgcls_lab.planning.holdout import count_held_out
from imgcls_lab.planning.lr_schedules import lr_curve
from imgcls_lab.planning.steps import StepPlan, plan_steps
from imgcls_lab.schemas import LrCurve


@dataclass(frozen=True)
class RunPreview:
    """held_out: images of train/ that validate, 0 where there is a val/; lr_curve: None for a plugin's schedule."""

    held_out: int
    steps: StepPlan
    lr_curve: LrCurve | None

    @property
    def steps_text(self) -> str:
        return f"{self.steps.steps_per_epoch:,} an epoch, {self.steps.total_steps:,} in all"


def preview(config: TrainConfig, summary: FolderSummary) -> RunPreview:
    """The preview on a folder without a problem. Raises ConfigError and DataError for what the run would refuse."""
    held_out = count_held_out(summary, config)
    steps = plan_steps(config, summary.images("train") - held_out)
    return RunPreview(held_out, steps, lr_curve(config, steps))

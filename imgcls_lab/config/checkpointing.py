"""The group “checkpointing” of TrainConfig: what is saved, how often and where."""

from __future__ import annotations

from imgcls_lab.config.fields import FieldGroup, field


class CheckpointingFields(FieldGroup):
    """Checkpointing."""

    save_every_epochs: int | None = field(
        None,
        "checkpointing",
        "Keep every",
        "Keep the checkpoint of every n-th epoch in addition to best and last; empty: none.",
        unit="epochs",
        affects_result=False,
        gt=0,
        labels={"": "none"},
    )
    checkpoint_every_minutes: float = field(
        10,
        "checkpointing",
        "Save every",
        "Time between two checkpoints inside a long epoch.",
        unit="min",
        affects_result=False,
        gt=0,
    )
    keep_last: int = field(
        2,
        "checkpointing",
        "Last checkpoints",
        "How many of the last checkpoints stay on disk.",
        affects_result=False,
        ge=2,
        le=100,
    )
    keep_best: int = field(
        1,
        "checkpointing",
        "Best checkpoints",
        "How many of the best checkpoints stay on disk, by the monitored metric.",
        affects_result=False,
        ge=1,
        le=100,
    )
    ckpt_dir: str | None = field(
        None,
        "checkpointing",
        "Checkpoint folder",
        "Folder of the checkpoints; empty: in the run's folder.",
        affects_result=False,
        at_resume=False,  # the run has written there
        labels={"": "in the run's folder"},
    )
    tb_root: str | None = field(
        None,
        "checkpointing",
        "TensorBoard folder",
        "Folder of the event files; empty: in the run's folder.",
        affects_result=False,
        at_resume=False,  # the run has written there
        labels={"": "in the run's folder"},
    )
    log_indices: bool = field(
        False,
        "checkpointing",
        "Log of images",
        "Write down which images each step trained on, to check that no image is lost or doubled by a resume.",
        affects_result=False,
    )

"""What forms need: the schema, a check, refusals, and where the server stands."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import Values


class SchemaReply(Wire):
    """TrainConfig's JSON Schema, its groups in order, and what a new form starts with."""

    json_schema: dict[str, Any]
    groups: dict[str, str]
    start: dict[str, Any]  # values of the last training, or the demo's, or the defaults
    start_from: str | None  # whose values these are; null: nobody's
    start_project_id: int | None  # the project of the run whose values these are; null: none in particular
    recent_names: list[str] = []  # that this user gave to runs, the newest first
    defaults: dict[str, Any]  # TrainConfig's own, no data, a registered model


class CheckRequest(Wire):
    """Values of a form, right or wrong."""

    config: Values


class VersionsRequest(Wire):
    """Which image of a data set is drawn as a training would see it, and in which epochs.

    number: of the image among some of the data set, over and over; seed: other epochs; size: of a version, px.
    """

    config: Values
    number: int = Field(0, ge=0, le=100_000)
    seed: int = Field(0, ge=0, le=100_000)
    size: int = Field(96, ge=16, le=256)


class FieldProblem(Wire):
    field: str
    message: str


class StepCounts(Wire):
    """Optimizer steps of a run that can read every image and is not stopped early."""

    batches_per_epoch: int
    steps_per_epoch: int
    total_steps: int


class RateCurve(Wire):
    """A learning rate over the epochs of a run."""

    epoch: list[float]
    lr: list[float]


class LrCurve(Wire):
    """The learning rate over a run: at most 200 points, corners among them; a line between two points is close."""

    step: list[int]  # from 0
    lr: list[float]


class ForkPreview(Wire):
    """The learning rate that a fork would have, if it continues the schedule and if it restarts it.

    problems: why it cannot be made. null: the schedule is a plugin's, the parent has not said yet on how many images it
    trains, or there are problems.
    """

    problems: list[FieldProblem] = []
    epoch: float | None = None  # at which it leaves its parent
    continued: RateCurve | None = None
    restarted: RateCurve | None = None


class LaunchEstimate(Wire):
    """What a run would take, measured by runs like it. seconds and bytes; null: not known."""

    like: list[str]  # names of those runs, the newest first
    trial: bool  # a speed trial alone was measured: reading images and evaluation come on top
    seconds: float
    memory: int | None
    disk: int | None  # of the checkpoints that stay


class CheckReply(Wire):
    """What would happen if this config were launched."""

    problems: list[FieldProblem]  # empty: it can be launched
    facts: dict[str, str]  # steps, classes, disk ...: label -> sentence
    resolved: dict[str, str] = {}  # field -> what it comes to, where the config leaves it to the program
    estimate: LaunchEstimate | None = None  # null: no like run has been measured, or there are no steps
    root: str | None = None  # the data set that was looked at, as the form names it
    image_edge: int | None = None  # px, the typical shorter edge of its images
    may_try: bool = False  # whether a speed trial could give one
    may_draw: bool = False  # whether `versions` can: the model's files are on this machine, and no plugin is named
    steps: StepCounts | None  # null: config or data have a problem
    lr_curve: LrCurve | None  # null: as above, or the schedule is a plugin's


class SweepCheck(Wire):
    """What a sweep would try."""

    problems: list[FieldProblem]  # field: a setting of the space, or `space`; empty: it can be launched
    trials: int | None  # of a grid all its cells; null: the space cannot be read, or only epochs are counted
    epochs: int | None  # that its rungs let its trials train together; null: it has none
    rungs: list[int]  # epochs at the rungs of its first bracket


class ErrorReply(Wire):
    message: str
    problems: list[FieldProblem] = []


class ServerInfo(Wire):
    version: str
    datasets_dir: str
    roots: list[str]
    home: str
    user: str  # who owns what this server makes
    demo_ready: bool

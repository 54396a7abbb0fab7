"""What forms need: the schema, a check, refusals, and where the server stands."""

from __future__ import annotations

from typing import Any

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import Values


class SchemaReply(Wire):
    """TrainConfig's JSON Schema, its groups in order, and what a new form starts with."""

    json_schema: dict[str, Any]
    groups: dict[str, str]
    start: dict[str, Any]  # values of the last training, or the demo's, or the defaults
    start_from: str | None  # whose values these are; null: nobody's
    start_project_id: int | None  # the project of the run whose values these are; null: none in particular
    defaults: dict[str, Any]  # TrainConfig's own, no data, a registered model


class CheckRequest(Wire):
    """Values of a form, right or wrong."""

    config: Values


class FieldProblem(Wire):
    field: str
    message: str


class StepCounts(Wire):
    """Optimizer steps of a run that can read every image and is not stopped early."""

    batches_per_epoch: int
    steps_per_epoch: int
    total_steps: int


class LrCurve(Wire):
    """The learning rate over a run: at most 200 points, corners among them; a line between two points is close."""

    step: list[int]  # from 0
    lr: list[float]


class CheckReply(Wire):
    """What would happen if this config were launched."""

    problems: list[FieldProblem]  # empty: it can be launched
    facts: dict[str, str]  # steps, classes, disk ...: label -> sentence
    steps: StepCounts | None  # null: config or data have a problem
    lr_curve: LrCurve | None  # null: as above, or the schedule is a plugin's


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

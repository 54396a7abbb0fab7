"""TensorBoards and their processes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import MAX_RUNS, Id, Whole


class BoardRequest(Wire):
    """A TensorBoard of some runs, of a sweep (its run's id) or of a project."""

    run_ids: list[Id] = Field([], max_length=MAX_RUNS)
    sweep_id: Id | None = None
    project_id: Whole | None = None


class BoardView(Wire):
    """A TensorBoard and its process: `asleep` frees its memory and starts again when it is opened."""

    id: str
    title: str
    project_id: int | None
    sweep_id: str | None
    run_ids: list[str]
    state: Literal["running", "asleep", "failed"]
    message: str | None
    memory: int | None
    started_at: float | None


class RunIds(Wire):
    """Runs of a TensorBoard."""

    run_ids: list[Id] = Field(max_length=MAX_RUNS)

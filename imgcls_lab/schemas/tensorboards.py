"""TensorBoards and their processes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire

MOST_BOARD_RUNS = 200  # that are chosen one by one


class BoardRequest(Wire):
    """A TensorBoard of some runs, of a sweep (its run's id) or of a project."""

    run_ids: list[str] = Field([], max_length=MOST_BOARD_RUNS)
    sweep_id: str | None = None
    project_id: int | None = None


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

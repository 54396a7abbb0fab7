"""The result of a training. Torch-free."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from imgcls_lab.events import RunState


@dataclass(frozen=True)
class Outcome:
    """state: succeeded or stopped; step: optimizer steps done; values: metrics of the best epoch, by tag.

    folder: the run's folder; message: a sentence for the user, where there is something to say.
    """

    state: RunState
    step: int
    folder: Path
    values: dict[str, float] = field(default_factory=dict)
    message: str | None = None

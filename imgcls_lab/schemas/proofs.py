"""What proves that a run can be computed again: its certificate."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.schemas.runs import RunView

MAX_VERIFIED = 1_000_000  # steps
DifferenceKind = Literal["config", "threads", "precision", "device", "hardware", "data", "package", "code", "model"]


class Difference(Wire):
    """One thing that is otherwise than when a run trained. text: a phrase, "threads is 2 and was 1"."""

    kind: DifferenceKind
    text: str


class Certificate(Wire):
    """What came of computing steps of a run again. `certificate.json` in its folder holds the newest.

    checkpoint: with which it began, empty: as the run began; from_step: steps done there; last_step: the last that was
    computed again; steps: of how many something was compared; hashes: of the weights, of these. first_step: the first
    that differs, null where none does. differences: what is otherwise than when the run trained.
    """

    run: str
    identical: bool
    checkpoint: str
    from_step: int
    last_step: int
    steps: int
    hashes: int
    first_step: int | None
    differences: list[Difference]
    sentence: str
    remedy: str
    made_at: float


class Bisection(Wire):
    """Where two runs that should be equal part, and why. one, other: their ids.

    first_step: the first that differs, null where none does; after_step: of what is recorded, the last that is the
    same; replays: how often steps were computed again for it; part: what differs first in that step.
    """

    one: str
    other: str
    first_step: int | None
    after_step: int
    replays: int
    part: Literal["", "start", "batch", "image", "rate", "module", "gradient", "parameter", "unknown"]
    name: str
    differences: list[Difference]
    sentence: str


class VerifyRequest(Wire):
    """steps: how many are computed again; at: from a checkpoint on, as for a fork; empty: from the first step."""

    steps: int = Field(20, ge=1, le=MAX_VERIFIED)
    at: str = Field("", max_length=MAX_NAME)


class BisectRequest(Wire):
    """against: the run that should be equal."""

    against: str = Field(max_length=MAX_NAME)


class BisectionReply(Wire):
    """The newest task that searches for where two runs part, and what it has found; null where it has not."""

    found: Bisection | None
    task: RunView | None


class ProofView(Wire):
    """The newest certificate of a run, null where there is none; and the newest task that computes it again."""

    certificate: Certificate | None
    task: RunView | None

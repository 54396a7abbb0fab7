"""What a run has written: points of its curves, its log, evaluations; and predictions, which look like these."""

from __future__ import annotations

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.calibration import Answered, Calibration
from imgcls_lab.schemas.limits import Whole


class Series(Wire):
    """Points of one tag of one run, sorted by step. `value` null: not finite. Thinned to min and max where too many.

    time: seconds of training since the run began, pauses between its attempts left out.
    """

    run_id: str
    tag: str
    step: list[int]
    epoch: list[float]
    time: list[float]
    value: list[float | None]
    thinned: bool


class Cursor(Wire):
    """How far a reader of a run has come."""

    attempt: Whole = 0
    seq: Whole = 0


class SeriesReply(Wire):
    series: list[Series]
    cursors: dict[str, Cursor]  # by run
    inherited: list[Series] = []  # of forks: the points of their ancestors, up to the fork; without training times

    def whole(self) -> list[Series]:
        """The series with what each has from its ancestors, from the first point on."""
        past = {(item.run_id, item.tag): item for item in self.inherited}
        own = {(item.run_id, item.tag): item for item in self.series}
        return [_joined(past.get(key), own.get(key)) for key in own | past]


def _joined(past: Series | None, own: Series | None) -> Series:
    """One of the two is there."""
    if past is None or own is None:
        found = past or own
        assert found is not None  # noqa: S101
        return found
    joined = {name: [*getattr(past, name), *getattr(own, name)] for name in ("step", "epoch", "time", "value")}
    return own.model_copy(update={**joined, "thinned": own.thinned or past.thinned})


class StaticCell(Wire):
    """What a notebook keeps of a run: its output without anything live, by MIME type."""

    kept: str  # what it shows: with another mark it is to be made anew
    ended: bool
    data: dict[str, str]
    metadata: dict[str, dict[str, int]]


class LogChunk(Wire):
    text: str
    offset: int  # byte at which text begins
    end: int  # byte behind it; ask again from here
    size: int  # of the whole log


class ClassFigures(Wire):
    name: str
    images: int
    precision: float | None
    recall: float | None
    f1: float | None


class EpochReport(Wire):
    """One evaluation, as the engine writes it to reports/: epoch-0003.json of val/, test.json of the best on test/.

    epoch, step: where the training of the model stood; null of a model that is no run's checkpoint. calibration: what
    was fitted on these images, of val/ during a run; answered: how a model that has a threshold did at it.
    """

    epoch: int | None
    step: int | None
    split: str
    images: int
    values: dict[str, float | None]
    classes: list[ClassFigures]
    confusion: list[list[int]] | None  # row: true class, column: predicted; null above 200 classes
    left_out: dict[str, str] = {}  # unreadable images of the split: path -> reason
    calibration: Calibration | None = None
    answered: Answered | None = None


class ClassProb(Wire):
    name: str
    prob: float


class ImagePrediction(Wire):
    """What a model says of one image: its likeliest classes, or why it cannot be read.

    abstains: the likeliest class does not reach the model's threshold, so it gives no answer.
    """

    path: str
    classes: list[ClassProb]
    error: str | None = None
    abstains: bool = False

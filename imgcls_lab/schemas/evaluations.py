"""What a run's predictions say: images of an evaluation, mistakes, thresholds, reliability, and one image in depth.

Everything is of one evaluation: a run, a split (`val` or `test`, never both) and an epoch. Probabilities are those
that the run stored. How each metric is defined: docs/evaluation.md.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.calibration import Abstention, ReliabilityBin, ThresholdCurve
from imgcls_lab.schemas.images import SplitName
from imgcls_lab.schemas.limits import MAX_PATH
from imgcls_lab.schemas.series import ClassProb

MAX_PAGE = 1000  # images of one answer
# of a training image by its epochs (Swayamdipta et al., 2020): learnt, undecided, never believed
LearningGroup = Literal["easy", "ambiguous", "suspicious"]


ImageOrder = Literal["loss", "confidence", "name", "mean", "spread"]


class EvaluatedQuery(Wire):
    """Which images of an evaluation a page shows, and in which order. Images without a value come last.

    epoch: by default the best; of train the last. label, predicted: names of classes. low, high: of the confidence,
    both included; of train, which keeps no predictions, of the label's probability. mean, spread, group: of train.
    """

    split: SplitName = "val"
    epoch: int | None = Field(None, ge=0, le=2**31)
    label: str | None = Field(None, max_length=MAX_PATH)
    predicted: str | None = Field(None, max_length=MAX_PATH)
    show: Literal["all", "mistakes", "right", "confident_mistakes", "unsure"] = "all"
    group: LearningGroup | None = None
    low: float | None = Field(None, ge=0, le=1)
    high: float | None = Field(None, ge=0, le=1)
    sort: ImageOrder = "loss"
    order: Literal["asc", "desc"] = "desc"
    offset: int = Field(0, ge=0, le=2**53)
    limit: int = Field(100, ge=1, le=MAX_PAGE)


class EvaluatedImage(Wire):
    """An image of an evaluation, or of the training set (then without `predicted`).

    mean, spread: of a training image, the mean and the standard deviation of `label_prob` over the epochs.
    """

    image: str  # SHA-256 of the file as the run read it; empty where the run did not keep it
    name: str
    split: str
    label: str  # as the run trained: after its data revision
    predicted: str | None
    confidence: float | None  # probability of `predicted`
    label_prob: float | None  # probability of `label`
    loss: float | None
    correct: bool | None
    mean: float | None = None
    spread: float | None = None
    group: LearningGroup | None = None


class EvaluatedPage(Wire):
    """Images that a filter leaves, sorted.

    counts: of the whole evaluation, what each `show` has: all, mistakes, confident_mistakes (at a confidence of 0.5 or
    more), unsure (below 0.5); of train: all, easy, ambiguous, suspicious.
    """

    items: list[EvaluatedImage]
    offset: int
    total: int
    counts: dict[str, int]


class ConfusionCell(Wire):
    label: str
    predicted: str
    images: int


class ClassRow(Wire):
    """A class of an evaluation. f1_by_epoch: at `EvaluationView.trend_epochs`; taken_for: most first, five or fewer."""

    name: str
    images: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    f1_by_epoch: list[float | None]
    taken_for: list[ConfusionCell]


class EvaluationView(Wire):
    """An evaluation with all that its page draws, beside the images."""

    run_id: str
    epoch: int | None
    split: str
    images: int
    epochs: list[int]  # that have predictions
    best_epoch: int | None
    has_test: bool
    has_train: bool  # the run kept what its steps saw of the training images
    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]  # 95 % intervals of those metrics that have one
    class_names: list[str]  # in the order of the outputs
    classes: list[ClassRow]
    trend_epochs: list[int]  # of `ClassRow.f1_by_epoch`, oldest first; none of test/, which is evaluated once
    cells: list[ConfusionCell]  # every cell that is not 0, at most 10,000: the largest
    cells_left_out: int
    thresholds: ThresholdCurve
    reliability: list[ReliabilityBin]
    temperature: float | None  # that makes val/ best calibrated; None: probabilities of all classes are not kept
    calibrated: list[ReliabilityBin]
    calibrated_error: float | None
    abstention: Abstention | None  # in force for this run's model
    notes: list[str]  # sentences, such as which figures cannot be computed from what was kept


class ClassCurves(Wire):
    """Precision over recall and ROC of one class against the rest, thinned so that no pixel of a chart changes.

    A point is what happens if the class is predicted from its threshold on. null: above every probability, so never.
    """

    name: str
    images: int
    precision: list[float]
    recall: list[float]
    thresholds: list[float]
    average_precision: float | None
    false_positive_rate: list[float]
    true_positive_rate: list[float]
    roc_thresholds: list[float | None]
    auroc: float | None


class EpochOfImage(Wire):
    """What one epoch said of an image. run_id: this run, or the one that it was continued from."""

    run_id: str
    epoch: int
    label_prob: float | None
    loss: float | None
    predicted: str | None
    correct: bool | None


class OtherRun(Wire):
    """The same image in another run of the data set."""

    run_id: str
    name: str
    relation: str  # parent, child or empty
    label: str
    predicted: str
    confidence: float | None
    correct: bool


class Neighbour(Wire):
    image: str
    name: str
    split: str
    label: str
    similarity: float  # cosine of the features, -1..1


class ImageDetail(Wire):
    """One image in depth. biography: oldest first. nearest: of train, by features, if an audit has kept them."""

    image: EvaluatedImage
    width: int
    height: int
    size: int
    problem: str | None  # deleted, replaced, unreadable since the run: a sentence
    top: list[ClassProb]
    biography: list[EpochOfImage]
    others: list[OtherRun]
    nearest: list[Neighbour]
    nearest_by: str  # model of the features; empty: there are none
    revision: dict[str, Any] | None = None  # what newer revisions say of it: {"number", "label" | "excluded"}
    notes: list[str]


class Flip(Wire):
    """An image on which two runs differ."""

    image: str
    name: str
    label: str
    before: str
    after: str
    before_confidence: float | None
    after_confidence: float | None


class FlipsView(Wire):
    """What a run fixed and broke compared with another, on the images that both evaluated, by the run's labels."""

    run_id: str
    against: str
    against_name: str
    split: str
    images: int  # that both evaluated
    relabelled: int  # of these, images whose label differs between the two
    both_right: int
    both_wrong: int
    fixed: list[Flip]
    broke: list[Flip]
    fixed_total: int
    broke_total: int
    p_value: float | None  # exact McNemar test
    difference: float  # fraction that is right now, less the fraction before
    difference_low: float  # its 95 % interval
    difference_high: float
    bootstrap_low: float  # the same by resampling the images
    bootstrap_high: float
    sentence: str


InferencePhase = Literal["idle", "starting", "loading", "answering"]


class InferenceView(Wire):
    """What the process that applies models to single images does. seconds: since the phase began."""

    phase: InferencePhase
    seconds: float


class TriedImage(Wire):
    """What a model says of an image that somebody dropped. abstains: no class reaches the threshold."""

    name: str
    top: list[ClassProb]
    abstains: bool
    threshold: float | None
    width: int
    height: int
    seconds: float
    error: str | None = None
    image: str = ""  # id by which its Grad-CAM can be asked for a while

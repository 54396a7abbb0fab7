"""What a run's predictions say: images of an evaluation, mistakes, thresholds, reliability, and one image in depth.

Everything is of one evaluation: a run, a split (`val` or `test`, never both) and an epoch. Probabilities are those
that the run stored. How each metric is defined: docs/evaluation.md.
"""

from __future__ import annotations

from typing import Any

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.calibration import Abstention, ReliabilityBin, ThresholdCurve
from imgcls_lab.schemas.series import ClassProb


class EvaluatedImage(Wire):
    """An image of an evaluation, or of the training set (then without `predicted`)."""

    image: str  # SHA-256 of the file as the run read it; empty where the run did not keep it
    name: str
    split: str
    label: str  # as the run trained: after its data revision
    predicted: str | None
    confidence: float | None  # probability of `predicted`
    label_prob: float | None  # probability of `label`
    loss: float | None
    correct: bool | None


class EvaluatedPage(Wire):
    """Images that a filter leaves, sorted.

    counts: of the whole evaluation: all, mistakes, confident_mistakes, unsure.
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
    """A class of an evaluation. f1_by_epoch: of the epochs that have a report, oldest first; taken_for: most first."""

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
    has_test: bool
    values: dict[str, float | None]
    intervals: dict[str, tuple[float, float]]  # 95 % intervals of those metrics that have one
    class_names: list[str]  # in the order of the outputs
    classes: list[ClassRow]
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
    """Precision over recall and ROC of one class against the rest, thinned to some hundred points."""

    name: str
    images: int
    precision: list[float]
    recall: list[float]
    thresholds: list[float]
    average_precision: float | None
    false_positive_rate: list[float]
    true_positive_rate: list[float]
    roc_thresholds: list[float]
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
    confidence: float
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
    before_confidence: float
    after_confidence: float


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
    sentence: str


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

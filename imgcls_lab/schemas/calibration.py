"""How far a model's probabilities can be trusted: its temperature, and below which confidence it gives no answer."""

from __future__ import annotations

from imgcls_lab.schemas.base import Wire


class Abstention(Wire):
    """A threshold that was chosen on val/. promised_error: the largest fraction of answered images that is wrong."""

    threshold: float
    promised_error: float
    coverage: float  # on val/
    error: float  # on val/, of the answered images
    upper_error: float  # upper bound of the error at 95 % confidence
    images: int


class Calibration(Wire):
    """What was fitted on val/ and goes with the model. temperature: null where not all probabilities were at hand.

    abstention: null where too few images were validated for the error that was asked for.
    """

    temperature: float | None = None
    abstention: Abstention | None = None


class Answered(Wire):
    """How a model did at its threshold on a split. error: of the answered images; null where it answered none."""

    threshold: float
    images: int
    coverage: float
    error: float | None


class ReliabilityBin(Wire):
    low: float
    high: float
    images: int
    confidence: float | None  # mean
    accuracy: float | None


class ThresholdCurve(Wire):
    """What happens if the model answers only at a confidence of at least `threshold`. All lists have one length.

    precision: correct fraction of the answered images; recall: correctly answered fraction of all images; coverage:
    answered fraction; wrong_left_out, right_left_out: numbers of images that it abstains from.
    """

    threshold: list[float]
    precision: list[float | None]
    recall: list[float]
    coverage: list[float]
    wrong_left_out: list[int]
    right_left_out: list[int]

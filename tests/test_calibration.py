"""A threshold that was chosen on some images holds on others; a temperature is found; curves count what they say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar
from scipy.special import softmax
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss

from imgcls_lab import calibration

CONFIDENCE = np.asarray([0.9, 0.6, 0.6, 0.5, 0.99], np.float16)
CORRECT = np.asarray([True, False, True, False, True])


def test_a_threshold_curve_counts_who_is_answered() -> None:
    curve = calibration.threshold_curve(CONFIDENCE, CORRECT)
    levels = CONFIDENCE[[3, 1, 0, 4]].astype(float)
    assert curve.threshold == [0.0, *levels]
    assert curve.coverage == [1.0, 1.0, 0.8, 0.4, 0.2]
    assert curve.precision == [0.6, 0.6, 0.75, 1.0, 1.0]
    assert curve.recall == [0.6, 0.6, 0.6, 0.4, 0.2]
    assert curve.wrong_left_out == [0, 0, 1, 2, 2]
    assert curve.right_left_out == [0, 0, 0, 1, 2]
    large = calibration.threshold_curve(np.linspace(0.2, 1, 5000), np.ones(5000, bool))
    assert len(large.threshold) == calibration.CURVE_POINTS + 1


def test_reliability_bins_hold_all_and_give_the_calibration_error() -> None:
    bins = calibration.reliability(CONFIDENCE, CORRECT, 5)
    assert [part.images for part in bins] == [0, 0, 1, 2, 2]
    assert bins[3].accuracy == 0.5
    assert bins[0].confidence is None
    expected = (0.5 * 1 + 2 * (0.6 - 0.5) + 2 * (1 - 0.945)) / 5
    assert calibration.calibration_error(bins) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("true", [0.4, 1.0, 2.5])
def test_the_temperature_is_that_of_the_smallest_loss(true: float) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(3000, 7)) * 2
    exact = np.exp(logits / true)
    exact /= exact.sum(1, keepdims=True)
    labels = np.asarray([random.choice(7, p=row) for row in exact])
    probs = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    found = calibration.fit_temperature(probs.astype(np.float16), labels)

    def loss(temperature: float) -> float:
        return float(log_loss(labels, calibration.at_temperature(probs, temperature)))

    best = minimize_scalar(loss, bounds=calibration.TEMPERATURES, method="bounded").x
    assert found == pytest.approx(best, rel=0.01)
    assert found == pytest.approx(true, rel=0.1)


def test_the_temperature_of_a_model_without_a_mistake_is_bounded() -> None:
    found = calibration.fit_temperature(np.asarray([[0.9, 0.1], [0.2, 0.8]]), np.asarray([0, 1]))
    assert found == pytest.approx(calibration.TEMPERATURES[0], rel=1e-3)


def test_no_threshold_is_promised_on_too_few_images() -> None:
    confidence = np.linspace(0.5, 1, 50).astype(np.float16)
    assert calibration.choose_threshold(confidence, np.ones(50, bool), 0.01) is None
    held = calibration.choose_threshold(confidence, np.ones(50, bool))
    assert held is not None
    assert held.coverage == 1.0
    assert 0.49 < held.threshold < 0.5, "a model without a mistake abstains where it is less sure than ever before"
    assert held.promised_error == held.upper_error > 0
    assert calibration.choose_threshold(np.full(50, 0.7), np.arange(50) % 2 == 0) is None, "no threshold parts these"


def test_the_threshold_lies_between_two_images() -> None:
    confidence = np.linspace(0, 1, 400).astype(np.float16)
    held = calibration.choose_threshold(confidence, confidence > 0.5)
    assert held is not None
    assert not np.any(np.abs(confidence.astype(float) - held.threshold) < 1e-4)
    answered = calibration.answered_at(held.threshold, confidence, confidence > 0.5)
    assert (answered.coverage, answered.error) == (held.coverage, held.error)


@pytest.mark.parametrize("promised", [None, 0.05])
def test_the_promise_holds_on_images_that_the_threshold_has_not_seen(promised: float | None) -> None:
    """The digits by their distance from the mean of each class: forty times other images to choose on and to test."""
    digits = load_digits()
    broken, errors, drift, coverages = 0, [], [], []
    for seed in range(40):
        order = np.random.default_rng(seed).permutation(len(digits.target))
        train, val, test = np.split(order, [120, 900])
        means = np.stack([digits.data[train][digits.target[train] == label].mean(0) for label in range(10)])
        sure, hit = {}, {}
        for name, part in (("val", val), ("test", test)):
            probs = softmax(-(((digits.data[part][:, None] - means) ** 2).sum(2)) / 150, axis=1)
            sure[name], hit[name] = probs.max(1).astype(np.float16), probs.argmax(1) == digits.target[part]
        held = calibration.choose_threshold(sure["val"], hit["val"], promised)
        assert held is not None
        found = calibration.answered_at(held.threshold, sure["test"], hit["test"])
        assert found.error is not None
        broken += found.error > held.promised_error
        errors.append(found.error / held.promised_error)
        drift.append(abs(found.coverage - held.coverage))
        coverages.append(found.coverage)
    print(
        f"\npromised {promised or 'half of the plain error'}: broken {broken} times of 40 (target: at most 2); "
        f"error by promise {np.mean(errors):.2f}, at most {max(errors):.2f}; coverage {np.mean(coverages):.2f}, off by "
        f"{np.mean(drift):.3f} on average"
    )
    assert broken <= 2
    assert np.mean(drift) < 0.03

"""An evaluation's figures are scikit-learn's, for any number of classes, with ties, NaN and classes without images."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from imgcls_lab.analysis import curves, summary
from imgcls_lab.analysis.curves import auroc, average_precision, steps_of, thin_for_chart
from imgcls_lab.analysis.evaluation import load
from imgcls_lab.errors import DataError, NotFoundError
from imgcls_lab.schemas import Calibration, ClassFigures, EpochReport, EvaluationView

from .made import MadeRun, made, softmax


def classes_of(count: int) -> list[str]:
    return [f"class {number}" for number in range(count)]


def write(folder: Path, classes: int, labels: Any, probs: Any, **more: Any) -> MadeRun:
    return MadeRun(folder, classes_of(classes)).write(labels, probs, **more)


def no_report(epoch: int | None, split: str) -> EpochReport:
    raise NotFoundError("There is no report.")


def view(run: MadeRun, split: str = "val", report: EpochReport | None = None) -> EvaluationView:
    return summary.view(run.files, split, None, no_report if report is None else lambda *_: report)


def test_classes_and_cells_equal_scikit_learn(tmp_path: Path) -> None:
    labels, probs = made(500, 12)
    labels[labels == 3] = 4  # no image of class 3
    probs[:, 7] = 0  # no prediction of class 7
    shown = view(write(tmp_path, 12, labels, probs))
    predicted = probs.argmax(1)
    precision, recall, f1, images = metrics.precision_recall_fscore_support(
        labels, predicted, labels=range(12), zero_division=np.nan
    )
    for number, row in enumerate(shown.classes):
        assert row.images == images[number]
        for mine, theirs in ((row.precision, precision), (row.recall, recall), (row.f1, f1)):
            assert mine is None if math.isnan(theirs[number]) else mine == pytest.approx(theirs[number]), (row, number)
    matrix = np.zeros((12, 12), int)
    for cell in shown.cells:
        matrix[shown.class_names.index(cell.label), shown.class_names.index(cell.predicted)] = cell.images
    assert (matrix == metrics.confusion_matrix(labels, predicted, labels=range(12))).all()
    most = matrix[4].copy()
    most[4] = 0
    assert [cell.images for cell in shown.classes[4].taken_for] == sorted(most[most > 0].tolist(), reverse=True)[:5]
    assert shown.values["metric/accuracy"] == pytest.approx(metrics.accuracy_score(labels, predicted))
    assert shown.values["metric/macro_f1"] == pytest.approx(
        metrics.f1_score(labels, predicted, average="macro", zero_division=np.nan)
    )


@pytest.mark.parametrize("rare", [1, 3, 250])
def test_curves_with_ties_equal_scikit_learn(rare: int) -> None:
    rng = np.random.default_rng(rare)
    scores, positive = np.round(rng.random(500), 2), np.zeros(500, bool)
    positive[:rare] = True
    steps = steps_of(scores, positive)
    assert average_precision(steps) == pytest.approx(metrics.average_precision_score(positive, scores), abs=1e-12)
    assert auroc(steps) == pytest.approx(metrics.roc_auc_score(positive, scores), abs=1e-12)
    precision, recall, thresholds = metrics.precision_recall_curve(positive, scores)
    assert np.allclose(steps.threshold[::-1], thresholds)
    assert np.allclose((steps.true_positives / rare)[::-1], recall[:-1])
    assert np.allclose((steps.true_positives / (steps.true_positives + steps.false_positives))[::-1], precision[:-1])


def test_a_thinned_curve_has_the_extremes_of_every_column_of_the_chart() -> None:
    rng = np.random.default_rng(0)
    x, y = np.sort(rng.random(50_000)), rng.random(50_000)
    kept = thin_for_chart(x, y, 100)
    assert len(kept) <= 400
    whole, thin = (x * 100).astype(int), (x[kept] * 100).astype(int)
    for column in range(100):
        mine, all_of = y[kept][thin == column], y[whole == column]
        assert (mine[0], mine[-1], mine.min(), mine.max()) == (all_of[0], all_of[-1], all_of.min(), all_of.max())


def test_curves_of_a_class_come_from_the_kept_probabilities(tmp_path: Path) -> None:
    labels, probs = made(300, 9)
    labels[0] = 0
    probs[17] = np.nan
    run = write(tmp_path, 9, labels, probs, all_probs=True)
    scores = np.nan_to_num(probs[:, 0].astype(np.float16).astype(np.float64))
    found = curves.class_curves(tmp_path, load(run.files), "class 0")
    assert found.average_precision == pytest.approx(metrics.average_precision_score(labels == 0, scores))
    assert found.auroc == pytest.approx(metrics.roc_auc_score(labels == 0, scores))
    run.write(*made(300, 9, seed=5), epoch=2)
    with pytest.raises(NotFoundError) as error:
        curves.class_curves(tmp_path, load(run.files, "val", 2), "class 0")
    assert error.value.reason == "no_probs"


def test_a_class_without_images_has_no_curve_and_five_classes_need_no_more_than_is_always_kept(tmp_path: Path) -> None:
    labels, probs = made(50, 5)
    labels[labels == 2] = 1
    evaluation = load(write(tmp_path, 5, labels, probs).files)
    empty = curves.class_curves(tmp_path, evaluation, "class 2")
    assert (empty.images, empty.average_precision, empty.auroc, empty.recall) == (0, None, None, [])
    scores = probs[:, 1].astype(np.float16).astype(np.float64)
    found = curves.class_curves(tmp_path, evaluation, "class 1")
    assert found.auroc == pytest.approx(metrics.roc_auc_score(labels == 1, scores))


def test_the_report_gives_metrics_temperature_and_threshold(tmp_path: Path) -> None:
    labels, probs = made(400, 3, sure=4)
    hot = softmax(np.log(probs) * 3)  # too sure by a factor of three
    run = write(tmp_path, 3, labels, hot)
    held = {"threshold": 0.6, "promised_error": 0.1, "coverage": 0.9, "error": 0.05, "upper_error": 0.1, "images": 400}
    report = EpochReport(
        epoch=1,
        step=1,
        split="val",
        images=400,
        values={"metric/accuracy": 0.9, "loss/val": 0.3},
        classes=[ClassFigures(name="class 0", images=1, precision=1, recall=1, f1=1)],
        confusion=None,
        calibration=Calibration.model_validate({"temperature": 3.0, "abstention": held}),
    )
    shown = view(run, report=report)
    assert shown.values == report.values
    assert (shown.temperature, shown.abstention and shown.abstention.threshold) == (3.0, 0.6)
    confidence = probs.max(1)
    filled = [part for part in shown.calibrated if part.images]
    assert sum(part.images for part in filled) == 400
    mean = sum((part.confidence or 0) * part.images for part in filled) / 400
    assert mean == pytest.approx(confidence.mean(), abs=2e-3)
    for bound in shown.intervals["metric/accuracy"]:  # Wilson's are the fractions from which 0.9 is 1.96 errors away
        assert abs(bound - 0.9) == pytest.approx(1.96 * math.sqrt(bound * (1 - bound) / 400), rel=1e-3)


def test_the_bootstrap_holds_the_value_and_is_the_same_each_time(tmp_path: Path) -> None:
    run = write(tmp_path, 4, *made(200, 4))
    first, second = view(run), view(run)
    assert first.intervals == second.intervals
    for tag in ("metric/macro_f1", "metric/balanced_accuracy", "metric/accuracy"):
        low, high = first.intervals[tag]
        assert low < (first.values[tag] or 0) < high


@pytest.mark.parametrize("images", [8, 40, 600])
def test_the_interval_of_a_loss_is_scipys(images: int) -> None:
    random = np.random.default_rng(images)
    losses = random.lognormal(-2, 2, images)
    low, high = summary.mean_interval(losses)
    assert 0 < low < losses.mean() < high
    theirs = stats.bootstrap((losses,), np.mean, n_resamples=20_000, method="BCa", rng=random).confidence_interval
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=0.1 * (theirs.high - theirs.low))


def test_the_interval_of_a_loss_is_not_negative_where_few_images_have_most_of_it() -> None:
    losses = np.array([*[0.01] * 19, 4.0])
    assert losses.mean() - 1.96 * losses.std(ddof=1) / math.sqrt(20) < 0  # a normal interval is
    low, high = summary.mean_interval(losses)
    assert 0 < low < losses.mean() < high


def test_the_interval_of_a_loss_has_no_step_where_there_are_many_images_and_no_width_where_all_are_alike() -> None:
    losses = np.random.default_rng(3).exponential(0.4, summary.MAX_LOSSES + 1)
    (few_low, few_high), (low, high) = summary.mean_interval(losses[:-1]), summary.mean_interval(losses)
    assert (low, high) == pytest.approx((few_low, few_high), abs=0.1 * (high - low))
    assert summary.mean_interval(np.full(7, 0.3)) == pytest.approx((0.3, 0.3))
    assert summary.mean_interval(np.zeros(7)) == (0, 0)


def test_every_number_is_json_where_outputs_were_not_finite(tmp_path: Path) -> None:
    labels, probs = made(30, 4)
    probs[::3] = np.nan
    text = view(write(tmp_path, 4, labels, probs)).model_dump_json()
    assert "NaN" not in text
    assert len(view(MadeRun(tmp_path, classes_of(4))).notes) >= 2


def test_one_class_and_ten_thousand(tmp_path: Path) -> None:
    one = view(write(tmp_path / "one", 1, [0] * 7, np.ones((7, 1))))
    assert (one.classes[0].recall, one.cells[0].images, one.values["metric/accuracy"]) == (1.0, 7, 1.0)
    assert curves.class_curves(tmp_path / "one", load(MadeRun(tmp_path / "one", []).files), "class 0").auroc is None
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10_000, 2_000)
    probs = np.zeros((2_000, 10_000), np.float32)
    probs[np.arange(2_000), (labels + rng.integers(0, 2, 2_000)) % 10_000] = 0.9
    many = view(write(tmp_path / "many", 10_000, labels, probs))
    assert len(many.classes) == 10_000
    assert sum(cell.images for cell in many.cells) == 2_000
    assert sum(cell.images for cell in many.cells if cell.label != cell.predicted) == round(
        2_000 * (1 - (many.values["metric/accuracy"] or 0))
    )


def test_f1_over_the_epochs_comes_from_the_reports_of_val_alone(tmp_path: Path) -> None:
    run = write(tmp_path, 2, *made(20, 2))
    (tmp_path / "reports").mkdir()
    for epoch in (1, 2, 3):
        row = ClassFigures(name="class 1", images=1, precision=1, recall=1, f1=epoch / 10)
        report = EpochReport(epoch=epoch, step=1, split="val", images=1, values={}, classes=[row], confusion=None)
        (tmp_path / f"reports/epoch-{epoch:04d}.json").write_text(report.model_dump_json())
    (tmp_path / "reports/epoch-0002.json").write_text("{")
    shown = view(run)
    assert shown.trend_epochs == [1, 3]
    assert [row.f1_by_epoch for row in shown.classes] == [[None, None], [pytest.approx(0.1), pytest.approx(0.3)]]
    tested = view(run.write(*made(20, 2), epoch=None), "test")
    assert (tested.trend_epochs, tested.classes[1].f1_by_epoch, tested.epoch) == ([], [], None)


def test_an_evaluation_without_images_is_refused(tmp_path: Path) -> None:
    run = write(tmp_path, 2, np.zeros(0, np.int32), np.zeros((0, 2)))
    with pytest.raises(DataError):
        view(run)

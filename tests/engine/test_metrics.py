"""The figures of an evaluation are those of scikit-learn, whole or merged from parts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.calibration import calibration_curve
from sklearn.metrics import (
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.evaluation import metrics, scores
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator
from imgcls_lab.errors import ConfigError

IMAGES = 600


def examples(classes: int, scale: float = 2.0, images: int = IMAGES) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits that know something, and labels of uneven classes."""
    generator = torch.Generator().manual_seed(classes)
    labels = (torch.rand(images, generator=generator) ** 2 * classes).long()
    logits = torch.randn(images, classes, generator=generator)
    logits[torch.arange(images), labels] += 1.0
    return logits * scale, labels


def counted(
    logits: torch.Tensor, labels: torch.Tensor, chosen: np.ndarray | None = None, top_k: int = 5
) -> MetricAccumulator:
    order = np.arange(len(labels)) if chosen is None else chosen
    counts = MetricAccumulator(logits.shape[1], len(order), top_k)
    for start in range(0, len(order), 64):
        batch = order[start : start + 64]
        counts.add(logits[batch], labels[batch], batch)
    return counts


@pytest.mark.parametrize("classes", [2, 3, 8])
@pytest.mark.parametrize("scale", [0.5, 20.0])
def test_figures_are_those_of_scikit_learn(classes: int, scale: float) -> None:
    logits, labels = examples(classes, scale)
    found, probs = logits.argmax(1), logits.double().softmax(1)
    values = counted(logits, labels).values()
    assert values["metric/accuracy"] == pytest.approx(float((found == labels).double().mean()))
    assert values["metric/macro_f1"] == pytest.approx(f1_score(labels, found, average="macro"))
    assert values["metric/weighted_f1"] == pytest.approx(f1_score(labels, found, average="weighted"))
    assert values["metric/balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, found))
    assert values["loss/val"] == pytest.approx(float(torch.nn.functional.cross_entropy(logits.double(), labels)))
    confidence = probs.max(1).values.numpy()
    right, said = calibration_curve(found == labels, confidence, n_bins=15)
    images = np.histogram(confidence, 15, (0, 1))[0]
    theirs = float((np.abs(right - said) * images[images > 0]).sum()) / IMAGES
    assert values["metric/calibration_error"] == pytest.approx(theirs, abs=1e-9)
    scores = probs[:, 1] if classes == 2 else probs
    auroc = roc_auc_score(labels, scores, multi_class="ovr", average="macro")
    assert values["metric/auroc"] == pytest.approx(auroc, abs=1e-6)


@pytest.mark.parametrize(("classes", "scale"), [(2, 1e-6), (3, 1e-4), (8, 1.0), (2, 30.0)])
@pytest.mark.parametrize("ranks", [1, 3])
def test_auroc_of_many_images_is_that_of_scikit_learn_to_two_thousandths(
    monkeypatch: pytest.MonkeyPatch, classes: int, scale: float, ranks: int
) -> None:
    """Images come class by class, as they lie in folders; of these scores some thousand are kept, not all."""
    monkeypatch.setattr(scores, "EXACT", 2_048)
    logits, labels = examples(classes, scale, images=30_000)
    order = torch.argsort(labels, stable=True)
    logits, labels = logits[order].double(), labels[order]
    parts = [counted(logits, labels, part) for part in np.array_split(np.arange(len(labels)), ranks)]
    first, *others = (MetricAccumulator.from_state(part.state_dict()) for part in parts)
    for other in others:
        first.merge(other)
    probs = logits.softmax(1)
    expected = roc_auc_score(labels, probs[:, 1] if classes == 2 else probs, multi_class="ovr", average="macro")
    assert first.values()["metric/auroc"] == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("classes", "kept"), [(3, False), (5, False), (6, True)])
def test_top_k_is_left_out_where_there_are_no_more_classes(classes: int, kept: bool) -> None:
    assert ("metric/top5" in counted(*examples(classes)).values()) is kept


@pytest.mark.parametrize("k", [1, 2, 5, 50])
def test_top_k_is_what_the_config_says(k: int) -> None:
    logits, labels = examples(60)
    top = logits.topk(k).indices
    values = counted(logits, labels, top_k=k).values()
    assert values[f"metric/top{k}"] == pytest.approx(float((top == labels[:, None]).any(1).double().mean()))


def test_report_holds_figures_a_class_and_the_confusion_matrix() -> None:
    logits, labels = examples(8)
    found = logits.argmax(1)
    report = counted(logits, labels).report([str(i) for i in range(8)], epoch=1, step=2, split="test")
    assert report.confusion == confusion_matrix(labels, found).tolist()
    assert "loss/test" in report.values
    assert "loss/val" not in report.values
    precision, recall, f1, support = precision_recall_fscore_support(labels, found)
    assert [c.images for c in report.classes] == support.tolist()
    for name, expected in (("precision", precision), ("recall", recall), ("f1", f1)):
        assert [getattr(c, name) for c in report.classes] == pytest.approx(expected.tolist())


def test_class_without_images_has_no_figures() -> None:
    counts = MetricAccumulator(3, 2)
    counts.add(torch.eye(3)[[0, 1]], torch.tensor([0, 1]), np.arange(2))
    empty = counts.report(["a", "b", "c"], epoch=1, step=1, split="val").classes[2]
    assert (empty.images, empty.precision, empty.recall, empty.f1) == (0, None, None, None)
    assert counts.values()["metric/macro_f1"] == 1.0


def test_parts_that_several_processes_counted_merge_to_the_whole() -> None:
    logits, labels = examples(8)
    whole = counted(logits, labels)
    parts = [counted(logits, labels, np.arange(rank, IMAGES, 3)) for rank in (2, 0, 1)]
    merged = parts[0]
    for part in parts[1:]:
        merged.merge(part)
    assert merged.values() == pytest.approx(whole.values(), abs=1e-12)
    assert np.array_equal(merged.confusion, whole.confusion)
    for found, expected in zip(merged.predictions(), whole.predictions(), strict=True):
        assert np.array_equal(found, expected)


def test_memory_does_not_grow_with_a_score_a_class_an_image() -> None:
    logits, labels = examples(1000, images=2000)
    counts = counted(logits, labels)
    assert "metric/auroc" in counts.values()
    arrays = {name: value.nbytes for name, value in vars(counts).items() if isinstance(value, np.ndarray)}
    assert arrays.pop("_rows") <= 56 * 2000  # 100,000 images: 5.6 MB, not 400
    assert sum(arrays.values()) < 9e6


def test_more_classes_than_the_limit_have_no_auroc_and_no_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "LARGEST_AUROC", 7)
    monkeypatch.setattr(metrics, "LARGEST_CONFUSION", 7)
    logits, labels = examples(8)
    counts = counted(logits, labels)
    assert "metric/auroc" not in counts.values()
    assert counts.report([str(i) for i in range(8)], epoch=1, step=1, split="val").confusion is None
    assert counts.values()["metric/macro_f1"] == pytest.approx(f1_score(labels, logits.argmax(1), average="macro"))


def test_a_monitored_auroc_that_the_images_cannot_give_is_refused_before_training(
    make_config: Callable[..., TrainConfig], digits: Path, tmp_path: Path
) -> None:
    for label in (1, 2, 3):
        for image in (digits / f"val/digit-{label}").iterdir():
            image.unlink()
    with pytest.raises(ConfigError, match="AUROC"):
        train(make_config(root=str(digits), monitor_metric="auroc"), tmp_path / "run")
    assert not list((tmp_path / "run/checkpoints").iterdir())


def test_a_monitored_top_k_of_no_more_classes_is_refused_before_training(
    make_config: Callable[..., TrainConfig], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="always among the 5 likeliest"):
        train(make_config(monitor_metric="top_k"), tmp_path / "run")


def test_the_option_top_k_reaches_the_curve(run: Callable[..., Outcome]) -> None:
    assert "metric/top3" in run(epochs=1, top_k=3).values

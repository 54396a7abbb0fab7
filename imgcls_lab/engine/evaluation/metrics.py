"""Exact metrics of one pass over a split, from sums that can be merged; no image is counted twice or left out.

Called by `evaluate.py`, the recorder and the reports. Holds the scores of some thousand images and no more: 50,000
images of 1,000 classes cost 52 MB. The definition of each metric, and its source: docs/evaluation.md.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.engine.evaluation.scores import Scores
from imgcls_lab.schemas import ClassFigures, EpochReport

LARGEST_CONFUSION = 200  # classes up to which the confusion matrix is kept
LARGEST_AUROC = 2_000  # classes up to which the area under the ROC curve is computed
STORED = 5  # likeliest classes of an image that are kept
BINS = 15  # of the calibration error

CountArray = npt.NDArray[np.int64]
_SUMS = ("images", "top_k_correct", "loss")
_ARRAYS = ("support", "predicted", "correct", "confusion", "bins")


def _row_type(classes: int) -> np.dtype[np.void]:
    """What is kept of an image. own_score: the score of its own class; loss: its cross entropy."""
    kept = (min(STORED, classes),)
    return np.dtype([
        ("number", np.int64), ("label", np.int32), ("classes", np.int32, kept), ("probs", np.float16, kept),
        ("own_score", np.float64), ("label_prob", np.float16), ("loss", np.float32),
    ])  # fmt: skip


class Predictions(NamedTuple):
    """The likeliest classes of each image, in the order of the split.

    labels: int32 (n,), the true classes; top: int32 (n, k), the likeliest classes; probs: float16 (n, k); label_probs:
    float16 (n,), the probability of the true class; losses: float32 (n,), the cross entropy.
    """

    labels: npt.NDArray[np.int32]
    top: npt.NDArray[np.int32]
    probs: npt.NDArray[np.float16]
    label_probs: npt.NDArray[np.float16]
    losses: npt.NDArray[np.float32]


class MetricAccumulator:
    """What one pass over a split adds up. `merge` joins the parts that several processes have seen.

    classes: how many; capacity: how many images there will be; more may come by `merge`. top_k: how many of the
    likeliest classes may hold the true one for a hit. support, predicted, correct: int64 (classes,), images by true
    class, by predicted class, and correctly classified ones; confusion: int64 (classes, classes), row: true class;
    bins: float64 (15, 3), images, sum of the confidences and correct ones by confidence; loss: sum of the cross
    entropies. probs: float16 (capacity, classes), all probabilities in the order in which images were added, where
    `keep_probs` says so; `merge` leaves them out.
    """

    def __init__(self, classes: int, capacity: int, top_k: int = STORED, *, keep_probs: bool = False) -> None:
        self.classes = classes
        self.top_k = top_k
        self.images = 0
        self.top_k_correct = 0
        self.loss = 0.0
        self.support = np.zeros(classes, np.int64)
        self.predicted = np.zeros(classes, np.int64)
        self.correct = np.zeros(classes, np.int64)
        self.confusion = np.zeros((classes, classes), np.int64) if classes <= LARGEST_CONFUSION else None
        self.bins = np.zeros((BINS, 3))
        self._scores = Scores(classes, capacity) if classes <= LARGEST_AUROC else None
        # allocated at once: pieces that are kept a batch would stand between those that the next batch needs, and make
        # the heap grow
        self._rows = np.zeros(capacity, _row_type(classes))
        self.probs = np.zeros((capacity, classes), np.float16) if keep_probs else None

    def add(self, logits: torch.Tensor, labels: torch.Tensor, numbers: CountArray) -> None:
        """Count a batch.

        logits: float (n, classes), or log-probabilities; labels: int64 (n,), on the same device; numbers: int64 (n,),
        which images of the split they are.
        """
        log_probs = logits.double().log_softmax(1).cpu()
        labels = labels.cpu()
        of_label = log_probs.gather(1, labels[:, None])
        self.loss -= float(of_label.sum())
        kept = min(max(self.top_k, STORED), self.classes)
        all_probs = log_probs.exp()
        probs, top = all_probs.topk(kept, dim=1)
        correct = (top[:, 0] == labels).numpy()
        true, predicted = labels.numpy(), top[:, 0].numpy()
        place = slice(self.images, self.images + len(true))
        rows = self._rows[place]
        if self.probs is not None:
            self.probs[place] = all_probs.numpy()
        self.images += len(true)
        self.top_k_correct += int((top[:, : self.top_k] == labels[:, None]).sum())
        self.support += np.bincount(true, minlength=self.classes)
        self.predicted += np.bincount(predicted, minlength=self.classes)
        self.correct += np.bincount(true[correct], minlength=self.classes)
        if self.confusion is not None:
            pairs = np.bincount(true * self.classes + predicted, minlength=self.classes**2)
            self.confusion += pairs.reshape(self.classes, self.classes)
        self._add_to_bins(probs[:, 0].numpy(), correct)
        if self._scores is not None:
            scores = np.nan_to_num(logits.double().softmax(1).cpu().numpy())
            self._scores.add(scores)
            rows["own_score"] = scores[np.arange(len(true)), true]
        rows["number"], rows["label"] = numbers, true
        rows["label_prob"], rows["loss"] = of_label[:, 0].exp().numpy(), -of_label[:, 0].numpy()
        rows["classes"], rows["probs"] = top[:, :STORED].numpy(), probs[:, :STORED].numpy()

    def _add_to_bins(self, confidence: npt.NDArray[np.float64], correct: npt.NDArray[np.bool_]) -> None:
        place = np.clip(np.nan_to_num(confidence * BINS).astype(np.int64), 0, BINS - 1)
        for column, weights in enumerate((None, confidence, correct)):
            self.bins[:, column] += np.bincount(place, weights, BINS)

    def merge(self, other: Self) -> None:
        """Add what another process counted of other images of the same split."""
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in _ARRAYS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None:
                mine += theirs
        if self._scores is not None and other._scores is not None:
            self._scores.merge(other._scores)
        self._rows = np.concatenate([self._rows[: self.images - other.images], other._rows[: other.images]])

    def state_dict(self) -> dict[str, Any]:
        """All of it as numbers and tensors, for another process."""
        rows = torch.from_numpy(self._rows[: self.images].view(np.uint8))
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        return {
            "classes": self.classes,
            "top_k": self.top_k,
            **{name: getattr(self, name) for name in _SUMS},
            **{name: None if array is None else torch.from_numpy(array) for name, array in arrays.items()},
            "rows": rows,
            "scores": None if self._scores is None else self._scores.state_dict(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The inverse of `state_dict`."""
        metrics = cls(state["classes"], state["images"], state["top_k"])
        for name in _SUMS:
            setattr(metrics, name, state[name])
        for name in _ARRAYS:
            if state[name] is not None:
                getattr(metrics, name)[...] = state[name].numpy()
        if metrics._scores is not None:
            metrics._scores.load_state_dict(state["scores"])
        metrics._rows[...] = state["rows"].numpy().view(_row_type(metrics.classes))
        return metrics

    # ── metrics ─────────────────────────────────────────────────────────────────────────────────────────────
    def values(self) -> dict[str, float]:
        """The metrics by tag. Those that the images do not define, such as AUROC of a single class, are left out."""
        seen = self.support > 0
        f1 = np.asarray([np.nan if row[2] is None else row[2] for row in self._by_class()])
        values = {
            "loss/val": self.loss / self.images,
            "metric/accuracy": int(self.correct.sum()) / self.images,
            "metric/macro_f1": float(np.nanmean(f1)),
            "metric/weighted_f1": float(np.average(f1[seen], weights=self.support[seen])),
            "metric/balanced_accuracy": float(np.mean(self.correct[seen] / self.support[seen])),
            "metric/calibration_error": float(np.abs(self.bins[:, 1] - self.bins[:, 2]).sum()) / self.images,
        }
        if self.top_k < self.classes:  # of k classes one is always among the k likeliest
            values[f"metric/top{self.top_k}"] = self.top_k_correct / self.images
        auroc = self._auroc()
        return values if auroc is None else values | {"metric/auroc": auroc}

    def _auroc(self) -> float | None:
        """Mean over classes of the chance that an image of the class scores above one of another; ties count half."""
        if self._scores is None or not has_auroc(self.support):
            return None
        rows = self._rows[: self.images]
        own_scores = rows["own_score"][np.argsort(rows["label"], kind="stable")]
        by_class = np.split(own_scores, np.cumsum(self.support)[:-1])
        wanted = range(1, 2) if self.classes == 2 else range(self.classes)  # of two the other says the same
        return float(np.mean([
            self._scores.auroc(number, by_class[number], self.images)
            for number in wanted
            if 0 < len(by_class[number]) < self.images
        ]))  # fmt: skip

    def _by_class(self) -> list[tuple[float | None, float | None, float | None]]:
        """Precision, recall and F1 of each class; None where a metric divides by nothing."""
        counts = (array.tolist() for array in (self.support, self.predicted, self.correct))
        metrics = []
        for true, predicted, correct in zip(*counts, strict=True):
            precision = correct / predicted if predicted else None
            recall = correct / true if true else None
            f1 = 2 * correct / (true + predicted) if true + predicted else None
            metrics.append((precision, recall, f1))
        return metrics

    def report(
        self,
        names: list[str],
        *,
        epoch: int | None,
        step: int | None,
        split: str,
        left_out: dict[str, str] | None = None,
    ) -> EpochReport:
        """The whole evaluation, as it is written to reports/. left_out: unreadable images with the reason."""
        return EpochReport(
            epoch=epoch,
            step=step,
            split=split,
            images=self.images,
            values={f"loss/{split}" if tag == "loss/val" else tag: value for tag, value in self.values().items()},
            classes=[
                ClassFigures(name=name, images=count, precision=precision, recall=recall, f1=f1)
                for name, count, (precision, recall, f1) in zip(
                    names, self.support.tolist(), self._by_class(), strict=True
                )
            ],
            confusion=None if self.confusion is None else self.confusion.tolist(),
            left_out=left_out or {},
        )

    def predictions(self) -> Predictions:
        rows = self._rows[: self.images]
        rows = rows[np.argsort(rows["number"], kind="stable")]
        return Predictions(rows["label"], rows["classes"], rows["probs"], rows["label_prob"], rows["loss"])


def has_auroc(support: CountArray) -> bool:
    """Whether images so spread over the classes define an AUROC that is computed."""
    return len(support) <= LARGEST_AUROC and int(np.count_nonzero(support)) > 1

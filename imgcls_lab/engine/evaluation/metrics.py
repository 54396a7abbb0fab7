"""Exact figures of one pass over a split, from sums that can be merged; no image is counted twice or left out.

Called by `evaluate.py`, the record and the reports. Holds the scores of some thousand images and no more: 50,000
images of 1,000 classes cost 52 MB. What each figure is, and by whom: docs/evaluation.md.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.engine.evaluation.scores import Scores
from imgcls_lab.schemas import ClassFigures, EpochReport

LARGEST_CONFUSION = 200  # classes up to which the confusion matrix is kept
LARGEST_AUROC = 2_000  # classes up to which the area under the ROC curve is computed
STORED = 5  # likeliest classes of an image that are kept
BINS = 15  # of the calibration error

Counted = npt.NDArray[np.int64]
_NUMBERS = ("classes", "top_k", "images", "top_hits", "loss")
_ARRAYS = ("support", "predicted", "hits", "confusion", "bins")


def _row(classes: int) -> np.dtype[np.void]:
    """What is kept of an image. own: the score of its own class."""
    kept = (min(STORED, classes),)
    return np.dtype([
        ("number", np.int64), ("label", np.int32), ("classes", np.int32, kept), ("shares", np.float16, kept),
        ("own", np.float64),
    ])  # fmt: skip


@dataclass
class Counts:
    """What one pass over a split adds up. `merge` joins the parts that several processes have seen.

    top_k: how many of the likeliest classes may hold the true one for a hit. support, predicted, hits: int64
    (classes,), images by true class, by predicted class, and right ones; confusion: int64 (classes, classes), row:
    true class; bins: float64 (15, 3), images, sum of the confidences and right ones by confidence; scores: those of all
    images for their ranks; loss: sum of the cross entropies.
    rows: what is kept of each image, with room for as many as there will be: pieces that are kept a batch would
    stand between those that the next batch needs, and make the heap grow.
    """

    classes: int
    room: InitVar[int]
    top_k: int = STORED
    images: int = 0
    top_hits: int = 0
    loss: float = 0.0
    support: Counted = field(init=False)
    predicted: Counted = field(init=False)
    hits: Counted = field(init=False)
    confusion: Counted | None = field(init=False)
    bins: npt.NDArray[np.float64] = field(init=False)
    scores: Scores | None = field(init=False)
    rows: npt.NDArray[np.void] = field(init=False)

    def __post_init__(self, room: int) -> None:
        self.support, self.predicted, self.hits = (np.zeros(self.classes, np.int64) for _ in range(3))
        self.confusion = np.zeros((self.classes, self.classes), np.int64) if self.classes <= LARGEST_CONFUSION else None
        self.bins = np.zeros((BINS, 3))
        self.scores = Scores(self.classes, room) if self.classes <= LARGEST_AUROC else None
        self.rows = np.zeros(room, _row(self.classes))

    def add(self, logits: torch.Tensor, labels: torch.Tensor, numbers: Counted) -> None:
        """Count a batch.

        logits: float (n, classes), or log-probabilities; labels: int64 (n,), on the same device; numbers: int64 (n,),
        which images of the split they are.
        """
        log_shares = logits.double().log_softmax(1).cpu()
        truth = labels.cpu()
        self.loss -= float(log_shares.gather(1, truth[:, None]).sum())
        kept = min(max(self.top_k, STORED), self.classes)
        shares, top = log_shares.exp().topk(kept, dim=1)
        right = top[:, 0] == truth
        true, found = truth.numpy(), top[:, 0].numpy()
        rows = self.rows[self.images : self.images + len(true)]
        self.images += len(true)
        self.top_hits += int((top[:, : self.top_k] == truth[:, None]).sum())
        self.support += np.bincount(true, minlength=self.classes)
        self.predicted += np.bincount(found, minlength=self.classes)
        self.hits += np.bincount(true[right.numpy()], minlength=self.classes)
        if self.confusion is not None:
            pairs = np.bincount(true * self.classes + found, minlength=self.classes**2)
            self.confusion += pairs.reshape(self.classes, self.classes)
        self._calibrate(shares[:, 0].numpy(), right.numpy())
        if self.scores is not None:
            scores = np.nan_to_num(logits.double().softmax(1).cpu().numpy())
            self.scores.add(scores)
            rows["own"] = scores[np.arange(len(true)), true]
        rows["number"], rows["label"] = numbers, true
        rows["classes"], rows["shares"] = top[:, :STORED].numpy(), shares[:, :STORED].numpy()

    def _calibrate(self, confidence: npt.NDArray[np.float64], right: npt.NDArray[np.bool_]) -> None:
        where = np.clip(np.nan_to_num(confidence * BINS).astype(np.int64), 0, BINS - 1)
        for column, weights in enumerate((None, confidence, right)):
            self.bins[:, column] += np.bincount(where, weights, BINS)

    def merge(self, other: Self) -> None:
        """Take in what another process counted of other images of the same split."""
        self.images += other.images
        self.top_hits += other.top_hits
        self.loss += other.loss
        for name in _ARRAYS:
            mine, theirs = getattr(self, name), getattr(other, name)
            if mine is not None and theirs is not None:
                mine += theirs
        if self.scores is not None and other.scores is not None:
            self.scores.merge(other.scores)
        self.rows = np.concatenate([self.rows[: self.images - other.images], other.rows[: other.images]])

    def to_tree(self) -> dict[str, Any]:
        """All of it as numbers and tensors, for another process."""
        arrays = {name: getattr(self, name) for name in _ARRAYS} | {"rows": self.rows[: self.images].view(np.uint8)}
        tree = {name: getattr(self, name) for name in _NUMBERS} | {
            name: None if array is None else torch.from_numpy(array) for name, array in arrays.items()
        }
        return tree | {"scores": self.scores.to_tree() if self.scores else None}

    @classmethod
    def from_tree(cls, tree: dict[str, Any]) -> Self:
        """The inverse of `to_tree`."""
        counts = cls(room=0, **{name: tree[name] for name in _NUMBERS})
        for name in _ARRAYS:
            setattr(counts, name, None if tree[name] is None else tree[name].numpy())
        if tree["scores"] is not None:
            counts.scores = Scores.from_tree(tree["scores"], counts.classes)
        counts.rows = tree["rows"].numpy().view(_row(counts.classes))
        return counts

    # ── figures ─────────────────────────────────────────────────────────────────────────────────────────────
    def values(self) -> dict[str, float]:
        """The figures by tag. Those that the images do not define, such as AUROC of a single class, are left out."""
        seen = self.support > 0
        f1 = np.asarray([np.nan if row[2] is None else row[2] for row in self._by_class()])
        values = {
            "loss/val": self.loss / self.images,
            "metric/accuracy": int(self.hits.sum()) / self.images,
            "metric/macro_f1": float(np.nanmean(f1)),
            "metric/weighted_f1": float(np.average(f1[seen], weights=self.support[seen])),
            "metric/balanced_accuracy": float(np.mean(self.hits[seen] / self.support[seen])),
            "metric/calibration_error": float(np.abs(self.bins[:, 1] - self.bins[:, 2]).sum()) / self.images,
        }
        if self.top_k < self.classes:  # of k classes one is always among the k likeliest
            values[f"metric/top{self.top_k}"] = self.top_hits / self.images
        auroc = self._auroc()
        return values if auroc is None else values | {"metric/auroc": auroc}

    def _auroc(self) -> float | None:
        """Mean over classes of the chance that an image of the class scores above one of another; ties count half."""
        if self.scores is None or not has_auroc(self.support):
            return None
        rows = self.rows[: self.images]
        own_scores = rows["own"][np.argsort(rows["label"], kind="stable")]
        by_class = np.split(own_scores, np.cumsum(self.support)[:-1])
        wanted = range(1, 2) if self.classes == 2 else range(self.classes)  # of two the other says the same
        return float(np.mean([
            self.scores.area(number, by_class[number], self.images)
            for number in wanted
            if 0 < len(by_class[number]) < self.images
        ]))  # fmt: skip

    def _by_class(self) -> list[tuple[float | None, float | None, float | None]]:
        """Precision, recall and F1 of each class; None where a figure divides by nothing."""
        figures = []
        for true, found, hit in zip(self.support.tolist(), self.predicted.tolist(), self.hits.tolist(), strict=True):
            precision = hit / found if found else None
            recall = hit / true if true else None
            f1 = 2 * hit / (true + found) if true + found else None
            figures.append((precision, recall, f1))
        return figures

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

    def predictions(self) -> dict[str, npt.NDArray[Any]]:
        """Of each image in the order of the split: labels int32 (n,), classes int32 (n, 5), shares float16 (n, 5)."""
        rows = self.rows[: self.images]
        rows = rows[np.argsort(rows["number"], kind="stable")]
        return {"labels": rows["label"], "classes": rows["classes"], "shares": rows["shares"]}


def has_auroc(support: Counted) -> bool:
    """Whether images so spread over the classes define an AUROC that is computed."""
    return len(support) <= LARGEST_AUROC and int(np.count_nonzero(support)) > 1

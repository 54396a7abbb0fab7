"""Exact validation figures from counts; no image is counted twice or left out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.wire import ClassFigures, EpochReport

LARGEST_CONFUSION = 200  # classes up to which a report holds the confusion matrix
TOP = 5


@dataclass
class Counts:
    """What one pass over a split adds up. loss: sum of the cross entropies of all images."""

    classes: int
    confusion: npt.NDArray[np.int64] = field(init=False)
    images: int = 0
    top5: int = 0
    loss: float = 0.0
    labels: list[npt.NDArray[Any]] = field(default_factory=list)
    top_classes: list[npt.NDArray[Any]] = field(default_factory=list)
    top_shares: list[npt.NDArray[Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.confusion = np.zeros((self.classes, self.classes), np.int64)

    def add(self, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """logits: float (n, classes); labels: int64 (n,), on the same device."""
        loss = torch.nn.functional.cross_entropy(logits.float(), labels, reduction="none").double().sum()
        shares, top = logits.float().softmax(1).topk(min(TOP, self.classes), dim=1)
        truth, found = labels.cpu().numpy(), top.cpu().numpy()
        np.add.at(self.confusion, (truth, found[:, 0]), 1)
        self.top5 += int((found == truth[:, None]).any(1).sum())
        self.images += len(truth)
        self.loss += float(loss)
        self.labels.append(truth.astype(np.int32))
        self.top_classes.append(found.astype(np.int32))
        self.top_shares.append(shares.cpu().numpy().astype(np.float16))

    def values(self) -> dict[str, float]:
        """The figures by tag."""
        f1 = [figures[2] for figures in self._by_class() if figures[2] is not None]
        return {
            "loss/val": self.loss / self.images,
            "metric/accuracy": float(np.trace(self.confusion)) / self.images,
            "metric/top5": self.top5 / self.images,
            "metric/macro_f1": float(np.mean(f1)),
        }

    def _by_class(self) -> list[tuple[float | None, float | None, float | None]]:
        """Precision, recall and F1 of each class; None where a figure divides by nothing."""
        rows, columns, hits = self.confusion.sum(1), self.confusion.sum(0), np.diagonal(self.confusion)
        figures = []
        for true, predicted, hit in zip(rows.tolist(), columns.tolist(), hits.tolist(), strict=True):
            precision = hit / predicted if predicted else None
            recall = hit / true if true else None
            f1 = 2 * hit / (true + predicted) if true + predicted else None
            figures.append((precision, recall, f1))
        return figures

    def report(self, names: list[str], *, epoch: int, step: int, split: str) -> EpochReport:
        """The whole evaluation, as it is written to reports/."""
        support = self.confusion.sum(1).tolist()
        return EpochReport(
            epoch=epoch,
            step=step,
            split=split,
            images=self.images,
            values=dict(self.values()),
            classes=[
                ClassFigures(name=name, images=count, precision=precision, recall=recall, f1=f1)
                for name, count, (precision, recall, f1) in zip(names, support, self._by_class(), strict=True)
            ],
            confusion=self.confusion.tolist() if self.classes <= LARGEST_CONFUSION else None,
        )

    def predictions(self) -> dict[str, npt.NDArray[Any]]:
        """labels int32 (n,), classes int32 (n, 5), shares float16 (n, 5): the five likeliest of each image."""
        return {
            "labels": np.concatenate(self.labels),
            "classes": np.concatenate(self.top_classes),
            "shares": np.concatenate(self.top_shares),
        }

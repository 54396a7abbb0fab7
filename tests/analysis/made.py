"""Makes what a run keeps of its images (docs/evaluation.md), without a training, in the form of any version."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from imgcls_lab import predictions
from imgcls_lab.analysis.evaluation import RunFiles

KEPT = 5


def digests_of(names: Sequence[str]) -> npt.NDArray[np.uint8]:
    joined = b"".join(hashlib.sha256(name.encode()).digest() for name in names)
    return np.frombuffer(joined, np.uint8).reshape(-1, 32)


def image_id(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def names_of(count: int, split: str = "val") -> list[str]:
    return [f"{split}/{number:06d}.png" for number in range(count)]


class MadeRun:
    """A run's folder. `write` adds an evaluation, by the probabilities of all classes, float (n, classes)."""

    def __init__(self, folder: Path, classes: Sequence[str], *, old: bool = False, best: int | None = None) -> None:
        (folder / "predictions").mkdir(parents=True, exist_ok=True)
        self.folder, self.classes, self.old = folder, list(classes), old
        self.files = RunFiles(folder.name, folder.name, folder, best)

    def _listing(self, split: str, names: Sequence[str], **more: Any) -> str:
        paths = np.asarray([os.fsencode(name) for name in names], np.bytes_)
        listed: dict[str, Any] = {"root": np.asarray(b"/data"), "paths": paths, **more}
        listed["classes"] = np.asarray([name.encode() for name in self.classes])
        if not self.old:
            listed.setdefault("digests", digests_of(names))
        self._save(f"{split}-images", **listed)
        return predictions.fingerprint(paths, self.classes)

    def _save(self, name: str, **arrays: Any) -> None:
        np.savez_compressed(self.folder / "predictions" / f"{name}.npz", **arrays)

    def write(
        self,
        labels: npt.ArrayLike,
        probs: npt.NDArray[Any],
        *,
        epoch: int | None = 1,
        names: Sequence[str] | None = None,
        all_probs: bool = False,
    ) -> MadeRun:
        """Of an epoch on val/, or (None) of the best model on test/."""
        split, labels = "test" if epoch is None else "val", np.asarray(labels, np.int32)
        names = names if names is not None else names_of(len(labels), split)
        probs = np.asarray(probs, np.float64)
        top = np.argsort(-np.nan_to_num(probs, nan=-1), axis=1, kind="stable")[:, : min(KEPT, len(self.classes))]
        held = {"labels": labels, "classes": top.astype(np.int32)}
        held["shares" if self.old else "probs"] = np.take_along_axis(probs, top, 1).astype(np.float16)
        if not self.old:
            own = probs[np.arange(len(labels)), labels]
            with np.errstate(divide="ignore"):
                held |= {"label_probs": own.astype(np.float16), "losses": -np.log(own).astype(np.float32)}
        tie = np.asarray(self._listing(split, names))
        self._save("test" if epoch is None else predictions.epoch_name(epoch), images=tie, **held)
        if all_probs:
            np.save(self.folder / predictions.probs_name(split), probs.astype(np.float16))
        return self

    def write_columns(
        self,
        labels: npt.NDArray[np.int32],
        top: npt.NDArray[np.int32],
        probs: npt.NDArray[np.float16],
        own: npt.NDArray[np.float16],
        *,
        names: Sequence[str],
        epochs: Iterable[int],
        digests: npt.NDArray[np.uint8] | None = None,
    ) -> None:
        """The same evaluation at some epochs on val/, as its columns. own: probability of the true class."""
        more = {} if digests is None else {"digests": digests}
        tie = np.asarray(self._listing("val", names, **more))
        with np.errstate(divide="ignore"):
            losses = -np.log(own.astype(np.float32))
        held = {"labels": labels, "classes": top, "probs": probs, "label_probs": own, "losses": losses}
        for epoch in epochs:
            self._save(predictions.epoch_name(epoch), images=tie, **held)

    def write_train(self, epoch: int, labels: npt.ArrayLike, label_probs: npt.ArrayLike) -> MadeRun:
        """What an epoch's steps computed of the training images; NaN: not seen."""
        labels, own = np.asarray(labels, np.int32), np.asarray(label_probs, np.float64)
        tie = np.asarray(self._listing("train", names_of(len(labels), "train"), labels=labels))
        values = {"label_probs": own.astype(np.float16), "losses": -np.log(own).astype(np.float16)}
        self._save(predictions.train_name(epoch), images=tie, **values)
        return self


def softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def made(images: int, classes: int, *, seed: int = 0, sure: float = 2.0) -> tuple[npt.NDArray[np.int32], Any]:
    """Labels, int32 (n,), and probabilities in which the true class is favoured, (n, classes)."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images).astype(np.int32)
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), labels] += sure
    return labels, softmax(logits)

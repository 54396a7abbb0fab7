"""Classes for images, and figures for a split, from an exported model folder: the same decode and spec as training.

Called by the command line and by tests. The folder may be any that transformers loads, such as a run's
`checkpoints/best`.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from imgcls_lab.engine.augment import normalise
from imgcls_lab.engine.data import ImageSet, Reader
from imgcls_lab.engine.evaluate import evaluate_set
from imgcls_lab.engine.model import class_names, load_exported
from imgcls_lab.engine.spec import EvalSpec
from imgcls_lab.errors import DataError
from imgcls_lab.imagefolder import inspect_folder, list_images
from imgcls_lab.wire import EpochReport

BATCH = 64


class Prediction(NamedTuple):
    """The likeliest class of an image and its probability."""

    label: str
    share: float


@dataclass(frozen=True)
class Classifier:
    """A loaded model. classes: in the order of its outputs."""

    model: nn.Module
    spec: EvalSpec
    classes: list[str]
    device: torch.device


def load(model_dir: str | os.PathLike[str]) -> Classifier:
    """Load an exported model onto the GPU, if there is one. Raises ModelError."""
    model, spec = load_exported(Path(model_dir))
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return Classifier(model.to(device), spec, class_names(model), device)


@torch.no_grad()
def predict(model: str | os.PathLike[str] | Classifier, paths: Sequence[str | os.PathLike[str]]) -> list[Prediction]:
    """The likeliest class of each image file. Raises DataError for a file that is no image, ModelError."""
    loaded = model if isinstance(model, Classifier) else load(model)
    reader = Reader(loaded.spec)
    found: list[Prediction] = []
    for start in range(0, len(paths), BATCH):
        pixels = torch.stack([reader.read(os.fspath(path))[0] for path in paths[start : start + BATCH]])
        logits = loaded.model(pixel_values=normalise(pixels.to(loaded.device), loaded.spec)).logits
        shares, indices = logits.float().softmax(1).max(1)
        for share, index in zip(shares.tolist(), indices.tolist(), strict=True):
            found.append(Prediction(loaded.classes[index], share))
    return found


def evaluate(model: str | os.PathLike[str] | Classifier, root: Path, split: str) -> EpochReport:
    """Figures of a model on one split of an image folder, whose classes must be among the model's.

    Raises DataError if there is no such split or a class is unknown, ModelError.
    """
    loaded = model if isinstance(model, Classifier) else load(model)
    summary = inspect_folder(root)
    counts = summary.splits.get(split)
    if not counts or not any(counts.values()):
        raise DataError(f"“{root}” has no images under {split}/.")
    unknown = [name for name, count in counts.items() if count and name not in loaded.classes]
    if unknown:
        raise DataError(f"The class “{unknown[0]}” of {split}/ is not among those that the model knows.")
    paths, labels = list_images(summary.root, split, loaded.classes)
    images = ImageSet(
        summary.root,
        split,
        Reader(loaded.spec),
        np.asarray([os.fsencode(path) for path in paths]),
        np.asarray(labels, np.int64),
    )
    result = evaluate_set(loaded.model, images, len(loaded.classes), batch_size=BATCH, workers=0, device=loaded.device)
    assert result is not None  # noqa: S101 - nothing can stop it
    return result.report(loaded.classes, epoch=0, step=0, split=split)

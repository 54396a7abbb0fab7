"""Classes for images, and metrics for a split, from an exported model folder: the same decode and spec as training.

Called by the command line, `Run.predict` and `Run.evaluate`. The folder may be any that transformers loads, such as a
run's `checkpoints/best`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from torch import nn

from imgcls_lab import cpu, model_calibration
from imgcls_lab.class_names import twins
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.evaluation import TTA
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine.checkpointing.checkpoint import standing
from imgcls_lab.engine.data.chunked_reader import read_chunks
from imgcls_lab.engine.data.corrections import correct_listing
from imgcls_lab.engine.data.image_set import ImageSet, Reader
from imgcls_lab.engine.data.scan_index import index_path
from imgcls_lab.engine.data.split import list_split, list_splits
from imgcls_lab.engine.evaluation.calibrate import answered
from imgcls_lab.engine.evaluation.evaluate import EvalOptions, evaluate_set
from imgcls_lab.engine.evaluation.metrics import STORED, MetricAccumulator
from imgcls_lab.engine.evaluation.tta import log_probs, tta_input_spec
from imgcls_lab.engine.model.classifier import load_labelled
from imgcls_lab.engine.model.labels import Labels
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import DataError, InputError, ModelError
from imgcls_lab.image_files import printable
from imgcls_lab.imagefolder import FolderSummary, inspect_folder
from imgcls_lab.schemas import Calibration, ClassProb, EpochReport, ImagePrediction
from imgcls_lab.settings import Settings

BATCH = 64
TOP_K = STORED  # of the metric top_k, where no config says it
Progress = Callable[[int, int], None]
Notify = Callable[[str], None]


@dataclass(frozen=True)
class Classifier:
    """A loaded model.

    classes: a name an output, each once; calibration: what its folder says of it; epoch, step: of a run's checkpoint,
    where it stood.
    """

    model: nn.Module
    spec: EvalSpec
    classes: list[str]
    labels: Labels
    device: torch.device
    calibration: Calibration = field(default_factory=Calibration)
    epoch: int | None = None
    step: int | None = None

    @property
    def threshold(self) -> float | None:
        """The probability below which the model gives no answer; None: it always answers."""
        return self.calibration.abstention.threshold if self.calibration.abstention else None


@dataclass(frozen=True)
class SplitOptions:
    """How `evaluate` goes through a split. tta: views of each image; top_k: of the metric top_k; overlay: corrections
    of its labels."""

    tta: TTA = "none"
    batch_size: int = BATCH
    top_k: int = TOP_K
    overlay: Overlay | None = None


def load(model_dir: str | os.PathLike[str], device: str = "auto", notify: Notify | None = None) -> Classifier:
    """Load an exported model; device auto: onto the GPU, if there is one. Raises ModelError, InputError.

    notify: gets a sentence where the model does not say how its images are prepared.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        where = torch.device(device)
        torch.empty(0, device=where)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"There is no device “{device}” here. Say auto, cpu or, with a GPU, cuda.") from error
    model, spec, labels = load_labelled(Path(model_dir), notify)
    calibration, stands = model_calibration.read(Path(model_dir)), standing(Path(model_dir)) or ()
    return Classifier(model.to(where), spec, labels.names, labels, where, calibration, *stands)


@torch.no_grad()
def predict(
    model: str | os.PathLike[str] | Classifier,
    paths: Sequence[str | os.PathLike[str]],
    *,
    top: int = 1,
    tta: TTA = "none",
    batch_size: int = BATCH,
) -> Iterator[ImagePrediction]:
    """The `top` likeliest classes of each image file in turn; of a file that is no image, the reason.

    Raises ModelError.
    """
    loaded = model if isinstance(model, Classifier) else load(model)
    reader = Reader(tta_input_spec(loaded.spec, tta))

    def read(path: str | os.PathLike[str]) -> torch.Tensor | str:
        try:
            return reader.read(os.fspath(path))[0]
        except DataError as error:
            return str(error)

    with ThreadPoolExecutor(cpu.cores()) as pool:
        for start in range(0, len(paths), batch_size):
            batch = paths[start : start + batch_size]
            read_images = list(pool.map(read, batch))
            predictions = iter(_classify(loaded, [item for item in read_images if not isinstance(item, str)], top, tta))
            for path, item in zip(batch, read_images, strict=True):
                classes = [] if isinstance(item, str) else next(predictions)
                yield ImagePrediction(
                    path=os.fspath(path),
                    classes=classes,
                    error=item if isinstance(item, str) else None,
                    abstains=abstains(classes, loaded.threshold),
                )


def abstains(classes: list[ClassProb], threshold: float | None) -> bool:
    """Whether a model with this threshold gives no answer. classes: the likeliest first; none of an unreadable file."""
    return threshold is not None and bool(classes) and classes[0].prob < threshold


def check_finite(outputs: torch.Tensor) -> None:
    """Raises ModelError where outputs of a model are no numbers: the likeliest class of NaN would be the first."""
    if not bool(torch.isfinite(outputs).all()):
        raise ModelError(
            "The model's outputs are no finite numbers, so its weights are damaged, as after a training that diverged. "
            "Take another checkpoint.",
            reason="not_finite",
        )


def _classify(loaded: Classifier, pixels: list[torch.Tensor], top: int, tta: TTA) -> list[list[ClassProb]]:
    if not pixels:
        return []
    values = normalise(torch.stack(pixels).to(loaded.device), loaded.spec)
    probs = log_probs(loaded.model, values, loaded.spec.shape, tta).exp()
    check_finite(probs)
    best = probs.topk(min(top, len(loaded.classes)), dim=1)
    return [
        [ClassProb(name=loaded.classes[index], prob=prob) for prob, index in zip(*row, strict=True)]
        for row in zip(best.values.tolist(), best.indices.tolist(), strict=True)
    ]


def evaluate(
    model: str | os.PathLike[str] | Classifier,
    root: Path,
    split: str,
    *,
    config: TrainConfig | None = None,
    options: SplitOptions | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> EpochReport:
    """Metrics of a model on one split of an image folder. Classes are matched by name; unreadable images are left out.

    config: of the run that made the model; without val/ its validation images are those that it held out of train/;
    notify: gets a sentence about the files that are no images.
    Raises DataError if there is no such split or a class is unknown to the model, ModelError.
    """
    options = options or SplitOptions()
    loaded = model if isinstance(model, Classifier) else load(model)
    summary = inspect_folder(root)
    images = _split(loaded, summary, split, config, Reader(tta_input_spec(loaded.spec, options.tta)))
    index = index_path(Settings().scans_dir, summary.root)
    images = correct_listing(images, options.overlay, loaded.classes, index)
    if notify and summary.not_taken_said:
        notify(summary.not_taken_said)
    left_out: dict[str, str] = {}
    metrics = MetricAccumulator(len(loaded.classes), len(images), options.top_k)
    eval_options = EvalOptions(options.batch_size, loaded.device, tta=options.tta)
    for chunk in read_chunks(images):
        left_out |= {printable(images.path(number)): reason for number, reason in chunk.errors.items()}
        done = metrics.images + len(left_out)
        of_chunk = partial(_add_to_progress, progress, done, len(images)) if progress else None
        evaluate_set(loaded.model, chunk.images, metrics, eval_options, spec=loaded.spec, progress=of_chunk)
    if not metrics.images:
        raise DataError(f"No image of {split}/ can be used. One of the reasons: {next(iter(left_out.values()))}")
    left_out = dict(sorted(left_out.items()))
    report = metrics.report(loaded.classes, epoch=loaded.epoch, step=loaded.step, split=split, left_out=left_out)
    return report.model_copy(update={"answered": answered(metrics, loaded.calibration)})


def _add_to_progress(progress: Progress, before: int, total: int, done: int, _of_chunk: int) -> None:
    progress(before + done, total)


def _split(
    loaded: Classifier, summary: FolderSummary, split: str, config: TrainConfig | None, reader: Reader
) -> ImageSet:
    root = summary.root
    if config is not None and split in ("train", "val") and "val" not in summary.splits:
        splits = list_splits(config, reader, reader)
        if splits.summary.classes != loaded.classes:
            raise DataError(f"The classes of “{root}” changed since the run trained on it. Put its folders back.")
        return splits.train if split == "train" else splits.val
    counts = summary.splits.get(split)
    if not counts or not any(counts.values()):
        raise DataError(_no_split(summary, split))
    loaded.labels.check(name for name, count in counts.items() if count)
    unknown = [name for name, count in counts.items() if count and name not in loaded.classes]
    if unknown and (alike := twins({"the model": loaded.classes, f"{split}/": unknown})):
        raise DataError(alike)
    if unknown:
        shown = ", ".join(f"“{name}”" for name in unknown[:5]) + (" ..." if len(unknown) > 5 else "")
        raise DataError(
            f"{split}/ of “{root}” holds classes that the model does not know: {shown}. It knows "
            f"{', '.join(f'“{name}”' for name in loaded.classes[:5])}{' ...' if len(loaded.classes) > 5 else ''}"
        )
    paths, labels = list_split(summary, split, loaded.classes)
    return ImageSet(summary.root, split, reader, paths, labels)


def _no_split(summary: FolderSummary, split: str) -> str:
    if summary.flat and "train" in summary.splits:
        return (
            f"“{summary.root}” holds classes and no splits, so there is no {split}/. Ask for the split train, which is "
            f"all of it, or put its folders under {split}/."
        )
    there = ", ".join(f"{name}/" for name in summary.splits) or "no split at all"
    hint = "" if summary.splits else f" {summary.problem}"
    return f"“{summary.root}” has no images under {split}/; there is {there}.{hint}"

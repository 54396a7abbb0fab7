"""What TensorBoard shows of a run: curves at once; images, PR curves and histograms once an epoch.

Subscribed to the recorder, which passes each event and each evaluation. Nothing here takes long: a curve is thinned
out, an image has a fixed size, a histogram takes a sample of a tensor. It uses no random number and changes no weight.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pynvml
import torch
from PIL.Image import Image
from tensorboard.compat.proto.event_pb2 import Event as TensorBoardEvent
from tensorboard.compat.proto.event_pb2 import TaggedRunMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import nn
from torch.utils.tensorboard import _pytorch_graph
from torch.utils.tensorboard import summary as torch_summary

from imgcls_lab import run_changes
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.evaluation.metrics import Predictions
from imgcls_lab.engine.model.structure import PixelsToLogits
from imgcls_lab.engine.reporting import tensorboard_images
from imgcls_lab.engine.reporting.recorder import Evaluation
from imgcls_lab.engine.reporting.tensorboard_writer import TensorBoardWriter
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.events import Changed, EpochEnded, Event, Finished, Metrics, Started

make: Any = torch_summary  # these two have no types
graph: Any = _pytorch_graph.graph

FLUSH_SECONDS = 2.0
EXAMPLES = 16  # images in a picture of examples
DENSE_EPOCHS = 50  # up to which each epoch has its images
THRESHOLDS = 127  # of a PR curve; the most that TensorBoard takes
MOST_CURVES = 20  # classes up to which each has a PR curve of its own
SAMPLE = 16_384  # values of a tensor that its histogram counts
BINS = 64


def has_images(epoch: int, epochs: int) -> bool:
    """Whether an epoch has images: each of the first 50, then every 2nd up to 100, every 4th up to 200 ..."""
    stride = 1 << ((epoch - 1) // DENSE_EPOCHS).bit_length()
    return epoch % stride == 0 or epoch == epochs


class TensorBoardSummaries:
    """TensorBoard's files of one attempt at a run. model: the one that is trained, not its moving average."""

    def __init__(
        self,
        folder: Path,
        attempt: int,
        resume_step: int,
        *,
        config: TrainConfig,
        classes: list[str],
        val: ImageSet,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
    ) -> None:
        self._writer = TensorBoardWriter(folder, attempt, resume_step)
        self._config = config
        self._classes = classes
        self._val = val
        self._model = model
        self._device = next(model.parameters()).device
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first call returns 0: it has nothing to compare with
        self._step = resume_step
        self._flushed = time.monotonic()
        self._gradients_due = config.tensorboard_histograms
        if config.tensorboard_histograms:
            optimizer.register_step_pre_hook(self._before_step)

    def on_event(self, event: Event, /) -> None:
        """Write the values of an event. Raises OSError when the disk is full."""
        if isinstance(event, Metrics):
            self._step = event.step
            late = time.monotonic() - self._flushed > FLUSH_SECONDS
            self._writer.add(event.step, event.values | (self._device_metrics() if late else {}))
            if late:
                self._flush()
        elif isinstance(event, EpochEnded):
            self._writer.add_all(event.step, event.values | self._device_metrics())
            self._flush()
        elif isinstance(event, Started):
            self._writer.summary(0, make.hparams(hyper_parameters(self._config), {})[1])
            self._flush()
        elif isinstance(event, Changed):
            self._config = run_changes.changed(self._config, {event.field: event.new})
        elif isinstance(event, Finished):
            best = {f"best/{tag.removeprefix('metric/').removesuffix('/val')}": v for tag, v in event.values.items()}
            self._writer.add_all(event.step, best)
            self._writer.summary(0, make.hparams({}, {})[2])

    def on_evaluation(self, evaluation: Evaluation, /) -> None:
        """Write the images of a validation, if the config asks for them and the epoch has some."""
        step = evaluation.step
        if evaluation.images.split != "val" or not has_images(evaluation.epoch, self._config.epochs):
            return
        if self._config.tensorboard_evaluation:
            predictions, confusion = evaluation.metrics.predictions(), evaluation.metrics.confusion
            if confusion is not None:
                self._image("evaluation/confusion", step, tensorboard_images.confusion_image(confusion, self._classes))
            for tag, chosen in choose_examples(predictions).items():
                if len(chosen):
                    self._image(tag, step, self._examples(chosen, predictions))
            for tag, curve in pr_curves(predictions, self._classes):
                self._writer.summary(step, make.pr_curve_raw(tag, *curve))
        if self._config.tensorboard_histograms:
            for name, weight in self._model.named_parameters():
                if weight.requires_grad:
                    self._histogram(f"weights/{name}", step, weight)
            self._gradients_due = True

    def write_graph(self, shape: Shape) -> None:
        """The model's graph for images of that shape. Raises RuntimeError for a model that cannot be traced."""
        pixels = torch.zeros(1, 3, *shape, device=self._device)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer: what it cannot trace is only missing in the drawing
            # SummaryWriter.add_graph is the public way, but writes a second file, and TensorBoard reads the last alone
            drawn, metadata = graph(PixelsToLogits(self._model).eval(), (pixels,), use_strict_trace=False)
        self._writer.write(TensorBoardEvent(wall_time=time.time(), graph_def=drawn.SerializeToString()))
        run = TaggedRunMetadata(tag="step1", run_metadata=metadata.SerializeToString())
        self._writer.write(TensorBoardEvent(wall_time=time.time(), tagged_run_metadata=run))

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        self._writer.flush()
        self._flushed = time.monotonic()

    def _device_metrics(self) -> dict[str, float]:
        return {"device/cpu_percent": self._process.cpu_percent()} | gpu_metrics(self._device)

    def _before_step(self, *_: object) -> None:
        """Hook of the optimizer: the gradients of the first step of an epoch, clipped as the step takes them."""
        if not self._gradients_due:
            return
        self._gradients_due = False
        for name, weight in self._model.named_parameters():
            if weight.grad is not None:
                self._histogram(f"gradients/{name}", self._step + 1, weight.grad)

    def _histogram(self, tag: str, step: int, tensor: torch.Tensor) -> None:
        flat = tensor.detach().reshape(-1)
        values = flat[:: -(-flat.numel() // SAMPLE)].double().cpu().numpy()
        values = values[np.isfinite(values)]
        if not len(values):
            return
        counts, limits = np.histogram(values, BINS)
        statistics = values.min(), values.max(), len(values), values.sum(), np.square(values).sum()
        self._writer.summary(
            step, make.histogram_raw(tag, *map(float, statistics), limits[1:].tolist(), counts.tolist())
        )

    def _image(self, tag: str, step: int, image: Image) -> None:
        content = Summary.Image(
            height=image.height,
            width=image.width,
            colorspace=3,
            encoded_image_string=tensorboard_images.png(image),
        )
        self._writer.summary(step, Summary(value=[Summary.Value(tag=tag, image=content)]))

    def _examples(self, chosen: npt.NDArray[np.int64], predictions: Predictions) -> Image:
        pixels = next(self._val.batches([chosen], num_workers=0)).cpu().numpy()
        names = np.array(self._classes, object)
        return tensorboard_images.examples_image(
            pixels,
            names[predictions.labels[chosen]].tolist(),
            names[predictions.top[chosen, 0]].tolist(),
            predictions.probs[chosen, 0].tolist(),
        )


def gpu_metrics(device: torch.device) -> dict[str, float]:
    """How busy a GPU is; empty where the driver does not report it, as for a part of one (MIG) or in a container."""
    if device.type != "cuda":
        return {}
    try:
        return {"device/gpu_percent": float(torch.cuda.utilization(device))}
    except (pynvml.NVMLError, RuntimeError, ImportError):
        return {}


def hyper_parameters(config: TrainConfig) -> dict[str, bool | int | float | str]:
    """The fields that affect the result, and the data set, as the HParams tab shows them; empty ones are left out."""
    fields = {"root": config.root, **config.result_fields()}
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in fields.items()
        if value is not None
    }


def choose_examples(predictions: Predictions) -> dict[str, npt.NDArray[np.int64]]:
    """Which images are shown: the same ones each epoch, evenly spaced; and the mistakes of the highest probability."""
    count = len(predictions.labels)
    wrong = np.flatnonzero(predictions.labels != predictions.top[:, 0])
    probs = predictions.probs[wrong, 0].astype(np.float32)
    surest = wrong[np.argsort(-probs, kind="stable")[:EXAMPLES]]
    same = np.unique(np.linspace(0, count - 1, min(EXAMPLES, count)).round().astype(np.int64))
    return {"evaluation/examples": same, "evaluation/mistakes": surest}


def pr_curves(predictions: Predictions, names: list[str]) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """(tag, the six rows of a PR curve: TP, FP, TN, FN, precision, recall) of all classes together and of each.

    A class that is not among the k likeliest counts with a probability of 0, which affects only thresholds below
    1/(k+1).
    """
    labels, count = predictions.labels, len(names)
    bins = np.floor(predictions.probs.astype(np.float64) * (THRESHOLDS - 1)).astype(np.int64)
    cells = predictions.top * THRESHOLDS + bins
    hit = predictions.top == labels[:, None]
    true = np.bincount(cells[hit], minlength=count * THRESHOLDS).reshape(count, THRESHOLDS).astype(np.float64)
    false = np.bincount(cells[~hit], minlength=count * THRESHOLDS).reshape(count, THRESHOLDS).astype(np.float64)
    positives = np.bincount(labels, minlength=count)
    true[:, 0] += positives - true.sum(1)
    false[:, 0] += len(labels) - positives - false.sum(1)
    yield "pr/all classes", _curve(true.sum(0), false.sum(0))
    if count <= MOST_CURVES:
        for name, row_true, row_false in zip(names, true, false, strict=True):
            yield f"pr/{name}", _curve(row_true, row_false)


def _curve(true: npt.NDArray[np.float64], false: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    tp, fp = np.cumsum(true[::-1])[::-1], np.cumsum(false[::-1])[::-1]
    fn = tp[0] - tp
    return np.stack([tp, fp, fp[0] - fp, fn, tp / np.maximum(tp + fp, 1e-7), tp / np.maximum(tp + fn, 1e-7)])

"""What a run tells TensorBoard: its curves as they come; pictures, PR curves and histograms once an epoch.

Called by the recorder with each event and each evaluation. Nothing here takes long: a curve is thinned out, a picture
has a fixed size, a histogram takes a sample of a tensor. It draws no random number and changes no weight.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import psutil
import pynvml
import torch
from PIL.Image import Image
from tensorboard.compat.proto.event_pb2 import Event as BoardEvent
from tensorboard.compat.proto.event_pb2 import TaggedRunMetadata
from tensorboard.compat.proto.summary_pb2 import Summary
from torch import nn
from torch.utils.tensorboard import _pytorch_graph
from torch.utils.tensorboard import summary as torch_summary

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.evaluation.metrics import Counts
from imgcls_lab.engine.reporting import tensorboard_images
from imgcls_lab.engine.reporting.tensorboard_writer import BoardWriter
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.events import EpochEnded, Event, Finished, Metrics, Started

if TYPE_CHECKING:
    from imgcls_lab.engine.training.state import Training

make: Any = torch_summary  # these two have no types
graph: Any = _pytorch_graph.graph

FLUSH_SECONDS = 2.0
EXAMPLES = 16  # pictures of a row of examples
DENSE_EPOCHS = 50  # up to which each epoch has its pictures
THRESHOLDS = 127  # of a PR curve; the most that TensorBoard takes
MOST_CURVES = 20  # classes up to which each has a PR curve of its own
SAMPLE = 16_384  # values of a tensor that its histogram counts
BINS = 64


def is_drawn(epoch: int, epochs: int) -> bool:
    """Whether an epoch has pictures: each of the first 50, then every 2nd up to 100, every 4th up to 200 ..."""
    stride = 1 << ((epoch - 1) // DENSE_EPOCHS).bit_length()
    return epoch % stride == 0 or epoch == epochs


def open_board(run: Training, folder: Path) -> Summaries:
    """TensorBoard's files of this attempt; the model's graph, on request, only where the run begins."""
    recorder = run.recorder
    board = Summaries(
        folder,
        recorder.attempt,
        run.progress.step,
        config=run.config,
        classes=run.classes,
        val=run.val,
        model=run.model,
        optimizer=run.optimizer,
    )
    if run.config.tensorboard_graph and run.progress.step == 0:
        recorder.phase("drawing the model's graph")
        try:
            board.graph(run.val.reader.spec.shape)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            recorder.notice(f"This model's graph cannot be drawn for TensorBoard: {reason}", "warning")
    return board


class Summaries:
    """A run's TensorBoard of one attempt. `model` is the one that is trained, not its average."""

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
        self._writer = BoardWriter(folder, attempt, resume_step)
        self._config = config
        self._classes = classes
        self._val = val
        self._model = model
        self._device = next(model.parameters()).device
        self._process = psutil.Process()
        self._process.cpu_percent()  # the first answer is 0: it has nothing to compare with
        self._step = resume_step
        self._flushed = time.monotonic()
        self._gradients_due = config.tensorboard_histograms
        if config.tensorboard_histograms:
            optimizer.register_step_pre_hook(self._before_step)

    def hear(self, event: Event) -> None:
        """Write what an event says. Raises OSError when the disk is full."""
        if isinstance(event, Metrics):
            self._step = event.step
            late = time.monotonic() - self._flushed > FLUSH_SECONDS
            self._writer.add(event.step, event.values | (self._device_figures() if late else {}))
            if late:
                self._flush()
        elif isinstance(event, EpochEnded):
            self._writer.add_all(event.step, event.values | self._device_figures())
            self._flush()
        elif isinstance(event, Started):
            self._writer.summary(0, make.hparams(hyper_parameters(self._config), {})[1])
            self._flush()
        elif isinstance(event, Finished):
            best = {f"best/{tag.removeprefix('metric/').removesuffix('/val')}": v for tag, v in event.values.items()}
            self._writer.add_all(event.step, best)
            self._writer.summary(0, make.hparams({}, {})[2])

    def evaluated(self, counts: Counts, *, epoch: int, step: int) -> None:
        """Write what an epoch's evaluation looks like, if the config asks for it and the epoch has pictures."""
        if not is_drawn(epoch, self._config.epochs):
            return
        if self._config.tensorboard_evaluation:
            found = counts.predictions()
            if counts.confusion is not None:
                self._picture(
                    "evaluation/confusion", step, tensorboard_images.confusion_picture(counts.confusion, self._classes)
                )
            for tag, chosen in choose_examples(found["labels"], found["classes"][:, 0], found["shares"][:, 0]).items():
                if len(chosen):
                    self._picture(tag, step, self._examples(chosen, found))
            for tag, curve in pr_curves(found["labels"], found["classes"], found["shares"], self._classes):
                self._writer.summary(step, make.pr_curve_raw(tag, *curve))
        if self._config.tensorboard_histograms:
            for name, weight in self._model.named_parameters():
                if weight.requires_grad:
                    self._histogram(f"weights/{name}", step, weight)
            self._gradients_due = True

    def graph(self, shape: Shape) -> None:
        """The model's graph for images of that shape. Raises RuntimeError for a model that cannot be traced."""
        pixels = torch.zeros(1, 3, *shape, device=self._device)
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the tracer: what it cannot follow is missing in a drawing, no more
            # SummaryWriter.add_graph is the public way, but writes a second file, and TensorBoard reads the last alone
            drawn, metadata = graph(_Logits(self._model).eval(), (pixels,), use_strict_trace=False)
        self._writer.write(BoardEvent(wall_time=time.time(), graph_def=drawn.SerializeToString()))
        run = TaggedRunMetadata(tag="step1", run_metadata=metadata.SerializeToString())
        self._writer.write(BoardEvent(wall_time=time.time(), tagged_run_metadata=run))

    def close(self) -> None:
        self._writer.close()

    def _flush(self) -> None:
        self._writer.flush()
        self._flushed = time.monotonic()

    def _device_figures(self) -> dict[str, float]:
        return {"device/cpu_percent": self._process.cpu_percent()} | gpu_figures(self._device)

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
        figures = values.min(), values.max(), len(values), values.sum(), np.square(values).sum()
        self._writer.summary(step, make.histogram_raw(tag, *map(float, figures), limits[1:].tolist(), counts.tolist()))

    def _picture(self, tag: str, step: int, picture: Image) -> None:
        image = Summary.Image(
            height=picture.height,
            width=picture.width,
            colorspace=3,
            encoded_image_string=tensorboard_images.png(picture),
        )
        self._writer.summary(step, Summary(value=[Summary.Value(tag=tag, image=image)]))

    def _examples(self, chosen: npt.NDArray[np.int64], found: dict[str, npt.NDArray[np.generic]]) -> Image:
        pixels = next(self._val.batches([chosen], workers=0)).cpu().numpy()
        names = np.array(self._classes, object)
        return tensorboard_images.examples_picture(
            pixels,
            names[found["labels"][chosen]].tolist(),
            names[found["classes"][chosen, 0]].tolist(),
            found["shares"][chosen, 0].tolist(),
        )


class _Logits(nn.Module):
    """A model as a function from pixels to logits, which is what can be traced."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixel_values: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.model(pixel_values=pixel_values).logits
        return logits


def gpu_figures(device: torch.device) -> dict[str, float]:
    """How busy a GPU is; nothing where the driver does not say, as for a part of one (MIG) or in a closed container."""
    if device.type != "cuda":
        return {}
    try:
        return {"device/gpu_percent": float(torch.cuda.utilization(device))}
    except (pynvml.NVMLError, RuntimeError, ImportError):
        return {}


def hyper_parameters(config: TrainConfig) -> dict[str, bool | int | float | str]:
    """The fields that affect the result, and the data set, as the HParams tab shows them; what is empty is left out."""
    fields = {"root": config.root, **config.result_fields()}
    return {
        name: value if isinstance(value, bool | int | float | str) else str(value)
        for name, value in fields.items()
        if value is not None
    }


def choose_examples(
    labels: npt.NDArray[np.int32], found: npt.NDArray[np.int32], shares: npt.NDArray[np.float16]
) -> dict[str, npt.NDArray[np.int64]]:
    """Which images are shown: the same ones each epoch, evenly spaced; and the mistakes it is surest of."""
    count = len(labels)
    wrong = np.flatnonzero(labels != found)
    surest = wrong[np.argsort(-shares[wrong].astype(np.float32), kind="stable")[:EXAMPLES]]
    same = np.unique(np.linspace(0, count - 1, min(EXAMPLES, count)).round().astype(np.int64))
    return {"evaluation/examples": same, "evaluation/mistakes": surest}


def pr_curves(
    labels: npt.NDArray[np.int32],
    classes: npt.NDArray[np.int32],
    shares: npt.NDArray[np.float16],
    names: list[str],
) -> Iterator[tuple[str, npt.NDArray[np.float64]]]:
    """(tag, the six rows of a PR curve: TP, FP, TN, FN, precision, recall) of all classes together and of each.

    labels: (n,); classes, shares: (n, k), the k likeliest. A class that is not among them counts with a share of 0,
    which touches thresholds below 1/(k+1) alone.
    """
    count = len(names)
    bins = np.floor(shares.astype(np.float64) * (THRESHOLDS - 1)).astype(np.int64)
    cells = classes * THRESHOLDS + bins
    hit = classes == labels[:, None]
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

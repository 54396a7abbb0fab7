"""What a `Run` does with its best model: apply it, export it, register it. torch comes when one of these is called."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from imgcls_lab import run_layout, run_paths
from imgcls_lab.api import context, inference
from imgcls_lab.api.evaluations import RunEvaluations
from imgcls_lab.api.predicted import Predictions
from imgcls_lab.api.resolving import print_notes
from imgcls_lab.api.validation import request
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import NotFoundError
from imgcls_lab.schemas import BestMetric, CheckpointModel, EpochReport, ModelView, RunDetail

if TYPE_CHECKING:
    from torch import nn

    from imgcls_lab.config.evaluation import TTA
    from imgcls_lab.engine.inference.export import Format


class RunModels(RunEvaluations):
    """The part of `Run` that uses its best model."""

    @property
    @abstractmethod
    def name(self) -> str: ...

    @property
    @abstractmethod
    def folder(self) -> Path: ...

    @property
    @abstractmethod
    def config(self) -> TrainConfig: ...

    @property
    @abstractmethod
    def view(self) -> RunDetail: ...

    @abstractmethod
    def refresh(self) -> Self: ...

    @property
    def best(self) -> BestMetric | None:
        """The best value up to now of the metric by which it keeps its best model, such as its accuracy.

        It has `metric`, `value` (0.97 is 97 %) and `epoch`; None before the first validation.
        """
        return self.refresh().view.best

    @property
    def best_checkpoint(self) -> Path:
        """Folder of the best model so far with its image processor, as `from_pretrained` of transformers takes it.

        `transformers.pipeline("image-classification", model=str(run.best_checkpoint))` names the classes of new images.
        Raises NotFoundError before the first.
        """
        inside = f"{run_layout.CHECKPOINTS}/{run_layout.BEST}"
        outside = run_layout.elsewhere(self.view.config, self.folder)
        if not run_paths.is_folder(self.folder, inside, outside):
            raise NotFoundError(
                f"The run “{self.name}” has no checkpoint yet; the first comes with the first validation."
            )
        return self.folder / inside

    def evaluate(
        self, split: str = "test", *, root: str | os.PathLike[str] | None = None, tta: TTA = "none"
    ) -> EpochReport:
        """Metrics of its best model on a split of its own images, or of another folder's with the same classes.

        Its epoch and step are those of the checkpoint.

        >>> run.evaluate("val").split
        'val'
        """
        return inference.evaluate(
            self.best_model(), split, root=root, options=inference.Options(tta), notify=print_notes
        )

    def predict(
        self, images: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, top: int = 1, tta: TTA = "none"
    ) -> Predictions:
        """The likeliest classes of images by its best model, a list. images: files, folders and patterns.

        >>> found = run.predict(data.root / "val" / "3", top=2)
        >>> len(found)
        6
        """
        named = [images] if isinstance(images, str | os.PathLike) else images
        paths, options = inference.list_images(named, print_notes), inference.Options(tta)
        answers = inference.predict(self.best_model(), paths, top=top, options=options, notify=print_notes)
        return Predictions(self.name, list(answers))

    def export(self, format: Format = "hf", out: Path | str | None = None) -> Path:
        """Write its best model for other programs, checked on real images; returns the folder.

        format: hf, onnx or torch-export. Raises MismatchError if what was written does not agree with the model.

        >>> run.export("hf", out="model").name
        'model'
        """
        return inference.export(self.refresh().best_model(), format, Path(out) if out else None).folder

    def register(self, name: str = "", *, checkpoint: str = "best", description: str = "") -> ModelView:
        """Register a checkpoint as a model, with which other runs can begin. Raises NotFoundError, ConflictError.

        checkpoint: best, last or the name of one. An empty name is made from the run's.

        >>> run.register("first net").name
        'first net'
        """
        wanted = request(CheckpointModel, run_id=self.id, checkpoint=checkpoint, name=name, description=description)
        models = context.store().models
        return models.add(models.of_checkpoint(wanted))

    def delete_checkpoint(self, name: str) -> int:
        """Delete a checkpoint by its name, such as "a001-s00000005"; how many bytes that freed.

        Raises NotFoundError, and ConflictError for one that is still needed.

        >>> run.delete_checkpoint("a001-s00000001")
        Traceback (most recent call last):
            ...
        imgcls_lab.errors.NotFoundError: ...
        """
        return context.store().checkpoints.delete(self.view.id, name).freed

    def best_model(self) -> inference.Model:
        """Its best model, as `imgcls_lab.api.inference` takes it. Raises NotFoundError before the first checkpoint.

        >>> run.best_model().folder.name
        'best'
        """
        best = self.view.best
        trained_by = inference.TrainedBy(self.folder, self.config, best.epoch if best else None)
        return inference.Model(self.best_checkpoint, trained_by)

    def model(self, device: str = "auto") -> nn.Module:
        """Its best model as transformers has it, in evaluation mode; `.config.id2label` names its classes.

        `AutoImageProcessor.from_pretrained(run.best_checkpoint)` prepares images for it; `run.predict` does both.
        device: auto (the GPU, if there is one), cpu or cuda. Raises NotFoundError before the first checkpoint.

        >>> run.model("cpu").config.id2label[3]
        '3'
        """
        return inference.load(self.best_model(), device)

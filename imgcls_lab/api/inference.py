"""Applying a trained model: its metrics on a split, classes of images, export. Called by `Run` and the command line.

Works on a model's folder, with what is known of the run that made it; it looks up no run and opens no store. torch
comes with the engine, when one of these functions is called.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.evaluation import TTA
from imgcls_lab.data_revision import of_folder
from imgcls_lab.errors import InputError, unknown
from imgcls_lab.image_files import Walk

if TYPE_CHECKING:
    from torch import nn

    from imgcls_lab.engine.inference.export import Exported, Format
    from imgcls_lab.schemas import EpochReport, ImagePrediction

Progress = Callable[[int, int], None]
Notify = Callable[[str], None]  # gets sentences worth knowing


@dataclass(frozen=True)
class TrainedBy:
    """The run that made a model. best_epoch: None before its first validation."""

    folder: Path
    config: TrainConfig
    best_epoch: int | None


@dataclass(frozen=True)
class Model:
    """A model's folder, and the run that made it if one is known."""

    folder: Path
    run: TrainedBy | None = None


@dataclass(frozen=True)
class Options:
    """How a model is applied. batch_size: None for the engine's own. Raises InputError for an unknown `tta`."""

    tta: TTA = "none"
    device: str = "auto"
    batch_size: int | None = None

    def __post_init__(self) -> None:
        if self.tta not in get_args(TTA):
            raise InputError(unknown("way of test-time views", str(self.tta), get_args(TTA)))


def load(model: Model, device: str = "auto") -> nn.Module:
    """A model as transformers has it, in evaluation mode. Raises ModelError, InputError for an unknown device."""
    from imgcls_lab.engine.inference import predict as engine

    return engine.load(model.folder, device).model.eval()


def evaluate(
    model: Model,
    split: str,
    *,
    root: str | os.PathLike[str] | None = None,
    options: Options | None = None,
    progress: Progress | None = None,
    notify: Notify | None = None,
) -> EpochReport:
    """Metrics of a model on train, val or test of a folder of images, by default the run's own, as the run labelled it.

    Raises InputError if no folder is known, DataError if it does not fit the model, ModelError.
    """
    from imgcls_lab.engine.inference import predict as engine

    how, config = options or Options(), model.run.config if model.run else None
    if root is None and config is None:
        raise InputError("A model folder does not say which images it was made for. Name a folder of images by --root.")
    own = config is not None and (root is None or Path(root).absolute() == Path(config.root).expanduser().absolute())
    top_k = config.top_k if config else engine.TOP_K
    overlay = of_folder(model.run.folder) if own and model.run else None
    return engine.evaluate(
        engine.load(model.folder, how.device, notify),
        Path(root or (config.root if config else "")).expanduser().absolute(),
        split,
        config=config if own else None,
        options=engine.SplitOptions(how.tta, how.batch_size or engine.BATCH, top_k, overlay),
        progress=progress,
        notify=notify,
    )


def predict(
    model: Model,
    paths: Sequence[str | os.PathLike[str]],
    *,
    top: int = 1,
    options: Options | None = None,
    notify: Notify | None = None,
) -> Iterator[ImagePrediction]:
    """The likeliest classes of each image file in turn, or the reason why it cannot be read.

    notify: gets a sentence if the model does not say how its images are prepared. Raises InputError if `top` is less
    than 1, ModelError.
    """
    if top < 1:
        raise InputError(f"The number of likeliest classes must be at least 1, not {top}.")
    from imgcls_lab.engine.inference import predict as engine

    how = options or Options()
    loaded = engine.load(model.folder, how.device, notify)
    return engine.predict(loaded, paths, top=top, tta=how.tta, batch_size=how.batch_size or engine.BATCH)


def export(model: Model, format: Format, out: Path | None, images: Sequence[str] = ()) -> Exported:
    """Write a model in another form, checked on `images`, by default on some that the run validated.

    out: by default exports/FORMAT in the run's folder. Raises InputError, ConflictError, MismatchError, ModelError.
    """
    from imgcls_lab.engine.inference import export as engine
    from imgcls_lab.engine.inference import validated

    if format not in get_args(engine.Format):
        raise InputError(unknown("form of an export", str(format), get_args(engine.Format)))
    if out is None:
        if model.run is None:
            raise InputError("Name the folder to write to by --out.")
        out = model.run.folder / "exports" / format
        if out.parent.is_symlink():
            raise InputError(f"“{out.parent}” is a link, so nothing is written there. Name the folder by --out.")
    known = [engine.Known(path) for path in images]
    if not known and (run := model.run) is not None:
        known = validated.of_run(run.folder, run.config.root, run.best_epoch)
    return engine.export(model.folder, format, out.expanduser().absolute(), known)


def list_images(names: Sequence[str | os.PathLike[str]], notify: Notify) -> list[str]:
    """The files that files, folders (searched below for images) and patterns name, in that order, each once.

    A name of nothing stays as it is, so that its error is reported in the place of its class. `notify` gets sentences
    about what else lies in the folders.
    """
    found: dict[str, None] = {}
    for given in names:
        name = os.fspath(given)
        path = os.path.expanduser(name)
        if os.path.isdir(path):
            walk = Walk(Path(path), bounded=False)
            inside = sorted(walk.images(Path(path))) or [name]
            for sentence in walk.said():
                notify(sentence)
        elif not os.path.lexists(path) and glob.has_magic(path):
            inside = sorted(hit for hit in glob.glob(path, recursive=True) if os.path.isfile(hit)) or [name]
        else:
            inside = [path]
        found.update(dict.fromkeys(inside))
    return list(found)

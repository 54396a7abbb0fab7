"""Using what a run made: figures on a split, classes for images, export. What `Run` and the command line call.

A model is named as a user names it: a run's id, a run's folder, or a folder that transformers loads. torch comes with
the engine, when one of these is called.
"""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from imgcls_lab import run_layout
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_queue import run as find_run
from imgcls_lab.config.evaluation import TTA
from imgcls_lab.errors import InputError, NotFoundError, unknown
from imgcls_lab.image_files import Walk

if TYPE_CHECKING:
    from imgcls_lab.engine.inference.export import Exported, Format, Known
    from imgcls_lab.schemas import EpochReport, ImagePrediction

Progress = Callable[[int, int], None]
Tell = Callable[[str], None]  # gets sentences worth knowing


@dataclass(frozen=True)
class Model:
    """A model folder, and the run that made it, where one is known."""

    folder: Path
    run: Run | None = None


def locate(name: str | os.PathLike[str] | Run) -> Model:
    """The model that a run's id (or the beginning of one), a run's folder or a model's folder names.

    Raises NotFoundError with what was looked for.
    """
    if isinstance(name, Run):
        return Model(name.best_checkpoint, name)
    path = Path(name).expanduser()
    if (path / run_layout.CHECKPOINTS).is_dir():
        path = path.absolute()
        run = Run(path.name, folder=path)
        return Model(run.best_checkpoint, run)
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise NotFoundError(f"“{path}” is neither a run nor a model: it has no checkpoints/ and no config.json.")
        return Model(path)
    try:
        return locate(find_run(os.fspath(name)))
    except NotFoundError as error:
        raise NotFoundError(f"There is no run and no model folder “{name}”. {error}") from None


def evaluate(
    model: Model,
    split: str,
    *,
    root: str | os.PathLike[str] | None = None,
    tta: TTA = "none",
    device: str = "auto",
    batch_size: int | None = None,
    progress: Progress | None = None,
    tell: Tell | None = None,
) -> EpochReport:
    """Figures of a model on train, val or test of a folder of images, by default the run's own.

    Raises InputError if no folder is known, DataError if it does not fit the model, ModelError.
    """
    _check_views(tta)
    from imgcls_lab.engine.inference import predict as engine

    config = model.run.config if model.run else None
    if root is None and config is None:
        raise InputError("A model folder does not say which images it was made for. Name a folder of images by --root.")
    own = config is not None and (root is None or Path(root).absolute() == Path(config.root).expanduser().absolute())
    return engine.evaluate(
        engine.load(model.folder, device, tell),
        Path(root or (config.root if config else "")).expanduser().absolute(),
        split,
        config=config if own else None,
        top_k=config.top_k if config else None,
        tta=tta,
        batch_size=batch_size or engine.BATCH,
        progress=progress,
        tell=tell,
    )


def predict(
    model: Model,
    paths: Sequence[str | os.PathLike[str]],
    *,
    top: int = 1,
    tta: TTA = "none",
    device: str = "auto",
    batch_size: int | None = None,
    tell: Tell | None = None,
) -> Iterator[ImagePrediction]:
    """The likeliest classes of each image file in turn, or the reason why it cannot be read.

    tell: gets a sentence where the model does not say how its images are prepared. Raises InputError for what cannot be
    asked, ModelError.
    """
    _check_views(tta)
    if top < 1:
        raise InputError(f"The number of likeliest classes must be at least 1, not {top}.")
    from imgcls_lab.engine.inference import predict as engine

    loaded = engine.load(model.folder, device, tell)
    return engine.predict(loaded, paths, top=top, tta=tta, batch_size=batch_size or engine.BATCH)


def export(model: Model, format: Format, out: Path | None, images: Sequence[str] = ()) -> Exported:
    """Write a model in another form, checked on `images`, by default on some that the run validated.

    out: by default exports/FORMAT in the run's folder. Raises InputError, ConflictError, MismatchError, ModelError.
    """
    from imgcls_lab.engine.inference import export as engine

    if format not in get_args(engine.Format):
        raise InputError(unknown("form of an export", str(format), get_args(engine.Format)))
    if out is None:
        if model.run is None:
            raise InputError("Name the folder to write to by --out.")
        out = model.run.folder / "exports" / format
    known = [engine.Known(path) for path in images] or (_validated(model.run, engine.IMAGES) if model.run else [])
    return engine.export(model.folder, format, out.expanduser().absolute(), known)


def _check_views(tta: TTA) -> None:
    if tta not in get_args(TTA):
        raise InputError(unknown("way of test-time views", str(tta), get_args(TTA)))


def _validated(run: Run, count: int) -> list[Known]:
    """Some of the images that the run validated, spread over all, with what it stored of them at its best epoch."""
    from imgcls_lab.engine.inference.export import Known
    from imgcls_lab.engine.reporting.predictions import read

    best = run.refresh().view.best
    if best is None:
        return []
    try:
        held = read(run.folder, best.epoch)
    except NotFoundError:
        return []
    chosen = range(0, len(held.paths), max(1, len(held.paths) // count))
    found = [
        Known(os.path.join(held.root, held.paths[i]), held.classes[held.top[i, 0]], float(held.shares[i, 0]))
        for i in chosen
    ]
    return [image for image in found if os.path.isfile(image.path)][:count]


def list_images(names: Sequence[str | os.PathLike[str]], tell: Tell) -> list[str]:
    """The files that files, folders (searched below for images) and patterns name, in that order, each once.

    What names nothing stays as it is, so that its absence is told where its class would be. `tell` hears what else
    lies in the folders.
    """
    found: dict[str, None] = {}
    for given in names:
        name = os.fspath(given)
        path = os.path.expanduser(name)
        if os.path.isdir(path):
            walk = Walk(Path(path), bounded=False)
            inside = sorted(walk.images(Path(path))) or [name]
            for sentence in walk.said():
                tell(sentence)
        elif not os.path.lexists(path) and glob.has_magic(path):
            inside = sorted(hit for hit in glob.glob(path, recursive=True) if os.path.isfile(hit)) or [name]
        else:
            inside = [path]
        found.update(dict.fromkeys(inside))
    return list(found)

"""Which model a run made, and which file an image of it is: what the inference process needs of the database.

Used by the server. An image is asked for by its id alone; the file is opened below the folder of images that the run's
config in the database names, never below one that the run's own files name.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Any

from imgcls_lab import predictions, run_layout, run_paths
from imgcls_lab.errors import DataError, NotFoundError
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run

SPLITS = ("val", "test", "train")  # in the order in which an image is looked for


@dataclass(frozen=True)
class RunModel:
    """The best model of a run. folder: of the checkpoint, links resolved; run_folder: of the run; config: as stored."""

    folder: Path
    run_folder: Path
    config: dict[str, Any]


@dataclass(frozen=True)
class RunImage:
    """An image that a run saw. file: open to read; number: its place in the split as the run listed it."""

    file: BufferedReader
    name: str
    split: str
    number: int


class RunImages:
    """Models and images of runs. Each method raises NotFoundError for a run that is not there, or not in this home."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def best_model(self, text: str) -> RunModel:
        """The best model of a run so far. Raises NotFoundError before the first checkpoint."""
        with self._database.read() as session:
            run = find_run(session, text)
            homes.check_here(session, run)
            folder, config, name = self._settings.run_dir(run.id), dict(run.config), run.name
        inside = f"{run_layout.CHECKPOINTS}/{run_layout.BEST}"
        try:
            real = run_paths.real_path(folder, inside, run_layout.elsewhere(config, folder))
        except (OSError, ValueError):
            raise NotFoundError(
                f"The run “{name}” has no checkpoint yet; the first comes with the first validation.",
                reason="no_checkpoint",
            ) from None
        return RunModel(real, folder, config)

    def open(self, model: RunModel, image_id: str) -> RunImage:
        """The file of an image by its id, in any split. The caller closes it and compares its content.

        Raises NotFoundError for an id that the run did not keep, DataError for a file that is gone.
        """
        for split in SPLITS:
            try:
                images = predictions.read_images(model.run_folder, split)
            except NotFoundError:
                continue
            for number in images.find(image_id).tolist():
                return RunImage(self._open(model, images.name(number)), images.name(number), split, number)
        raise NotFoundError(f"The run kept no image “{image_id[:64]}”.", reason="no_image")

    def _open(self, model: RunModel, name: str) -> BufferedReader:
        root = self._settings.allowed(os.path.expanduser(str(model.config["root"])))
        try:
            return run_paths.open_plain(root, name)
        except (OSError, ValueError):
            raise DataError(f"The image “{name}” is gone, or cannot be read any more.", reason="gone") from None

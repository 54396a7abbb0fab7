"""The models that runs made, as files: `store.run_models`. Used by the server; it loads none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from imgcls_lab import run_layout, run_paths
from imgcls_lab.analysis.cache import stored_images
from imgcls_lab.errors import NotFoundError
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_rows import find_run


@dataclass(frozen=True)
class RunModel:
    """The best model of a run. folder: of the checkpoint, links resolved; run_folder: of the run; config: as stored."""

    folder: Path
    run_folder: Path
    config: dict[str, Any]

    def training_number(self, image_id: str) -> int:
        """The place of an image among the run's training images; 0 for one that is not among them."""
        try:
            found = stored_images(self.run_folder, "train").find(image_id)
        except NotFoundError:  # an older run
            found = np.zeros(0, np.int64)
        return int(found[0]) if len(found) else 0


class RunModels:
    """The models of runs."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._settings = settings

    def best(self, text: str) -> RunModel:
        """The best model of a run so far. It is data, so that of a run that is view only can be applied, too.

        Raises NotFoundError for a run that is not there, or not in this home, and before the first checkpoint.
        """
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

"""The corrections that a run trains with: found on its first attempt, kept in its folder, the same on all later ones.

Called by `resolve`. The store has put the overlay of a revision into the run's folder; a stand-alone run reads the file
that its config names, and keeps a copy.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import Overlay, of_folder
from imgcls_lab.engine.training.state import Attempt
from imgcls_lab.errors import DataError


def of_run(attempt: Attempt, saved_manifest: dict[str, Any] | None) -> Overlay | None:
    """The overlay of a run; None where its config names none. Raises DataError."""
    folder, wanted = attempt.recorder.folder, attempt.config.data_revision
    before = (saved_manifest or {}).get("data_revision")
    if wanted is None:
        if before:
            raise _changed(folder)
        return None
    found = None
    for _turn in attempt.group.main_first():
        found = of_config(attempt.config, folder)
        assert found is not None  # noqa: S101
        if attempt.group.is_main and not (folder / run_layout.DATA_REVISION).exists():
            run_layout.write_atomic(folder / run_layout.DATA_REVISION, found.to_json())
    if saved_manifest and found is not None and (before or {}).get("content") != found.content:
        raise _changed(folder)
    return found


def of_config(config: TrainConfig, folder: Path | None = None) -> Overlay | None:
    """The overlay that a config means. folder: of its run, whose copy counts if there is one. Raises DataError."""
    wanted = config.data_revision
    if wanted is None:
        return None
    copy = None if folder is None else of_folder(folder)
    if copy is None and isinstance(wanted, int):
        raise DataError(
            f"data_revision {wanted} is a number of a registered data set, and the run's folder holds no "
            f"{run_layout.DATA_REVISION}. Start the run through imgcls-lab, or name a file with the corrections: "
            "`imgcls-lab datasets export NAME --revision N --out FILE.json` writes one.",
            reason="no_overlay",
        )
    return copy or Overlay.read(Path(str(wanted)))


def facts(overlay: Overlay | None) -> dict[str, Any] | None:
    """What the manifest says of it."""
    return None if overlay is None else overlay.model_dump(include={"number", "digest", "content"})


def _changed(folder: Path) -> DataError:
    return DataError(
        f"The corrections in {folder / run_layout.DATA_REVISION} are not those that this run began with, so it cannot "
        "continue exactly. Put the file back, or start a new run.",
        reason="corrections_changed",
    )

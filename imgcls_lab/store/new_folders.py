"""The folder of a run that gets files of another run before it has a row. Called by `store.runs` and by daemons.

Files may have to be copied to another disk, which takes minutes; so this is done before the transaction, under a name
that nothing looks at. The transaction only moves the folder to the run's own. What a killed process has left is
removed by a daemon: what has no row, and nobody holds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgcls_lab import working_folders
from imgcls_lab.errors import StoreError
from imgcls_lab.run_paths import remove
from imgcls_lab.settings import Settings
from imgcls_lab.store.run_folders import attempts_in
from imgcls_lab.working_folders import HELD

_PREFIX = ".making-"  # and the run's id: no scan of the folders looks at such a name


@dataclass
class NewFolder:
    """path: where it is now; run: the run's own folder, which it becomes."""

    path: Path
    run: Path

    def settle(self) -> None:
        """Move it to the run's own name, in the transaction that adds the row. Raises StoreError."""
        try:
            os.rename(self.path, self.run)
        except OSError as error:
            raise _cannot_be_made(self.run, error) from error
        self.path = self.run


@contextlib.contextmanager
def making(settings: Settings, run_id: str) -> Iterator[NewFolder]:
    """A new folder for a run; removed where the block fails, or ends without `settle`. Raises StoreError."""
    made = NewFolder(settings.runs_dir / f"{_PREFIX}{run_id}", settings.run_dir(run_id))
    with contextlib.ExitStack() as stack:
        try:
            made.path.mkdir(mode=0o700, parents=True)
            stack.enter_context(working_folders.held(made.path))
        except OSError as error:
            remove(made.path)
            raise _cannot_be_made(made.run, error) from error
        try:
            yield made
        except StoreError:  # the database may have taken the row before it broke off: a daemon looks
            if made.path != made.run:
                remove(made.path)
            raise
        except BaseException:
            remove(made.path)
            raise
        if made.path == made.run:
            with contextlib.suppress(OSError):  # the run is queued, whether this file stays or not
                (made.run / HELD).unlink()
        else:
            remove(made.path)


def _cannot_be_made(folder: Path, error: OSError) -> StoreError:
    return StoreError(
        f"The run's folder {folder} cannot be made: {error.strerror}. Free some space, or check who may write there, "
        "and try again."
    )


def remove_left(settings: Settings) -> None:
    """Remove folders that got no row, because the process that made them was killed."""
    working_folders.remove_left(settings.runs_dir, _PREFIX)


def is_unfinished(folder: Path) -> bool:
    """Whether a run's folder was moved to its name in a transaction that may not have been committed."""
    return (folder / HELD).is_file() and not attempts_in(folder)


def finish(folder: Path, *, has_row: bool) -> None:
    """Make an unfinished folder the run's, or remove it. Raises BlockingIOError while its process may still commit."""
    if not working_folders.is_left(folder):
        raise BlockingIOError(f"“{folder}” is being made.")
    if has_row:
        (folder / HELD).unlink(missing_ok=True)
    else:
        remove(folder)

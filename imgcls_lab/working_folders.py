"""Folders that one process works in, and that another one removes when that process was killed.

A folder is held by a lock on a file in it, which ends with the process. One without a holder is left over, once it is
older than a process needs to take the lock. Standard library only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from imgcls_lab import locks

HELD = ".held"  # in such a folder
BEGINNING = 60.0  # seconds after its last change in which a folder without a holder is not left over yet


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a folder, made just now, until the block ends; wherever it is moved meanwhile. Raises OSError."""
    descriptor = os.open(folder / HELD, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def is_left(folder: Path) -> bool:
    """Whether nobody works in a folder any more. A link is none."""
    try:
        age = time.time() - os.stat(folder, follow_symlinks=False).st_mtime
        return age > BEGINNING and not folder.is_symlink() and not _is_held(folder)
    except FileNotFoundError:  # removed meanwhile
        return False


def remove_left(place: Path, prefix: str) -> None:
    """Remove the folders in a place whose names begin so, and in which nobody works any more."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError), os.scandir(place) as entries:
        for entry in entries:
            folder = Path(entry.path)
            if entry.name.startswith(prefix) and entry.is_dir(follow_symlinks=False) and is_left(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _is_held(folder: Path) -> bool:
    path = folder / HELD
    # without one: killed before it took the lock; no plain file, or not to be read: not one of ours
    return os.path.lexists(path) and locks.is_locked(path, unreadable=True)

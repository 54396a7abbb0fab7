"""Advisory locks that end with their process. Standard library only: the supervisor uses it too."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path

# Shared by all users of this machine, so that two of them never get one GPU. The sticky folder keeps each file its
# owner's; reading is all that a lock needs.
HOST_LOCKS = Path(tempfile.gettempdir()) / "imgcls-lab-locks"


def try_lock(path: Path, *, shared_folder: bool = False) -> int | None:
    """A descriptor that holds the lock until it is closed, or None while another process holds it.

    shared_folder: the folder is for all users of the machine. Raises OSError where no lock can be made.
    """
    if shared_folder and not path.parent.is_dir():
        with contextlib.suppress(FileExistsError):
            path.parent.mkdir()
            path.parent.chmod(0o1777)
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW
    try:
        descriptor = os.open(path, flags)  # never O_CREAT on another user's file: a sticky folder forbids it
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o444 if shared_folder else 0o600))
        descriptor = os.open(path, flags)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path) -> bool:
    """Whether some process holds the lock now."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False

"""Advisory locks of one home, which end with their process. Standard library only: the supervisor uses them too.

The home is this user's alone. The locks that users share are in `executor/device_locks.py`.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from pathlib import Path

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


def try_lock(path: Path) -> int | None:
    """A descriptor that holds the lock until it is closed, or None while another process holds it.

    Raises OSError where no lock can be made, as where a link, a pipe or a folder stands in its place.
    """
    descriptor = _open(path, _FLAGS | os.O_CREAT)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def is_locked(path: Path, *, unreadable: bool = False) -> bool:
    """Whether some process holds the lock now. unreadable: the answer for what is no file, or cannot be opened."""
    try:
        descriptor = _open(path, _FLAGS)
    except OSError:
        return unreadable
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _open(path: Path, flags: int) -> int:
    descriptor = os.open(path, flags, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "No lock can be made: something that is no file stands there. Remove it", str(path))
    return descriptor

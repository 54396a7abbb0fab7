"""What was read from runs' folders is known by the identity of its files: a file that was written again is read again.

`stored_images` gives the list of a split's images, which all that is known of them shares.
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Sequence
from pathlib import Path

from imgcls_lab import predictions, run_paths
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.predictions import StoredImages


def identity(folder: Path, names: Sequence[str]) -> Hashable:
    """What tells files from others under the same names: device, inode, time and size; None where there is no file."""
    found: list[tuple[int, int, int, int] | None] = []
    for name in names:
        try:
            with run_paths.open_plain(folder, name) as file:
                status = os.fstat(file.fileno())
            found.append((status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size))
        except (OSError, ValueError):
            found.append(None)
    return str(folder), *names, *found


def stored_images(folder: Path, split: str) -> StoredImages:
    """The images of a split as a run listed them. Raises NotFoundError, and DataError if damaged."""
    key = identity(folder, [predictions.npz(f"{split}-images")])
    return CACHE.get(("images", key), lambda: predictions.read_images(folder, split), lambda made: made.nbytes)

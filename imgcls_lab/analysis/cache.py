"""What was read from runs' folders stays in memory for the next request: a few arrays, bounded by their bytes.

`stored_images` gives the list of a split's images, which all that is known of them shares.
An entry is known by the identity of the files that it was read from, so a file that was written again is read again.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar, cast

from imgcls_lab import predictions, run_paths
from imgcls_lab.predictions import StoredImages

T = TypeVar("T")
MAX_BYTES = 32 * 2**20


class Cache:
    """Values by key, the one that was used last the longest. The newest is kept, however large. Safe for threads."""

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[Hashable, tuple[Any, int]] = OrderedDict()
        self._making: dict[Hashable, Lock] = {}
        self._lock = Lock()

    def get(self, key: Hashable, make: Callable[[], T], size: Callable[[T], int]) -> T:
        """The value of a key, made if it is not there, by one thread for all that ask. size: its bytes."""
        with self._lock:
            if key in self._held:
                return cast(T, self._found(key))
            making = self._making.setdefault(key, Lock())
        with making:  # a page asks for several things of one evaluation at once
            with self._lock:
                if key in self._held:
                    return cast(T, self._found(key))
            try:
                made = make()
                self._keep(key, made, size(made))
            finally:
                with self._lock:
                    self._making.pop(key, None)
        return made

    def _found(self, key: Hashable) -> Any:
        self._held.move_to_end(key)
        return self._held[key][0]

    def _keep(self, key: Hashable, made: Any, size: int) -> None:
        with self._lock:
            self._held[key] = made, size
            while len(self._held) > 1 and self.nbytes > self._max_bytes:
                self._held.popitem(last=False)

    @property
    def nbytes(self) -> int:
        return sum(size for _, size in self._held.values())


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


CACHE = Cache()  # of this process


def stored_images(folder: Path, split: str) -> StoredImages:
    """The images of a split as a run listed them. Raises NotFoundError, and DataError if damaged."""
    key = identity(folder, [predictions.npz(f"{split}-images")])
    return CACHE.get(("images", key), lambda: predictions.read_images(folder, split), lambda made: made.nbytes)

"""What was read from files stays in memory for the next request: image tables and runs' predictions share one budget.

Called by whatever reads such files. It knows no file: who asks makes the key, which begins with the kind of the value.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Any, TypeVar, cast

T = TypeVar("T")
MAX_BYTES = 32 * 2**20


class Cache:
    """Values by key, the one that was used last the longest. Safe for threads.

    The newest of each kind, which is the first part of a key, is kept however large it is: a page of very many images
    needs the table of the images and their predictions at once, and would otherwise read both for each picture.
    """

    def __init__(self, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._held: OrderedDict[tuple[Hashable, ...], tuple[Any, int]] = OrderedDict()
        self._making: dict[tuple[Hashable, ...], Lock] = {}
        self._lock = Lock()

    def get(self, key: tuple[Hashable, ...], make: Callable[[], T], size: Callable[[T], int]) -> T:
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

    def _found(self, key: tuple[Hashable, ...]) -> Any:
        self._held.move_to_end(key)
        return self._held[key][0]

    def _keep(self, key: tuple[Hashable, ...], made: Any, size: int) -> None:
        with self._lock:
            self._held[key] = made, size
            excess = self.nbytes - self._max_bytes
            newest = {key[0]: key for key in self._held}
            for old in [key for key in self._held if newest[key[0]] != key]:
                if excess <= 0:
                    break
                excess -= self._held.pop(old)[1]

    @property
    def nbytes(self) -> int:
        return sum(size for _, size in self._held.values())


CACHE = Cache()  # of this process

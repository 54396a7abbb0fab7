"""How the C library of this process keeps freed memory. Called by a training run and by the server extension."""

from __future__ import annotations

import ctypes
import functools
import platform
from collections.abc import Callable

# Options of the GNU C library (malloc.h): the size from which a block is mapped by itself, and how much free memory at
# the end of the heap is kept. A step frees and allocates the same tens of megabytes again; where the heap is returned
# in between, each page of it is a fault the next time: thousands a step, a tenth of the time of a small model.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8
_LARGEST = 32 << 20  # the highest that the library allows for the second


def keep_freed_memory() -> None:
    """Let this process keep up to 1 GiB that it freed, for its next step. Does nothing without the GNU C library."""
    if heap := _heap():
        heap(_MMAP_THRESHOLD, _LARGEST)
        heap(_TRIM_THRESHOLD, 1 << 30)


def release_freed_memory() -> None:
    """After `keep_freed_memory`: back to what the library itself would keep at most."""
    if heap := _heap():
        heap(_TRIM_THRESHOLD, 2 * _LARGEST)
        ctypes.CDLL(None).malloc_trim(0)


def share_heap_among_threads() -> None:
    """Let the threads of this process use two heaps. Does nothing without the GNU C library.

    By default each of many threads has a heap of its own, and each keeps the memory of the largest answer that its
    thread made: of a server that reads large files in a dozen threads tens of megabytes.
    """
    if heap := _heap():
        heap(_ARENA_MAX, 2)


@functools.cache
def _heap() -> Callable[[int, int], int] | None:
    """`mallopt` of the GNU C library."""
    if platform.libc_ver()[0] != "glibc":
        return None
    set_option: Callable[[int, int], int] = ctypes.CDLL(None).mallopt
    return set_option

"""Calls that wait for a disk, side by side: eight files are on it, or on a server of files, about as soon as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

AT_ONCE = 16  # a disk orders that many syncs at a time; more threads only wait for each other

Item = TypeVar("Item")
Result = TypeVar("Result")


def side_by_side(call: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """What `call` returns for each, in their order. Raises what the first of them raised, when none runs any more."""
    if len(items) < 2:
        return [call(item) for item in items]
    with ThreadPoolExecutor(min(AT_ONCE, len(items)), thread_name_prefix="side-by-side") as pool:
        return list(pool.map(call, items))

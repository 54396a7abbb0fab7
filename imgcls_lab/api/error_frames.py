"""What the last error of a notebook holds on to: IPython keeps its traceback, and with it all variables of all frames.

Used around work of the engine in this process, which may hold gigabytes of a GPU.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator


@contextlib.contextmanager
def emptied() -> Iterator[None]:
    """An error or interrupt that comes out of this has let go of models and data; its traceback reads as before."""
    try:
        yield
    except BaseException as error:
        _empty(error)
        raise


def _empty(error: BaseException) -> None:
    seen: set[int] = set()
    waiting: list[BaseException | None] = [error]
    while waiting:
        each = waiting.pop()
        if each is not None and id(each) not in seen:
            seen.add(id(each))
            traceback.clear_frames(each.__traceback__)
            waiting += [each.__cause__, each.__context__]

"""Finding and ending the processes of a run. Standard library only: the supervisor uses it too.

A process belongs to a run by the tag in its environment, which children inherit wherever they hide, or by the
session of a leader that is still there. Each is checked again on a handle of its own before a signal is sent.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from imgcls_lab.run_layout import RUN_TAG


def tag_of(run_id: str, attempt: int) -> str:
    return f"{run_id}/{attempt}"


def has_tag(pid: int, tag: str) -> bool:
    """Whether a living process carries the tag of an attempt."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return False
    return f"\0{RUN_TAG}={tag}\0".encode() in b"\0" + environment + b"\0"


def tagged(tag: str) -> list[int]:
    """Living processes of an attempt, this one excepted."""
    return [pid for pid in _pids() if has_tag(pid, tag)]


def in_session(leader: int) -> list[int]:
    """Living processes in the session of a leader that has not been reaped yet."""
    return [pid for pid in _pids() if is_in_session(pid, leader)]


def is_in_session(pid: int, leader: int) -> bool:
    try:
        return os.getsid(pid) == leader and _lives(pid)
    except OSError:
        return False


def send(pid: int, number: int, still: Callable[[int], bool]) -> None:
    """Signal a process if `still` holds of it; the check and the signal meet the same process."""
    with contextlib.suppress(OSError):
        if not hasattr(os, "pidfd_open"):
            if still(pid):
                os.kill(pid, number)
            return
        handle = os.pidfd_open(pid)
        try:
            if still(pid):
                signal.pidfd_send_signal(handle, number)
        finally:
            os.close(handle)


def end_all(
    find: Callable[[], list[int]], belongs: Callable[[int], bool], *, gently: float = 0.0, patience: float = 5.0
) -> list[int]:
    """End all that `find` finds: SIGTERM and `gently` seconds, then SIGKILL. Gives those that would not die.

    belongs: says of one process whether `find` would find it, and is asked again before each signal.
    """
    if gently > 0:
        for pid in find():
            send(pid, signal.SIGTERM, belongs)
            send(pid, signal.SIGCONT, belongs)
        _wait(find, gently)
    deadline = time.monotonic() + patience
    while True:
        left = find()  # again each time: a tree may grow while it is cut
        if not left or time.monotonic() > deadline:
            return left
        for pid in left:
            send(pid, signal.SIGKILL, belongs)
        _wait(find, 0.2)


def _wait(find: Callable[[], list[int]], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while find() and time.monotonic() < deadline:
        time.sleep(0.02)


def _pids() -> Iterator[int]:
    own = os.getpid()
    with contextlib.suppress(OSError):
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) != own:
                yield int(name)


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] not in "ZXx"

"""Finding, signalling and ending processes. Standard library only: the supervisor uses it too.

No other module sends a signal to a process by its pid. A pid in a file or a row is a claim: a process is signalled only
if it proves on a handle of its own that it is the one that is meant. A process of a run proves it by the tag in its
environment, which children inherit wherever they hide, or by the session of a leader that is still there.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Self

from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_layout import RUN_TAG


def tag_of(run_id: str, attempt: int) -> str:
    return f"{run_id}/{attempt}"


def changed_environment(changes: Mapping[str, str | None]) -> dict[str, str]:
    """This process's environment with changes for a child; None takes a variable away."""
    kept = {name: value for name, value in os.environ.items() if name not in changes}
    return kept | {name: value for name, value in changes.items() if value is not None}


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


def has_open(pid: int, file: Path) -> bool:
    """Whether a process of this user has a file open, such as the lock that it holds."""
    try:
        wanted = os.stat(file)
        opened = os.listdir(f"/proc/{pid}/fd")
    except OSError:
        return False
    for name in opened:
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.path.samestat(os.stat(f"/proc/{pid}/fd/{name}"), wanted):
                return True
    return False


class ProcessHandle:
    """One process for ever: when it has ended, no other process gets its signals, whoever has its pid then.

    Raises OSError where there is no such process.
    """

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._descriptor = os.pidfd_open(pid) if hasattr(os, "pidfd_open") else None  # other systems have the pid alone

    def send(self, number: int) -> None:
        """Signal it. Raises OSError if it has ended."""
        if self._descriptor is None:
            os.kill(self.pid, number)
        else:
            signal.pidfd_send_signal(self._descriptor, number)

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it ends, or for some seconds. It is not reaped."""
        if self._descriptor is not None:
            select.select([self._descriptor], [], [], seconds)
        elif seconds is not None:
            time.sleep(seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def send(pid: int, number: int, still: Callable[[int], bool]) -> bool:
    """Signal a process if `still` holds of it; the check and the signal meet the same process. Whether it was sent."""
    with contextlib.suppress(OSError), ProcessHandle(pid) as process:
        if still(pid):
            process.send(number)
            return True
    return False


def send_to_owner(owner: ProcessIdentity, number: int, tag: str) -> bool:
    """Signal the supervisor of an attempt. False: it has ended, or the recorded process does not carry the tag."""
    return send(owner.pid, number, lambda pid: owner.alive() and has_tag(pid, tag))


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

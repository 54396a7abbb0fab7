"""What an attempt came to, from what its folder proves. Pure: called by the daemon and by `rebuild`.

A last event of the trainer says it; without one, how the process ended; without that too, it is lost. A run of
several processes of which one died is lost as well, though another could say so.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, TypeAdapter

from imgcls_lab.events import TERMINAL, AnyEvent, DesiredState, FailureKind, RunState, read_line
from imgcls_lab.run_layout import OUTPUT_LOG, events_name, exit_name, launch_name
from imgcls_lab.run_paths import open_plain, read_json

# Signals by which a process kills itself through a mistake in its code; any other came from outside.
_CRASHES = {signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS, signal.SIGTRAP}

TAIL = 65_536  # bytes of the events that are looked at for a stamp


_Number = Annotated[int, Field(ge=-(2**31), lt=2**31)]
_Stamp = Annotated[float, Field(ge=0, lt=1e12, allow_inf_nan=False)]


@dataclass(frozen=True)
class ProcessEnd:
    """How the training process ended, as the supervisor saw it.

    code: exit code, None if a signal ended it; started: False when the process was never started (device taken by
    another user's run, a newer attempt found); forced: it did not stop in time and was killed; full: its disk had no
    space left; t: when; asked: the desired state then: run, stop or kill; interrupted: an outer scheduler ended it.
    """

    code: _Number | None = None
    signal: _Number | None = None
    started: bool = True
    forced: bool = False
    full: bool = False
    message: str | None = None
    t: _Stamp | None = None
    asked: str = "run"
    interrupted: bool = False

    @property
    def exit_code(self) -> int | None:
        """As a shell's parent sees it: the code, or the signal below zero."""
        return self.code if self.signal is None else -self.signal

    @property
    def desired_state(self) -> DesiredState:
        return DesiredState(self.asked) if self.asked in set(DesiredState) else DesiredState.RUN


_END = TypeAdapter(ProcessEnd)


@dataclass(frozen=True)
class Verdict:
    """The state an attempt ends in; `LOST` means that it is tried again, `counted` that this is no free try."""

    state: RunState
    failure: FailureKind | None = None
    message: str | None = None
    counted: bool = True


def judge(
    reported: Verdict | None,
    end: ProcessEnd | None,
    desired_state: DesiredState,
    *,
    saved_step: int,
    trained: bool,
    last_line: str,
) -> Verdict:
    """The verdict on an attempt whose processes are all dead.

    reported: by its last event; end: None if nobody saw its end; saved_step: of the newest checkpoint, 0 without
    one; trained: it came as far as its first step; last_line: of the log.
    """
    lost = reported is not None and reported.failure is FailureKind.LOST
    if reported is not None and not lost and not _is_interrupted(reported, end, desired_state):
        return reported
    if desired_state is DesiredState.KILL:
        start = f"; it can be resumed from step {saved_step}" if saved_step else ""
        return Verdict(RunState.CANCELLED, message=f"Killed on request{start}.")
    if desired_state is DesiredState.STOP:
        return _stopped(end, saved_step, trained)
    if end is not None and not end.started:
        return Verdict(RunState.LOST, message=end.message, counted=False)
    if reported is not None and not lost:  # it has saved
        return Verdict(RunState.LOST, FailureKind.LOST, "The cluster ended its job")
    if reported is not None:  # one of its processes died, and another could report it
        return Verdict(RunState.LOST, FailureKind.LOST, (reported.message or "One of its processes died").rstrip("."))
    return _by_exit(end, saved_step, last_line)


def _is_interrupted(reported: Verdict, end: ProcessEnd | None, desired_state: DesiredState) -> bool:
    """Whether a run stopped that nobody asked to: its outer scheduler did."""
    by_scheduler = end is not None and end.interrupted and desired_state is DesiredState.RUN
    return by_scheduler and reported.state is RunState.STOPPED


def _by_exit(end: ProcessEnd | None, saved_step: int, last_line: str) -> Verdict:
    """The verdict on an attempt that reported nothing and was asked for nothing."""
    if end is None:
        return Verdict(RunState.LOST, FailureKind.LOST, "Its process died or was silent for too long")
    if end.interrupted:
        return Verdict(RunState.LOST, FailureKind.LOST, "The cluster ended its job")
    if end.signal is not None and end.signal not in _CRASHES:
        name = _signal_name(end.signal)
        reason = end.message or f"Its process was killed from outside ({name}), perhaps because memory ran out"
        return Verdict(RunState.LOST, FailureKind.LOST, reason)
    if end.full:  # it could not even say so
        where = f"step {saved_step}" if saved_step else "the beginning"
        text = f"The disk is full where the run writes. Free some space and resume it; it goes on from {where}."
        return Verdict(RunState.FAILED, FailureKind.DISK_FULL, end.message or text)
    tail = f" The log ends with: {last_line}" if last_line else " The log is empty."
    if end.message is not None:
        return Verdict(RunState.FAILED, FailureKind.APPLICATION, end.message)
    if end.signal is not None:
        text = f"The training process crashed ({_signal_name(end.signal)}).{tail}"
    elif end.code:
        text = f"The training process ended with code {end.code} before it could report why.{tail}"
    else:
        text = f"The training process ended without a result.{tail}"
    return Verdict(RunState.FAILED, FailureKind.APPLICATION, text)


def _stopped(end: ProcessEnd | None, saved_step: int, trained: bool) -> Verdict:
    if saved_step == 0 and not trained:
        return Verdict(RunState.CANCELLED, message="Stopped before its first step.")
    start = f"from step {saved_step}" if saved_step else "from its beginning, since there was no checkpoint yet"
    if end is not None and end.forced:
        return Verdict(RunState.STOPPED, message=f"Did not stop in time and was killed; it can be resumed {start}.")
    return Verdict(RunState.STOPPED, message=f"Ended before it could write a checkpoint; it can be resumed {start}.")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def read_end(folder: Path, attempt: int) -> ProcessEnd | None:
    """What the supervisor wrote about the end of an attempt; None while there is nothing, or only nonsense."""
    try:
        return _END.validate_python(read_json(folder, exit_name(attempt)))
    except (OSError, ValueError):
        return None


def unlaunched(folder: Path, attempt: int) -> ProcessEnd | None:
    """The end of an attempt whose executor died between its claim and its launch; None for any other."""
    if (folder / launch_name(attempt)).exists():
        return None
    return ProcessEnd(started=False, message="The executor died before it could start it")


def launched_at(folder: Path, attempt: int) -> float | None:
    """When an attempt began, as far as its folder tells: its first event, else when its launch was written."""
    if (first := next(_events(folder, attempt, file_end=False), None)) is not None:
        return first.t
    with contextlib.suppress(OSError):
        return (folder / launch_name(attempt)).stat().st_mtime
    return None


def ended_at(folder: Path, attempt: int, end: ProcessEnd | None) -> float | None:
    """When an attempt ended: as the supervisor wrote it, else as its own last word or the last of its events."""
    if end is not None and isinstance(end.t, int | float):
        return end.t
    events = list(_events(folder, attempt, file_end=True))  # the newest first
    words = [event for event in events if isinstance(event, TERMINAL)]
    return next((event.t for event in [*reversed(words), *events]), None)


def _events(folder: Path, attempt: int, *, file_end: bool) -> Iterator[AnyEvent]:
    """The first or the last events of an attempt, from that end on, without damaged ones."""
    try:
        with open_plain(folder, events_name(attempt)) as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - TAIL) if file_end else 0)
            lines = file.read(TAIL).split(b"\n")
    except OSError:
        return
    for line in reversed(lines) if file_end else lines:
        event = read_line(line, attempt)
        if event is not None:
            yield event


def last_line(folder: Path) -> str:
    """The last line with text of the log, at most 300 characters."""
    try:
        with open_plain(folder, OUTPUT_LOG) as file:
            file.seek(max(0, file.seek(0, 2) - 8192))
            lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return "".join(c for c in lines[-1] if c.isprintable())[:300] if lines else ""

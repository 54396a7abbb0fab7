"""A run in words: one sentence about where it stands, and a duration. For cells, terminals and pictures of a run."""

from __future__ import annotations

import time

from imgcls_lab.config.evaluation import format_metric
from imgcls_lab.events import RunState
from imgcls_lab.schemas import RunView
from imgcls_lab.terminal import inert

STATE_WORDS = {
    RunState.QUEUED: "waits in the queue",
    RunState.STARTING: "is starting",
    RunState.RUNNING: "trains",
    RunState.STOPPING: "is stopping",
    RunState.STOPPED: "was stopped",
    RunState.SUCCEEDED: "has finished",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "was cancelled",
    RunState.LOST: "lost its process",
}


def line(run: RunView) -> str:
    """One sentence about the state of a run: `digits trains: epoch 3.2 of 8, accuracy 97.4 %, 12 s left`."""
    parts: list[str] = []
    if run.phase and run.state in (RunState.STARTING, RunState.RUNNING):
        parts.append(run.phase)
    if run.epochs and run.step:
        parts.append(f"epoch {run.epoch:.1f} of {run.epochs}".replace(".0 of", " of"))
    if run.best:
        parts.append(f"best {format_metric(run.best.metric, run.best.value)}")
    if run.seconds_left is not None and run.state is RunState.RUNNING:
        parts.append(f"{duration(run.seconds_left)} left")
    clauses = [", ".join(parts)] if parts else []
    if run.message:
        clauses.append(run.message.removesuffix("."))
    text = f"{run.name} {STATE_WORDS[run.state]}"
    return inert(f"{text}: {'. '.join(clauses)}" if clauses else text)


def as_of() -> str:
    """`as of 2026-12-01 00:13:05 UTC`: for what a file keeps of a run that goes on: it may stay so for ever."""
    return time.strftime("as of %Y-%m-%d %H:%M:%S UTC", time.gmtime())


def duration(seconds: float) -> str:
    """`12 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"

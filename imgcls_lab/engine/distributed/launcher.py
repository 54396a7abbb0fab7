"""Starts, watches and ends the processes of a run together. Called by `run.train` where the config says so.

The launcher of node 0, as a rule the only one, forwards the events that its first process writes, and writes the last
one itself if no process could. The launchers of other nodes run `help_train`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.distributed.node_watch import NodeWatch
from imgcls_lab.engine.distributed.nodes import Node
from imgcls_lab.engine.distributed.rank_processes import RankProcesses
from imgcls_lab.engine.reporting.outcome import Outcome
from imgcls_lab.errors import ImgclsError, ProcessLostError, of_kind
from imgcls_lab.events import TERMINAL, Event, Failed, FailureKind, Finished, RunState, Stopped, read_events

_POLL = 0.05  # seconds
_UNKNOWN = "A process of the run ended before it could report why; the log may show it."


class Launcher:
    """The processes of one attempt on node 0, this node. locations: as in `run.train`; step: of the last event.

    Raises ConfigError if the config does not allow so many nodes or processes.
    """

    def __init__(
        self, config: TrainConfig, folder: Path, attempt: int, *, node: Node, locations: CacheLocations
    ) -> None:
        self.folder = folder
        self.attempt = attempt
        self.step = 0
        self._last: Event | None = None
        self._events = folder / run_layout.events_name(attempt)
        self._offset = self._events.stat().st_size if self._events.exists() else 0
        self._processes = RankProcesses(config, folder, attempt, node=node, locations=locations)
        self._watch = NodeWatch(node, attempt, config.digest()) if node.count > 1 else None

    def train(self, stop: threading.Event, on_event: Callable[[Event], None] | None) -> Outcome | None:
        """Until all have ended. None if stopped before they were started.

        Raises the error that a process reported, or one that says how a process died.
        """
        try:
            if self._watch is not None and not self._watch.meet(stop):
                return None
            with self._processes.running():
                while not self._processes.is_over(failed_elsewhere=self._problem() is not None):
                    self._forward(on_event)
                    if stop.is_set():
                        self._processes.request_stop()
                    time.sleep(_POLL)
            self._forward(on_event)
            return self._outcome()
        finally:
            self._close()

    def has_ended(self) -> bool:
        """Whether the main process wrote its last event."""
        self._read()
        return isinstance(self._last, TERMINAL)

    def _problem(self) -> ImgclsError | None:
        return self._watch.problem() if self._watch is not None else None

    def _outcome(self) -> Outcome:
        match self._last:
            case Finished(step=step, values=values):
                return Outcome(RunState.SUCCEEDED, step, self.folder, values)
            case Stopped(step=step):
                return Outcome(RunState.STOPPED, step, self.folder, {}, f"Stopped at step {step}; it can be resumed.")
            case Failed(kind=kind, message=message):
                raise of_kind(kind, message)
        raise self._cause()

    def _cause(self) -> ImgclsError:
        """Why the run failed: an error that a process reported, before the death that it or another one died."""
        own = self._processes.cause()
        if self._watch is None or (own is not None and own.kind != FailureKind.LOST):
            return own or ProcessLostError(_UNKNOWN)
        elsewhere = self._watch.explain()
        if elsewhere is not None and elsewhere.kind != FailureKind.LOST:
            return elsewhere
        return own or elsewhere or ProcessLostError(_UNKNOWN)

    def _close(self) -> None:
        if self._watch is not None:
            self._watch.say(None)
            self._watch.close()
        self._processes.close()

    def _read(self) -> list[Event]:
        events, self._offset = read_events(self._events, self._offset)
        for event in events:
            self._last = event if isinstance(event, TERMINAL) else self._last
            self.step = getattr(event, "resume_step", getattr(event, "step", self.step))
        return list(events)

    def _forward(self, on_event: Callable[[Event], None] | None) -> None:
        for event in self._read():
            if on_event:
                on_event(event)


def help_train(
    config: TrainConfig,
    folder: Path,
    attempt: int,
    *,
    node: Node,
    stop: threading.Event,
    locations: CacheLocations,
) -> None:
    """Run this node's processes until the run ends; node 0 writes what happens. A stop here stops the whole run.

    Raises the error by which a process of this node or another node ended the run.
    """
    processes = RankProcesses(config, folder, attempt, node=node, locations=locations)
    watch = NodeWatch(node, attempt, config.digest())
    try:
        if not watch.meet(stop):
            raise ProcessLostError(f"The {node.shown} was stopped before the run began.")
        with processes.running():
            while not processes.is_over(failed_elsewhere=watch.is_over() or watch.problem() is not None):
                if stop.is_set():
                    processes.request_stop()
                if processes.failed:
                    watch.say(processes.cause() or ProcessLostError(_UNKNOWN))
                time.sleep(_POLL)
            ended_well = not processes.live and not processes.failed
        if not ended_well:
            raise processes.cause() or watch.problem() or ProcessLostError(_UNKNOWN)
    except ImgclsError as error:
        watch.say(error)
        raise
    finally:
        watch.say(None)
        watch.close()
        processes.close()

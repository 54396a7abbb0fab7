"""Settings that are changed while the run trains: obeyed between two steps, by all processes at the same step.

Called by the loop. Rank 0 alone reads what is asked for; the others get it from there. What was obeyed stands in the
progress, and so in each checkpoint, and in the events: an attempt that goes on from an earlier checkpoint obeys it at
the same step again. A change waits for all that were asked for before it, so their order stays.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from imgcls_lab import run_changes
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.distributed.process_group import ProcessGroup
from imgcls_lab.engine.reporting.recorder import Recorder
from imgcls_lab.run_changes import Change, ChangesFile


class Place(Protocol):
    """The part of a run's progress that changes read and write."""

    step: int
    epoch: int
    batch: int
    changed: dict[str, Any]  # the settings that were changed
    changes: int  # number of the last change that was obeyed


class Changes:
    """What a run is asked to change. config: with all that was obeyed until now."""

    def __init__(self, config: TrainConfig, recorder: Recorder, progress: Place, group: ProcessGroup) -> None:
        self._begun_with = config
        self._recorder = recorder
        self._progress = progress
        self._group = group
        self._file = ChangesFile(recorder.folder)
        self._known: dict[int, Change] = {}  # by number
        self.config = run_changes.changed(config, progress.changed)
        if group.is_main:
            self._note(run_changes.obeyed_in(recorder.folder))

    def is_due(self) -> bool:
        """Whether something is to be changed before the next step. Only rank 0 knows."""
        if not self._group.is_main:
            return False
        try:
            self._note(self._file.news() or ())
        except ValueError:
            self._recorder.notice("What the run was asked to change cannot be read, so it goes on as it is.", "warning")
        return bool(self._known) and bool(self._due())

    def take(self) -> list[Change]:
        """What is to be changed now, the same in all processes, which call it at the same place."""
        due = self._due() if self._group.is_main else []
        return run_changes.parse(self._group.all_gather({"changes": run_changes.to_json(due)})[0]["changes"])

    def obey(self, change: Change) -> tuple[Any, Any]:
        """Change the config. Returns the value before and after. Raises ConfigError.

        Fewer epochs than have begun end the run with the one under way.
        """
        progress, value = self._progress, change.value
        if change.field == "epochs" and value is not None:
            value = max(value, progress.epoch + (progress.batch > 0))
        old = getattr(self.config, change.field)
        config = run_changes.changed(self._begun_with, {**progress.changed, change.field: value})
        new = getattr(config, change.field)
        progress.changed = {**progress.changed, change.field: new}
        progress.changes = change.number
        self.config = config
        return old, new

    def _note(self, changes: Iterable[Change]) -> None:
        """What was obeyed once keeps its value and step, whatever the file says of it."""
        for change in changes:
            self._known.setdefault(change.number, change)

    def _due(self) -> list[Change]:
        due = []
        for number in sorted(number for number in self._known if number > self._progress.changes):
            change = self._known[number]
            if change.step is not None and change.step > self._progress.step:
                break
            due.append(change)
        return due

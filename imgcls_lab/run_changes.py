"""Settings that people change while a run trains: what was asked for, and at which step each change was obeyed.

The store numbers what is asked for, the executor writes it into the folder (`changes.json`), and the engine obeys it
before its next step and says so by an event (`Changed`). Events and checkpoints are the truth of what was obeyed: a
later attempt obeys the same changes at the same steps again. Torch-free.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import ACTIVE, AnyEvent, Changed, RunState, read_events
from imgcls_lab.run_paths import read_plain

MAX_RUN_CHANGES = 1000  # of one run
Number = Annotated[int, Field(ge=1)]


# Fields of a config that can be changed while a run trains: they are read at each step, or at the end of an epoch.
FIELDS = ("lr", "epochs", "early_stopping_patience", "save_every_epochs", "log_every")


def sentence(field: str, old: float | None, new: float | None) -> str:
    """A change in words: “Learning rate 0.0003 → 0.0001”."""
    return f"{title_of(field)} {text_of(field, old)} → {text_of(field, new)}"


def title_of(field: str) -> str:
    return TrainConfig.model_fields[field].title or field


def text_of(field: str, value: float | None) -> str:
    """A value as people read it; that of an empty field is its label, such as “never”."""
    if value is not None:
        return f"{value:g}"
    extra = TrainConfig.model_fields[field].json_schema_extra
    labels = extra.get("labels") if isinstance(extra, dict) else None
    return str(labels.get("", "none")) if isinstance(labels, dict) else "none"


class Change(BaseModel):
    """One change. number: from 1, in the order in which they were asked for.

    step: optimizer steps after which it is obeyed; None: before the next one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: Number
    field: str
    value: int | float | None
    step: Annotated[int, Field(ge=0)] | None = None


_LIST: TypeAdapter[list[Change]] = TypeAdapter(Annotated[list[Change], Field(max_length=MAX_RUN_CHANGES)])


def changed(config: TrainConfig, values: Mapping[str, Any]) -> TrainConfig:
    """A config with changes, validated anew. Raises ConfigError."""
    return config.with_changes(**values) if values else config


def changes_at_steps(events: Iterable[AnyEvent]) -> list[Change]:
    """The changes that a run has obeyed, in their order, each with its step; each once, however often it was obeyed.

    events: of all of the run's attempts.
    """
    found: dict[int, Change] = {}
    for event in events:
        if isinstance(event, Changed) and event.field in FIELDS and event.number not in found:
            found[event.number] = Change(number=event.number, field=event.field, value=event.new, step=event.step)
    return [found[number] for number in sorted(found)]


def obeyed_in(folder: Path) -> list[Change]:
    """The same, of a run's folder."""
    return changes_at_steps(event for path in run_layout.event_files(folder) for event in read_events(path)[0])


def with_obeyed(entries: Sequence[Mapping[str, Any]], event: Changed) -> list[dict[str, Any]]:
    """A run's changes as the database has them, with one that was obeyed just now, or again.

    An event that no run of ours writes changes nothing: the folder may come from elsewhere.
    """
    if event.field not in FIELDS or not 1 <= event.number <= MAX_RUN_CHANGES:
        return [*map(dict, entries)]
    found: dict[int, dict[str, Any]] = {entry["number"]: dict(entry) for entry in entries}
    entry = found.setdefault(event.number, {"number": event.number})
    entry |= {"field": event.field, "old": event.old, "new": event.new, "step": event.step, "epoch": event.epoch}
    entry["obeyed_at"] = entry.get("obeyed_at") or event.t
    return [found[number] for number in sorted(found)]


def in_force(entries: Sequence[Mapping[str, Any]], state: RunState) -> dict[str, Any]:
    """What a run trains with otherwise than it was submitted, by field. entries: its changes as the database has them.

    What a run that has ended did not obey is left out.
    """
    waits = state in ACTIVE
    return {entry["field"]: entry["new"] for entry in entries if entry.get("step") is not None or waits}


def change_results(entries: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a run has obeyed a change that affects its result: then it repeats no run of another seed."""
    return any(entry.get("step") is not None and _affects_result(entry["field"]) for entry in entries)


def _affects_result(field: str) -> bool:
    extra = TrainConfig.model_fields[field].json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("affects_result"))


def to_json(changes: Sequence[Change]) -> str:
    return json.dumps([change.model_dump() for change in changes])


def parse(text: str | bytes) -> list[Change]:
    """Those of fields that can be changed. Raises ValueError for what is no list of changes."""
    return [change for change in _LIST.validate_json(text) if change.field in FIELDS]


def write(folder: Path, changes: Sequence[Change]) -> None:
    """Tell the engine, which sees a whole file or the one before. Raises OSError."""
    run_layout.write_atomic(folder / run_layout.CHANGES, to_json(changes))


class ChangesFile:
    """What is asked for in a run's folder, read again when the file was replaced."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = os.fspath(folder / run_layout.CHANGES)
        self._stamp: tuple[int, int, int] | None = None

    def news(self) -> list[Change] | None:
        """All that is asked for; None: the same as before, or nothing. Raises ValueError for a damaged file, once."""
        try:
            stat = os.stat(self._path, follow_symlinks=False)
        except OSError:
            return None
        stamp = (stat.st_ino, stat.st_mtime_ns, stat.st_size)
        if stamp == self._stamp:
            return None
        self._stamp = stamp
        try:
            return parse(read_plain(self._folder, run_layout.CHANGES))
        except OSError:  # replaced, or removed, meanwhile
            self._stamp = None
            return None


def asked(entries: Sequence[Mapping[str, Any]]) -> list[Change]:
    """What the database has of a run's changes, as the engine reads it."""
    return [Change(number=entry["number"], field=entry["field"], value=entry["new"]) for entry in entries]

"""How the code of a recorded action names what the action is about: by names, and by variables of the notebook.

A run that the notebook launches is held by a variable, since its next execution makes a run with another id. Runs that
were there before are named by their ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from imgcls_lab.batch.sweep_view import sweep_view
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import ENDED, LIVE, RunState
from imgcls_lab.run_layout import BEST, LAST
from imgcls_lab.schemas import CodeRequest, RunDetail
from imgcls_lab.server.handlers import number_of
from imgcls_lab.server.paths import allowed_config
from imgcls_lab.server.python_source import Source, call, literal
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

Ids = list[str]  # in the path of a request


class Recording:
    """What is known while the code of one action is written. `waits`: lines that come before the action itself."""

    def __init__(self, store: Store, settings: Settings, asked: CodeRequest, notebook: Path | None = None) -> None:
        """notebook: the file of the one that the action executes."""
        self.store = store
        self.settings = settings
        self.notebook = notebook
        self.waits: list[str] = []
        self.ended = list(asked.ended)
        self.variable = ""
        self._variables = asked.variables
        self._taken = {*asked.variables.values(), *asked.taken}

    # ── runs ────────────────────────────────────────────────────────────────────────────────────────────────
    def new(self, stem: Literal["run", "runs", "sweep"] = "run") -> str:
        """The variable of the run that the action makes; "runs": of all that it makes, which a list holds."""
        named = (re.fullmatch(rf"{stem}_(\d+)(\[\d+\])?", name) for name in self._taken)
        self.variable = f"{stem}_{max((int(found[1]) for found in named if found), default=0) + 1}"
        return self.variable

    def run(self, run_id: str, *, ready: bool = False) -> Source:
        """A run as source. ready: the notebook waits until the run has come as far as it has now.

        Raises NotFoundError.
        """
        view = self.store.runs.get(run_id)
        name = self._variables.get(view.id)
        if name is None:
            return self._trial(view) or call("lab.run", view.id)
        handle = f"{name}.run" if name.startswith("sweep_") else name
        if ready:
            self._wait_for(handle, view)
        return Source(handle)

    def runs(self, ids: Iterable[str], *, ready: bool = False) -> list[Source]:
        return [self.run(run_id, ready=ready) for run_id in dict.fromkeys(ids)]

    def checkpoint(self, run_id: str, name: str, *, by_step: bool = False) -> str:
        """A checkpoint by what it is of its run: another execution may write it in another attempt.

        by_step: the call takes “step 340”, too.
        """
        view = self.store.runs.get(run_id)
        found = next((saved for saved in view.checkpoints if saved.name == name), None)
        if found is None:
            return name  # a link already, or an epoch
        link = next((link for link in (BEST, LAST) if link in found.links), None)
        if link is not None and view.state in ENDED:
            return link
        return f"step {found.step}" if by_step else name

    def resumed(self, run_id: str) -> None:
        """A run is queued again: what it is needed for next waits for its end anew."""
        self.ended = [known for known in self.ended if known != run_id]

    def _trial(self, view: RunDetail) -> Source | None:
        """A trial of a sweep that the notebook launches, by its number."""
        parent = self._variables.get(view.parent_id or "")
        if parent is None or not parent.startswith("sweep_"):
            return None
        sweep = self.store.runs.get(view.parent_id or "")
        self._wait_for(f"{parent}.run", sweep)
        for trial in sweep_view(self.store, sweep.id).trials:
            seed = next((run.seed for run in trial.replicates if run.run_id == view.id), None)
            if seed is not None:
                return Source(f'lab.run({parent}.results(each_run=True)["run"][{trial.number}, {seed}])')
            if trial.run_id == view.id:
                return Source(f'lab.run({parent}.results()["run"][{trial.number}])')
        return None

    def _wait_for(self, handle: str, view: RunDetail) -> None:
        if view.state in (*ENDED, RunState.LOST):
            if view.id not in self.ended:
                check = False if view.state in (RunState.FAILED, RunState.LOST) else None
                self.waits.append(call(f"{handle}.wait", check=check))
                self.ended.append(view.id)
        elif view.state in LIVE and view.state is not RunState.STARTING:
            self.waits.append(call(f"{handle}.wait", epoch=int(view.epoch)))

    # ── entries of the registries ───────────────────────────────────────────────────────────────────────────
    def dataset(self, number: int) -> Source:
        return call("lab.dataset", self.store.datasets.get(number).name)

    def config(self, number: int) -> Source:
        return Source(f"lab.configs()[{literal(self.store.configs.get(number).name)}]")

    def model(self, number: int | None) -> str | None:
        return None if number is None else self.store.models.get(number).name

    def project(self, number: int | None) -> str | None:
        return None if number is None else self.store.projects.get(number).name


def changed(view: object, edit: BaseModel) -> dict[str, Any]:
    """The fields of an edit that are not as the entry has them."""
    given = {field: getattr(edit, field) for field in type(edit).model_fields if field in edit.model_fields_set}
    return {field: value for field, value in given.items() if value != getattr(view, field)}


def config_source(recording: Recording, values: dict[str, Any]) -> Source:
    """A config as source: what differs from the defaults, paths absolute."""
    config = TrainConfig.parse(allowed_config(recording.settings, values))
    return call("lab.TrainConfig", **config.differing())


def number(text: str) -> int:
    """The number of an entry in a path. Raises NotFoundError."""
    return number_of(text, "entry")


def not_null(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a config as keywords; one that is empty is named, too."""
    return {name: Source("None") if value is None else value for name, value in fields.items()}

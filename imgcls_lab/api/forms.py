"""`lab.form()`: the form of a run in a notebook, with Launch and the live plot under it.

Gives `widgets/form.py` the names that the store knows and the functions that check and launch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Unpack

from imgcls_lab import image_size
from imgcls_lab.api import context
from imgcls_lab.api.resolving import resolve_and_inspect
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_queue import launch
from imgcls_lab.api.saved_configs import configs
from imgcls_lab.config import ConfigFields, TrainConfig, takes_fields
from imgcls_lab.errors import InputError, Problem
from imgcls_lab.events import ACTIVE
from imgcls_lab.planning.preview import preview
from imgcls_lab.run_sentence import line
from imgcls_lab.settings import Settings
from imgcls_lab.store.claims import config_to_reuse

if TYPE_CHECKING:
    from imgcls_lab.store import Store
    from imgcls_lab.widgets.form import Plot, RunForm


@takes_fields()
def form(config: TrainConfig | Mapping[str, Any] | None = None, **fields: Unpack[ConfigFields]) -> RunForm:
    """A form that starts with `config`, else with the last run's, else with a saved config or data set.

    fields: settings that it starts with instead. Its `config` can be read, set and observed.

    >>> form = lab.form(config, lr=1e-3)
    >>> form.config.lr
    0.001
    """
    from imgcls_lab.widgets.form import RunForm

    store = context.store()
    start = dict(config.model_dump() if isinstance(config, TrainConfig) else config or _start(store))
    return RunForm({**start, **fields}, HomeDesk(context.settings(), store))


class HomeDesk:
    """What a form asks: of the store's registries, of the folder of images, of the queue."""

    def __init__(self, settings: Settings, store: Store) -> None:
        self._settings, self._store = settings, store

    def suggestions(self) -> dict[str, list[str]]:
        return {
            "root": [item.root for item in self._store.datasets.list()],
            "model_flavour": [item.flavour for item in self._store.models.list()],
        }

    def projects(self) -> list[str]:
        return [item.name for item in self._store.projects.list()]

    def check(self, config: TrainConfig) -> tuple[Sequence[Problem], Sequence[str]]:
        try:
            resolved, found = resolve_and_inspect(config, self._settings, self._store)
            planned = preview(resolved, found)
        except InputError as error:
            return error.problems or [Problem("", str(error))], ()
        size = image_size.advice(resolved, found)
        return (), [f"Steps: {planned.steps_text}.", *found.notes, *([size] if size else [])]

    def launch(self, config: TrainConfig, name: str | None, project: str | None) -> Run:
        return launch(config, name=name, project=project)

    def show(self, run: Run, plot: Plot) -> None:
        run._watch_in(plot)

    def standing(self, run: Run) -> tuple[str, bool]:
        """How a run stands, and whether it can be stopped. A handle of its own: another thread reads here."""
        view = Run(run.id, store=self._store).view
        return line(view), view.state in ACTIVE

    def saved(self) -> list[str]:
        return [*configs()]

    def load(self, name: str) -> TrainConfig:
        return configs()[name].config

    def save(self, name: str, config: TrainConfig) -> None:
        configs().save(name, config)


def _start(store: Store) -> dict[str, Any]:
    """What a new form starts with."""
    last = store.runs.list(limit=1).items
    if last:
        return config_to_reuse(store.runs.get(last[0].id))
    saved = store.configs.list()
    if saved:  # others can change it where they share the database
        return saved[0].config | ({} if store.own_rows is None else {"plugins": []})
    known = store.datasets.list()
    return {"root": known[0].root} if known else {}

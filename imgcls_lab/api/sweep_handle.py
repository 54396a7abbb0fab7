"""Sweeps: `lab.sweep` queues one, `lab.Sweep(run_id)` is a queued one. Its driver is a run of the executor."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, overload

from imgcls_lab import image_size
from imgcls_lab.api import context
from imgcls_lab.api.galleries import Shown
from imgcls_lab.api.progress import in_notebook
from imgcls_lab.api.resolving import no_config, print_notes, resolve_and_inspect
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_queue import common_fields
from imgcls_lab.api.sweep_cells import Look, SweepCell
from imgcls_lab.api.tables import table_html
from imgcls_lab.api.validation import project_id
from imgcls_lab.batch import notebook_source as notebooks
from imgcls_lab.batch.submit_sweep import submit_sweep
from imgcls_lab.batch.sweep_spec import check_space, corners, make_request, trial_config, trials_budget
from imgcls_lab.batch.sweep_view import request_of, sweep_view
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.evaluation import format_metric
from imgcls_lab.errors import ConfigError, InputError, NotFoundError, Problem
from imgcls_lab.events import RunState
from imgcls_lab.executor import client
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import Choices, Range, RunView, SweepRequest, SweepView
from imgcls_lab.settings import Settings
from imgcls_lab.terminal import inert

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.store import Store

SWEEP_TYPE = "application/vnd.imgcls.sweep+json"
VERSION = 1
DONE = {"succeeded", "pruned"}  # states of a trial that has a result
Space = Mapping[str, Any]


def sweep(
    base: TrainConfig | Mapping[str, Any],
    space: Space,
    *,
    strategy: str = "grid",
    metric: str = "accuracy",
    budget: int | Mapping[str, int] | None = None,
    notebook: str | Path | None = None,
    pruner: str | None = None,
    eta: int | None = None,
    min_epochs: int | None = None,
    direction: str = "auto",
    replicates: int = 1,
    parallel: int | None = None,
    seed: int = 0,
    device: str | None = None,
    name: str | None = None,
    project: str | None = None,
    notes: str = "",
    priority: int = 0,
    idempotency_key: str | None = None,
) -> Sweep:
    """Queue a sweep of trainings, or with `notebook` of a notebook; it goes on after this process ends.

    base: what all trials share, a config (of a run: `run.config`) or the notebook's parameters. space: by name
    `[1e-4, 1e-3]` for these values, `(1e-5, 1e-2)` or `{"low": 1e-5, "high": 1e-2, "log": True}` for a range. strategy:
    grid, random, tpe, asha (random with early ends), halving or hyperband (the best 1/eta of a rung go on, at first
    after min_epochs or more). budget: trials, or `{"trials": n, "epochs": n}`. pruner: none, median or asha.
    replicates: runs of each trial, which differ by their seed; the value of a trial is their mean, and the best trial
    is the best mean. Trials are ordinary runs; a trial that another sweep has run already is reused. Raises InputError,
    ConfigError and DataError before anything is queued.

    >>> grid = lab.sweep(config, {"lr": [1e-4, 5e-4]}, name="grid")
    >>> grid.stop().name
    'grid'
    """
    search = {
        "strategy": strategy, "metric": metric, "direction": direction, "pruner": pruner, "eta": eta,
        "min_epochs": min_epochs, "replicates": replicates, "parallel": parallel, "seed": seed,
    }  # fmt: skip
    request = make_request(
        base=_shared(base),
        space=space,
        notebook=str(Path(notebook).expanduser().absolute()) if notebook is not None else None,
        device=device,
        **search,
        **_budgets(budget),
        **common_fields(
            context.store(),
            name=name, project=project, notes=notes, priority=priority, idempotency_key=idempotency_key,
        ),
    )  # fmt: skip
    return launch_sweep(request)


def _shared(base: object) -> dict[str, Any]:
    """What all trials share, as a request has it. Raises ConfigError for what is no mapping."""
    if isinstance(base, TrainConfig):
        return base.model_dump(mode="json")
    if not isinstance(base, Mapping):
        raise no_config(base)
    return dict(base)


def sweeps(project: str | None = None, limit: int = 50, *, where: str = "") -> Sweeps:
    """The sweeps, newest first, of all projects or of one. where: a query as `lab.runs` takes it.

    >>> lab.sweeps(where="name=rates state=succeeded").frame["trials"].tolist()
    [2]
    """
    store = context.store()
    page = store.runs.list(
        project_id=project_id(store, project) if project else None, where=f"kind=sweep {where}".strip(), limit=limit
    )
    return Sweeps([Sweep(run.id, store=store) for run in page.items], page.total)


class Sweeps(Shown, Sequence["Sweep"]):
    """Some sweeps; total: of all that match. frame: a row each."""

    def __init__(self, items: Sequence[Sweep], total: int) -> None:
        self.items, self.total = items, total
        self.title = f"{len(items)} of {counted(total, 'sweep')}" if total > len(items) else counted(total, "sweep")

    @overload
    def __getitem__(self, index: int) -> Sweep: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sweep]: ...
    def __getitem__(self, index: int | slice) -> Sweep | Sequence[Sweep]:
        return self.items[index]

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Index `id`; columns name, project, state, strategy, space, trials, done, metric, best, created."""
        import pandas as pd

        rows = [_row(item.run.view, item.view) for item in self.items]
        return pd.DataFrame(rows, index=pd.Index([item.id for item in self.items], name="id"))


def _row(run: RunView, view: SweepView) -> dict[str, Any]:
    import pandas as pd

    return {
        "name": run.name,
        "project": run.project,
        "state": run.state.value,
        "strategy": view.strategy,
        "space": ", ".join(view.space),
        "trials": len(view.trials),
        "done": sum(trial.state in DONE for trial in view.trials),
        "metric": view.metric,
        "best": next((trial.value for trial in view.trials if trial.number == view.best), None),
        "created": pd.Timestamp(run.created_at, unit="s", tz="UTC").floor("s"),
    }


def _budgets(budget: object) -> dict[str, Any]:
    """A budget as the fields of a request. Raises InputError for what is neither a number nor a mapping."""
    if isinstance(budget, Mapping):
        return dict(budget)
    if budget is None:
        return {}
    if isinstance(budget, bool) or not isinstance(budget, int):
        text = f'must be a number of trials, or {{"trials": n, "epochs": n}}, not “{budget}”.'
        raise InputError(f"This sweep cannot be used. budget: {text}", [Problem("budget", text[0].upper() + text[1:])])
    return {"trials": budget}


def launch_sweep(request: SweepRequest) -> Sweep:
    """Queue a sweep as it was read from a file or a form. Raises as `sweep` does."""
    settings, store = context.settings(), context.store()
    check_space(request)
    source = notebooks.read(request.notebook) if request.notebook is not None else None
    if source is None:
        request = _resolved(request, settings, store)
    view = submit_sweep(store, request, source)
    print_notes(*view.warnings)
    client.ensure(settings)
    return Sweep(view.id, store=store)


def _resolved(request: SweepRequest, settings: Settings, store: Store) -> SweepRequest:
    """With absolute folders: names are looked up once, not by each trial."""
    first = trial_config(request, next(corners(request.space)))
    resolved, found = resolve_and_inspect(first, settings, store)
    print_notes(*found.notes, image_size.advice(resolved, found))
    fixed = {
        name: getattr(resolved, name)
        for name in ("root", "model_flavour", "ckpt_dir", "tb_root", "plugins")
        if name not in request.space and getattr(resolved, name)
    }
    return request.model_copy(update={"base": {**request.base, **fixed}})


def _runs_frame(view: SweepView) -> pd.DataFrame:
    """A row a run of a sweep with replicates."""
    import pandas as pd

    each = [(trial, run) for trial in view.trials for run in trial.replicates]
    rows = [
        {
            **trial.params,
            "state": run.state,
            view.metric: run.value,
            "seconds": run.ran if run.ended_at else None,
            "run": run.run_id,
        }
        for trial, run in each
    ]
    index = pd.MultiIndex.from_tuples([(trial.number, run.seed) for trial, run in each], names=["trial", "seed"])
    return pd.DataFrame(rows, index=index, columns=[*view.space, "state", view.metric, "seconds", "run"])


class Sweep:
    """One sweep: its run, which drives it, and its trials, which are runs too."""

    def __init__(self, run_id: str, *, store: Store | None = None) -> None:
        """The sweep of a run's id or the beginning of one. Raises NotFoundError."""
        self._store = store or context.store()
        self.run = Run(run_id, store=self._store)
        self.request = request_of(self.run.view)

    @property
    def id(self) -> str:
        return self.run.id

    @property
    def name(self) -> str:
        return self.run.name

    @property
    def state(self) -> RunState:
        return self.run.state

    @property
    def view(self) -> SweepView:
        """The matrix of its trials as of now."""
        return sweep_view(self._store, self.id)

    @property
    def best(self) -> Run:
        """The run of the best trial so far, of replicates the best. Raises NotFoundError before the first result."""
        view = self.view
        for trial in view.trials:
            if trial.number == view.best and trial.run_id is not None:
                return Run(trial.run_id, store=self._store)
        raise NotFoundError(f"The sweep “{self.run.name}” has no result yet.")

    def results(self, *, each_run: bool = False) -> pd.DataFrame:
        """A row a trial, index `trial`: its parameters, state, value of the metric, epochs, seconds, and run.

        With rungs there is a column `rung`, from 1: to which it trains, at which it waits, or at which it was left.
        With replicates the value is their mean, its standard deviation stands in a column such as `accuracy sd`, and
        `replicates` is how many have a value. each_run: a row a run instead, index `trial` and `seed`.

        >>> sweep.results()["state"].tolist()
        ['succeeded', 'succeeded']
        """
        import pandas as pd

        view = self.view
        if each_run and view.replicates > 1:
            return _runs_frame(view)
        spread = f"{view.metric} sd"
        rows = [
            {
                **trial.params,
                "state": trial.state,
                view.metric: trial.value,
                spread: trial.deviation,
                "replicates": sum(each.value is not None for each in trial.replicates),
                "epochs": trial.curve[-1].epoch if trial.curve else 0,
                "rung": trial.rung,
                "seconds": trial.ran if trial.ended_at else None,
                "run": trial.run_id,
            }
            for trial in view.trials
        ]
        index = pd.Index([trial.number for trial in view.trials], name="trial")
        rung = ["rung"] if view.brackets else []
        several = [spread, "replicates"] if view.replicates > 1 else []
        columns = [*view.space, "state", view.metric, *several, "epochs", *rung, "seconds", "run"]
        return pd.DataFrame(rows, index=index, columns=columns)

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until it has ended, with a line of progress. Raises ImgclsError if it failed, TimeoutError.

        >>> sweep.wait(timeout=60).state
        <RunState.SUCCEEDED: 'succeeded'>
        """
        self.run.wait(timeout)
        return self

    def stop(self) -> Self:
        """End it and its trials after a checkpoint each; `fill` goes on from there.

        >>> grid = lab.sweep(config, {"lr": [3e-5]}, name="stopped")
        >>> grid.stop().name
        'stopped'
        """
        self.run.stop()
        return self

    def fill(self) -> Self:
        """Run the trials that are missing, have failed or were stopped. Raises ConflictError while it runs.

        >>> sweep.fill().wait(timeout=60).state
        <RunState.SUCCEEDED: 'succeeded'>
        """
        self.run.resume()
        return self

    def extend(
        self,
        space: Space | None = None,
        name: str | None = None,
        *,
        trials: int | None = None,
        replicates: int | None = None,
    ) -> Sweep:
        """A sweep over more values of the same parameters, of more trials, or of more replicates of each.

        It reuses the runs of this one.

        Raises ConfigError where nothing is new.

        >>> wider = sweep.extend({"lr": [5e-3]})
        >>> wider.stop().name
        'rates'
        """
        merged: dict[str, Choices | Range] = dict(self.request.space)
        for key, item in make_request(base={}, space=space).space.items() if space is not None else ():
            before = merged.get(key)
            if isinstance(before, Choices) and isinstance(item, Choices):
                merged[key] = Choices(values=list(dict.fromkeys([*before.values, *item.values])))
            else:
                merged[key] = item
        known = trials_budget(self.request)
        more = (replicates or self.request.replicates) - self.request.replicates
        if merged == self.request.space and (trials is None or trials == known) and more == 0:
            text = f"The sweep “{self.run.name}” has all of these values already. To run what is missing, fill it."
            raise ConfigError(text, [Problem("space", text)])
        if trials is not None and known is not None and trials < known:
            text = f"The sweep “{self.run.name}” has {known} trials; give more of them."
            raise ConfigError(text, [Problem("trials", text)])
        if more < 0:
            text = f"The sweep “{self.run.name}” has {self.request.replicates} replicates of each trial; give more."
            raise ConfigError(text, [Problem("replicates", text)])
        view = self.run.view
        update = {
            "space": merged, "name": name or view.name, "project_id": view.project_id, "notes": view.notes,
            "priority": view.priority, "trials": trials or self.request.trials,
            "replicates": self.request.replicates + more,
        }  # fmt: skip
        return launch_sweep(make_request(**{**dict(self.request), **update}))

    def report(self, path: str | Path) -> Path:
        """Write an executed notebook with its tables and plots; it needs only pandas to run again.

        How the plots are drawn stands in it, too.

        >>> sweep.report("rates.ipynb").name
        'rates.ipynb'
        """
        from imgcls_lab.batch.sweep_report import write_report

        return write_report(self.view, self.results(), Path(path).expanduser().absolute())

    def __repr__(self) -> str:
        try:
            view = self.view
        except NotFoundError:
            return f"<Sweep {self.id}: {inert(self.run.name)} was deleted>"
        done = sum(trial.state in DONE for trial in view.trials)
        holes = f", {view.holes} to fill" if view.holes else ""
        best = next((trial for trial in view.trials if trial.number == view.best), None)
        shown = (
            f", best {format_metric(view.metric, best.value, best.deviation)}"
            if best and best.value is not None
            else ""
        )
        return f"<Sweep {self.id}: {view.name}, {done} of {counted(len(view.trials), 'trial')}{shown}{holes}>"

    def _ipython_display_(self) -> None:
        """As the last expression of a cell it is live, and its table in the notebook is brought up to date."""
        if in_notebook():
            self.run._show_table(SweepCell(self._look))
        else:
            print(repr(self))

    def _look(self) -> Look:
        return Look(self.run.state, self._repr_mimebundle_())

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Live and from the server in JupyterLab with the extension; elsewhere the table of its results as of now."""
        try:
            table = table_html(self.results())
        except NotFoundError:  # it was deleted
            return {"text/plain": repr(self)}
        return {
            "text/plain": repr(self),
            "text/html": f"<p>{html.escape(repr(self)[1:-1])}</p>{table}",
            SWEEP_TYPE: {"run_id": self.id, "version": VERSION},
        }

"""`imgcls-lab run-notebook`, `sweep`, `trials` and `fill`: queue notebooks and sweeps."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from imgcls_lab.cli.output import Json, print_json, print_table, program, queued, say
from imgcls_lab.cli.train import After, Host, Key, Name, Project, run_options
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.schemas import ParameterView, SweepView, TrialView

SweepId = Annotated[str, typer.Argument(metavar="SWEEP", help="Id of the sweep's run, or the beginning of one.")]
PARAMETER = ("-p", "--parameter")
MAX_REASONS = 5  # of failed trials, under their table


class _Pairs(TyperCommand):
    """Takes `-p NAME VALUE`, as papermill does; Typer's options have one value."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        joined, rest = [], iter(args)
        for word in rest:
            joined.append(word)
            if word in PARAMETER:
                name = next(rest, "")
                value = next(rest, None)
                if value is None:
                    raise InputError(f"“{word} {name}” is no parameter; write {word} NAME VALUE, such as -p lr 1e-4.")
                joined.append(f"{name}={value}")
        return super().parse_args(ctx, joined)


def run_notebook(  # noqa: PLR0917
    notebook: Annotated[Path, typer.Argument(metavar="NOTEBOOK", help="A notebook of this machine.")],
    parameters: Annotated[
        list[str] | None,
        typer.Option(*PARAMETER, metavar="NAME VALUE", help="A parameter it declares. Repeatable."),
    ] = None,
    listed: Annotated[bool, typer.Option("--parameters", help="List the parameters it declares, and stop.")] = False,
    name: Name = None,
    project: Project = None,
    device: Annotated[str | None, typer.Option(help="auto, cuda, cpu or part of a GPU's name.")] = None,
    notes: Annotated[str, typer.Option(help="Notes of the run.")] = "",
    priority: Annotated[int, typer.Option(help="A run with a higher priority starts first.")] = 0,
    after: After = None,
    host: Host = None,
    key: Key = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 if it failed.")] = False,
    as_json: Json = False,
) -> None:
    """Queue a notebook; papermill executes it in the background, on a device of its own."""
    from imgcls_lab import api
    from imgcls_lab.batch import notebook_source
    from imgcls_lab.batch.parameters import read_texts

    source = notebook_source.read(notebook)
    if listed:
        _print_parameters(source.parameters, as_json)
        return
    given = read_texts(source.parameters, (pair.split("=", 1) for pair in parameters or ()))
    shared = run_options(name=name, project=project, notes=notes, priority=priority, after=after, key=key)
    since = time.time()
    run = api.launch_notebook(notebook, given, device=device, host=host, **shared)
    queued(run, f"Follow it: {program()} logs -f {run.id}", since=since, wait=wait, as_json=as_json)
    if wait and not as_json:
        say(f"Executed notebook: {run.notebook}")


def _print_parameters(parameters: list[ParameterView], as_json: bool) -> None:
    if as_json:
        print_json(parameters)
        return
    rows = [(item.name, item.kind, item.source, item.help) for item in parameters]
    print_table(["parameter", "kind", "default", "meaning"], rows, "It declares no parameters.")


def sweep(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The sweep as YAML: base, space, strategy, metric ...")],
    replicates: Annotated[
        int | None,
        typer.Option(help="Runs of each trial, with a seed each; judged by their mean. By default as the file says."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 if it failed.")] = False,
    as_json: Json = False,
) -> None:
    """Queue a sweep. Its trials are ordinary runs, as many at once as devices allow."""
    from imgcls_lab.api.sweep_handle import launch_sweep
    from imgcls_lab.batch.sweep_file import read_file

    given = {} if replicates is None else {"replicates": replicates}
    started = launch_sweep(read_file(file, **given))
    if not as_json:
        say(f"Queued as {started.id} ({started.run.name}).")
    if wait:
        started.wait()
    if as_json:
        print_json(started.view)
    elif wait:
        _print_trials(started.view)
    else:
        say(f"Follow it: {program()} trials {started.id}")


def trials(
    sweep_id: SweepId,
    runs: Annotated[bool, typer.Option("--runs", help="List each replicate under its trial.")] = False,
    as_json: Json = False,
) -> None:
    """List the trials of a sweep, the best first; of replicates mean ± standard deviation."""
    from imgcls_lab.api.sweep_handle import Sweep

    view = Sweep(sweep_id).view
    if as_json:
        print_json(view)
    else:
        _print_trials(view, unfolded=runs)


def fill(
    sweep_id: SweepId,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 if it failed.")] = False,
) -> None:
    """Run what is missing of a sweep: trials that failed, were stopped, were deleted or never ran."""
    from imgcls_lab.api.sweep_handle import Sweep

    there = Sweep(sweep_id)
    count = there.view.holes
    there.fill()
    queued = f"{counted(count, 'trial is', 'trials are')} queued again."
    say(queued if count else "There is nothing to fill.")
    if wait:
        there.wait()


def _print_trials(view: SweepView, *, unfolded: bool = False) -> None:
    """unfolded: with a line for each run of a trial with replicates."""
    from imgcls_lab.config.evaluation import METRIC_TITLES

    def order(trial: TrialView) -> float:
        if trial.value is None:
            return float("inf")
        return -trial.value if view.higher_is_better else trial.value

    several = view.replicates > 1
    rows: list[tuple[object, ...]] = []
    for trial in sorted(view.trials, key=order):
        done = sum(run.value is not None for run in trial.replicates)
        rows.append(
            (
                trial.number,
                *("–" if value is None else str(value) for value in (trial.params.get(name) for name in view.space)),
                trial.state,
                _value(view, trial.value, trial.deviation),
                *([f"{done} of {view.replicates}"] if several else []),
                trial.curve[-1].epoch if trial.curve else 0,
                *([trial.rung or "–"] if view.brackets else []),
                trial.run_id or "–",
            )
        )
        for run in trial.replicates if unfolded else ():
            blank = [""] * len(view.space)
            rows.append(("", *blank, run.state, _value(view, run.value), f"seed {run.seed}", "", run.run_id or "–"))
    title = METRIC_TITLES.get(view.metric, view.metric)
    columns = ["trial", *view.space, "state", title, *(["replicates"] if several else []), "epochs"]
    print_table([*columns, *(["rung"] if view.brackets else []), "run"], rows, "No trials yet.")
    if view.holes:
        failed = [trial for trial in view.trials if trial.hole and trial.message]
        for trial in failed[:MAX_REASONS]:
            say(f"Trial {trial.number}: {trial.message}")
        if len(failed) > MAX_REASONS:
            say(f"{len(failed) - MAX_REASONS} more say why with --json.")
        what = "1 of them is a hole" if view.holes == 1 else f"{view.holes} of them are holes"
        say(f"{what}: {program()} fill {view.run_id}")


def _value(view: SweepView, value: float | None, deviation: float | None = None) -> str:
    from imgcls_lab.config.evaluation import METRIC_TITLES, format_metric

    if value is None:
        return "–"
    return format_metric(view.metric, value, deviation).removeprefix(f"{METRIC_TITLES.get(view.metric, view.metric)} ")


def add_to(app: typer.Typer) -> None:
    for command in (sweep, trials, fill):
        app.command()(command)
    app.command("run-notebook", cls=_Pairs)(run_notebook)

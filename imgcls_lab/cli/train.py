"""`imgcls-lab train` and `launch`: a run in this process, a run in the queue."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from imgcls_lab.cli.output import (
    ConfigOption,
    Json,
    Set,
    print_json,
    program,
    queued,
    read_config,
    say,
    warn_unattended,
)

Name = Annotated[str | None, typer.Option(help="Name of the run.")]
Project = Annotated[str | None, typer.Option(help="Its project; made if there is none of this name.")]
After = Annotated[
    list[str] | None, typer.Option(help="Start after this run has succeeded; cancelled if it fails. Repeatable.")
]
Host = Annotated[str | None, typer.Option(help="The host that it must run on.")]
Key = Annotated[
    str | None,
    typer.Option(help="Any text of 8 characters or more: the same command with this key gives the same run."),
]


def run_options(*, after: list[str] | None, key: str | None, **options: Any) -> dict[str, Any]:
    """The options of `launch` and `run-notebook`, as `lab.launch` and `lab.launch_notebook` name them."""
    return {**options, "after": after or (), "idempotency_key": key}


def train(
    config: ConfigOption = None,
    settings: Set = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; the same command again resumes it. By default a new run in the home."),
    ] = None,
    name: Name = None,
    project: Project = None,
) -> None:
    """Train here and now, with live progress. Ctrl-C checkpoints and says how to go on."""
    from imgcls_lab import api
    from imgcls_lab.api import context
    from imgcls_lab.errors import ImgclsError
    from imgcls_lab.events import RunState
    from imgcls_lab.run_sentence import line

    store = None
    if out is None or (config is not None and not Path(config).expanduser().exists()):
        try:
            store = context.store()
        except ImgclsError as error:  # training needs no database
            say(f"Saved configs cannot be looked up: {error}", err=True)
    run = api.train(read_config(config, settings, store), name=name, project=project, out=out)
    if run.view.state is RunState.STOPPED:
        raise typer.Exit(130)
    say(line(run.view))
    say(f"Best model: {run.best_checkpoint}")


def launch(  # noqa: PLR0917
    config: ConfigOption = None,
    settings: Set = None,
    name: Name = None,
    project: Project = None,
    notes: Annotated[str, typer.Option(help="Notes of the run.")] = "",
    tag: Annotated[list[str] | None, typer.Option(help="A tag of the run. Repeatable.")] = None,
    priority: Annotated[int, typer.Option(help="A run with a higher priority starts first.")] = 0,
    after: After = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cuda, cpu or part of a GPU's name. By default as the config says.")
    ] = None,
    gpus: Annotated[int | None, typer.Option(help="How many GPUs of one host.")] = None,
    host: Host = None,
    replicates: Annotated[
        int | None,
        typer.Option(help="Queue so many runs, which differ by their seed alone; --json prints a list of them."),
    ] = None,
    key: Key = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 if it failed.")] = False,
    as_json: Json = False,
) -> None:
    """Queue a run; it trains in the background."""
    from imgcls_lab import api
    from imgcls_lab.api import context

    given = read_config(config, settings, context.store())
    shared = run_options(name=name, project=project, notes=notes, priority=priority, after=after, key=key)
    shared |= {"tags": tag or (), "device": device, "gpus": gpus, "host": host}
    if replicates is None:
        since = time.time()
        run = api.launch(given, **shared)
        queued(run, f"Follow it: {program()} logs -f {run.id}", since=since, wait=wait, as_json=as_json)
        return
    several = api.launch(given, replicates=replicates, **shared)
    if not as_json:
        for run in several:
            say(f"Queued as {run.id} ({run.name}).")
    if wait:
        several.wait()
    if as_json:
        print_json(several.refresh().views)
    elif wait:
        say(several.title())
    else:
        warn_unattended(several.views)
        say(f"Compare them: {program()} compare {' '.join(run.id for run in several)}")


def add_to(app: typer.Typer) -> None:
    app.command()(train)
    app.command()(launch)

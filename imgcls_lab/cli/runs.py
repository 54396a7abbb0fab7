"""`imgcls-lab runs | show | logs | stop | kill | resume | edit | delete`: runs that are there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.frame import Json, print_json, print_table, say

if TYPE_CHECKING:
    from imgcls_lab.wire import RunView

RunId = Annotated[str, typer.Argument(metavar="RUN", help="Id of the run, or the beginning of one.")]


def runs(  # noqa: PLR0917
    project: Annotated[str | None, typer.Option(help="Only those of this project.")] = None,
    state: Annotated[list[str] | None, typer.Option(help="Only those in this state. Repeatable.")] = None,
    text: Annotated[str | None, typer.Option("--search", help="Looked for in name, id, model, data and notes.")] = None,
    sort: Annotated[str, typer.Option(help="Column to sort by, or best.")] = "created_at",
    ascending: Annotated[bool, typer.Option("--ascending", help="Smallest first.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List runs, newest first."""
    from imgcls_lab import api
    from imgcls_lab.config.evaluation import figure

    found = api.runs(project, state or None, limit, text=text, sort=sort, descending=not ascending)
    if as_json:
        print_json(found.views)
        return
    rows = [
        (
            view.id,
            view.name,
            view.project,
            view.state.value,
            f"{view.epoch:.1f}/{view.epochs}" if view.epochs else "–",
            figure(view.best.metric, view.best.value) if view.best else "–",
            time.strftime("%Y-%m-%d %H:%M", time.localtime(view.created_at)),
        )
        for view in found.views
    ]
    columns = ["run", "name", "project", "state", "epochs", "best", "created"]
    print_table(columns, rows, "No runs. `imgcls-lab demo` makes one.")
    if found.total > len(found):
        say(f"{len(found)} of {found.total} runs; --limit shows more.")


def show(run_id: RunId, as_json: Json = False) -> None:
    """Show one run: where it stands, its last figures, its checkpoints."""
    from imgcls_lab import api
    from imgcls_lab.api.progress import duration, line

    view = api.run(run_id).view
    if as_json:
        print_json(view)
        return
    say(line(view))
    took = (view.ended_at or time.time()) - view.started_at if view.started_at else None
    devices = ", ".join(view.devices)
    facts = {
        "run": view.id,
        "project": view.project,
        "state": view.state.value,
        "data": view.root,
        "model": view.model_flavour,
        "device": f"{devices} on {view.host}" if devices and view.host else devices or "–",
        **({"after": ", ".join(view.after)} if view.after else {}),
        **({"waits": view.message} if view.state.value == "queued" and view.message else {}),
        "steps": f"{view.step} of {view.total_steps}" if view.total_steps else "–",
        "time": duration(took) if took is not None else "–",
        "attempts": str(len(view.attempts)),
        "folder": view.folder,
    }
    for tag, figure in sorted(view.latest.items()):
        facts[tag] = "not finite" if figure is None else f"{figure:.6g}"
    width = max(len(name) for name in facts)
    for name, value in facts.items():
        say(f"  {name:<{width}}  {value}")
    for item in view.checkpoints:
        links = f"  ({', '.join(item.links)})" if item.links else ""
        say(f"  {'checkpoint':<{width}}  {item.name}{links}")


def logs(
    run_id: RunId,
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on until the run has ended.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="How many of the last lines.")] = 50,
) -> None:
    """Print what a run printed."""
    from imgcls_lab import api
    from imgcls_lab.api.handle import OVER

    run = api.run(run_id)
    chunk = run.output()
    text = "".join(chunk.text.splitlines(keepends=True)[-tail:]) if tail else ""
    _say_log(text)
    if text and not text.endswith("\n") and not follow:
        say()
    while follow:
        over = run.state in OVER
        while (chunk := run.output(chunk.end)).text:
            _say_log(chunk.text)
        if over:
            break
        time.sleep(0.5)


def _say_log(text: str) -> None:
    """A line that was overwritten, as of a progress bar, comes as lines of its own."""
    say(text.replace("\r\n", "\n").replace("\r", "\n"), newline=False)


def stop(run_id: RunId, wait: Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")] = False) -> None:
    """Ask a run to end after a checkpoint; it can be resumed."""
    from imgcls_lab import api

    run = api.run(run_id).stop()
    if wait:
        run.wait()
    _say(run.view)


def kill(run_id: RunId) -> None:
    """End a run now, without a checkpoint."""
    from imgcls_lab import api

    _say(api.run(run_id).kill().view)


def resume(run_id: RunId) -> None:
    """Queue a stopped or failed run again; it goes on exactly where its last checkpoint is."""
    from imgcls_lab import api

    _say(api.run(run_id).resume().view)


def edit(
    run_id: RunId,
    name: Annotated[str | None, typer.Option(help="A new name.")] = None,
    notes: Annotated[str | None, typer.Option(help="New notes.")] = None,
    priority: Annotated[int | None, typer.Option(help="Of a higher priority, a run goes before others.")] = None,
) -> None:
    """Change name, notes or priority of a run."""
    from imgcls_lab import api

    _say(api.run(run_id).edit(name=name, notes=notes, priority=priority).view)


def delete(run_id: RunId, yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False) -> None:
    """Delete a run with its metrics and its folder."""
    from imgcls_lab import api

    run = api.run(run_id)
    if not yes:
        typer.confirm(f"Delete {run.name} and {run.folder}?", abort=True)
    run.delete()
    say(f"Deleted {run.id}.")


def _say(view: RunView) -> None:
    from imgcls_lab.api.progress import line

    asked = f"; asked to {view.desired.value}" if view.desired.value != "run" and view.ended_at is None else ""
    say(f"{line(view)}{asked}.")


def add_to(app: typer.Typer) -> None:
    for command in (runs, show, logs, stop, kill, resume, edit, delete):
        app.command()(command)

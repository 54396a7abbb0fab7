"""`imgcls-lab audit`, and the look at the files after a data set was added: progress, then the problems as a table."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say
from imgcls_lab.plurals import counted, percent

if TYPE_CHECKING:
    from imgcls_lab.api.audits import Audit, Look
    from imgcls_lab.schemas import AuditView, ProblemView

EXAMPLES = 3  # of a kind, in the table
FIRST = 5  # problems that are shown while the audit runs
TITLES = {
    "unreadable": "unreadable",
    "not_taken": "not taken",
    "copy": "copies",
    "look_alike": "look-alikes",
    "near_duplicate": "near duplicates",
    "dark": "dark",
    "bright": "bright",
    "blurred": "blurred",
    "low_information": "low information",
    "odd_size": "odd size",
    "odd_shape": "odd shape",
    "greyscale": "greyscale",
    "label_error": "label errors",
    "outlier": "outliers",
}


def audit(  # noqa: PLR0917
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="Name, number or folder of a registered data set.")],
    model: Annotated[str | None, typer.Option(help="A registered model that gives the features.")] = None,
    run: Annotated[str | None, typer.Option(help="A run whose best checkpoint gives the features.")] = None,
    revision: Annotated[int | None, typer.Option(min=0, help="Revision of the data set; 0: the folders.")] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda or part of a GPU's name.")] = None,
    map_file: Annotated[
        Path | None, typer.Option("--map", metavar="FILE", help="Write the map there, as Parquet for Embedding Atlas.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Look for problems in a data set: unreadable files, copies, quality; with a model also labels and outliers.

    Exit 1 if the audit fails or is stopped. Interrupting ends the wait; the audit goes on.
    """
    from imgcls_lab import api

    started = api.audit(dataset, model=model, run=run, revision=revision, device=device, wait=False)
    follow(started, quiet=as_json)
    if as_json:
        print_json({"audit": started.view.model_dump(mode="json"), "problems": _plain(started.problems())})
    else:
        report(started)
    if started.view.state != "succeeded":
        raise typer.Exit(1)
    if map_file is not None:
        started.write_map(map_file)


def _plain(problems: list[ProblemView]) -> list[dict[str, object]]:
    return [problem.model_dump(mode="json") for problem in problems]


def follow(started: Audit, *, quiet: bool = False) -> None:
    """Wait for an audit with a bar on a terminal, and show its first problems as soon as they are known."""
    with _progress(started, quiet=quiet) as on_look:
        started.wait(on_look=on_look)


@contextmanager
def _progress(started: Audit, *, quiet: bool) -> Iterator[Look]:
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True, quiet=quiet)
    shown: set[str] = set()

    def say_first(view: AuditView) -> None:
        if console.is_terminal and view.counts and len(shown) < FIRST:
            for problem in started.problems(limit=FIRST):
                if problem.id not in shown and len(shown) < FIRST:
                    shown.add(problem.id)
                    say(f"{TITLES[problem.kind]}: {_example(problem)}", err=True)

    with Progress(console=console, transient=True, disable=not console.is_terminal or quiet) as bar:
        task = bar.add_task("waiting", total=None)

        def on_look(view: AuditView) -> None:
            bar.update(task, description=view.phase or "waiting", completed=view.done, total=view.total or None)
            say_first(view)

        yield on_look


def report(done: Audit) -> None:
    """The problems by kind, with examples."""
    view = done.view
    rows = []
    for kind, title in TITLES.items():
        if count := view.counts.get(kind):
            examples = done.problems(kind, limit=EXAMPLES)
            rows.append((title, count, "; ".join(map(_example, examples))))
    print_table(["problem", "found", "examples"], rows, "No problems were found.")
    if view.leaks:
        say(f"{counted(view.leaks, 'image')} of train/ {'is' if view.leaks == 1 else 'are'} in val/ or test/, too.")
    for note in view.notes:
        say(f"Note: {note}")


def _example(problem: ProblemView) -> str:
    """One problem in a few words."""
    names = " = ".join(image.name for image in problem.images[:2])
    more = f" and {len(problem.images) - 2} more" if len(problem.images) > 2 else ""
    if problem.suggested:
        sure = f", {percent(problem.confidence)}" if problem.confidence is not None else ""
        if problem.settled:
            return f"{names} (settled)"
        return f"{names} ({problem.images[0].label}, rather {problem.suggested}{sure})"
    reason = problem.reason.split("” ", 1)[-1] if problem.kind == "unreadable" else problem.reason
    said = problem.kind in ("unreadable", "copy", "look_alike", "near_duplicate")
    return f"{names}{more} ({reason})" if said else names


def add_to(app: typer.Typer) -> None:
    app.command("audit")(audit)

"""`imgcls-lab fork | extend | lineage`: runs as a tree."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from imgcls_lab.cli.output import Json, Set, print_json, program, queued, read_settings, say
from imgcls_lab.cli.runs import RunId
from imgcls_lab.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imgcls_lab.api.run_handle import Run

Name = Annotated[str | None, typer.Option(help="Its name.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended; exit 1 if it failed.")]
OnSchedule = Annotated[
    Literal["continue", "restart"],
    typer.Option(help="The learning rate goes on along its curve, or begins it anew with a warm-up."),
]


def fork(  # noqa: PLR0917
    run_id: RunId,
    at: Annotated[
        str, typer.Option(help="The checkpoint: an epoch (12), best, last, “step 340”, or its name.", metavar="WHERE")
    ] = "last",
    settings: Set = None,
    on_schedule: OnSchedule = "continue",
    name: Name = None,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Queue a run that goes on from a checkpoint of another one, with some settings changed.

    Without a change it computes what that run computes next, to the last bit. The same fork twice is the same run.
    """
    from imgcls_lab import api

    fields = read_settings(settings)
    for option in ("at", "on_schedule", "name", "self"):  # names of Python's arguments
        if option in fields:
            raise InputError(f"“{option}” is no setting of a run; `{program()} fork --help` lists the options.")
    since = time.time()
    child = api.run(run_id).fork(at, on_schedule=on_schedule, name=name, **fields)
    hint = f"In what they differ: {program()} compare {run_id} {child.id}"
    queued(child, hint, since=since, wait=wait, as_json=as_json)


def extend(  # noqa: PLR0917
    run_id: RunId,
    epochs: Annotated[int, typer.Option(min=1, help="Epochs in all, those of the run included.")],
    on_schedule: OnSchedule = "continue",
    name: Name = None,
    wait: Wait = False,
    as_json: Json = False,
) -> None:
    """Queue a run that goes on from the last checkpoint of another one, to more epochs."""
    from imgcls_lab import api

    since = time.time()
    child = api.run(run_id).extend(epochs, on_schedule=on_schedule, name=name)
    queued(child, f"Its curve: {program()} show {child.id}", since=since, wait=wait, as_json=as_json)


def lineage(run_id: RunId, as_json: Json = False) -> None:
    """Show the tree of forks that a run belongs to."""
    from imgcls_lab import api

    runs = api.run(run_id).lineage()
    if as_json:
        print_json([run.view for run in runs])
        return
    ids = {run.id for run in runs}
    by_parent: dict[str | None, list[Run]] = {}
    for run in runs:
        parent = run.view.parent_id
        by_parent.setdefault(parent if parent in ids and run.view.fork_step is not None else None, []).append(run)
    _say_branch(by_parent, by_parent.get(None, []), "")


def _say_branch(by_parent: Mapping[str | None, Sequence[Run]], runs: Sequence[Run], indent: str) -> None:
    from imgcls_lab.run_sentence import line

    for run in runs:
        at = f" (from step {run.view.fork_step})" if run.view.fork_step is not None else ""
        say(f"{indent}{line(run.view)}{at}")
        _say_branch(by_parent, by_parent.get(run.id, []), indent + "  ")


def add_to(app: typer.Typer) -> None:
    for command in (fork, extend, lineage):
        app.command()(command)

"""`imgcls-lab bisect`: where two runs that should be equal part."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, say

if TYPE_CHECKING:
    from imgcls_lab.engine.proofs.bisect import Named


def bisect(
    one: Annotated[str, typer.Argument(help="Run (id or the beginning of one), or the folder of `train --out`.")],
    other: Annotated[str, typer.Argument(help="The run that should be equal.")],
    as_json: Json = False,
) -> None:
    """Find the first step in which two runs differ, what differs first in it, and what sets the runs apart.

    What both wrote of their steps is searched, then both compute some steps again. Exit 1 where they differ.
    """
    from imgcls_lab.engine.proofs.bisect import bisect as search

    found = search(_named(one), _named(other))
    if as_json:
        print_json(found)
    else:
        say(found.sentence)
    if found.first_step is not None:
        raise typer.Exit(1)


def _named(text: str) -> Named:
    from imgcls_lab import api
    from imgcls_lab.engine.proofs.bisect import Named

    path = Path(text).expanduser()
    if path.is_dir():
        return Named(path.resolve(), path.resolve().name)
    run = api.run(text)
    return Named(run.folder, run.name)


def add_to(app: typer.Typer) -> None:
    app.command()(bisect)

"""`imgcls-lab bisect`: where two runs that should be equal part."""

from __future__ import annotations

from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, say
from imgcls_lab.cli.proofs import RUN_HELP, folder_and_name


def bisect(
    one: Annotated[str, typer.Argument(help=RUN_HELP)],
    other: Annotated[str, typer.Argument(help="The run that should be equal.")],
    as_json: Json = False,
) -> None:
    """Find the first step in which two runs differ, what differs first in it, and what sets the runs apart.

    What both wrote of their steps is searched, then both compute some steps again. Exit 1 where they differ.
    """
    from imgcls_lab.engine.proofs.bisect import Named
    from imgcls_lab.engine.proofs.bisect import bisect as search

    found = search(Named(*folder_and_name(one)), Named(*folder_and_name(other)))
    if as_json:
        print_json(found)
    else:
        say(found.sentence)
    if found.first_step is not None:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(bisect)

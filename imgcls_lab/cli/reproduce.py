"""`imgcls-lab reproduce`: a run computed again in a new environment with its own versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, say


def reproduce(  # noqa: PLR0917
    run: Annotated[str, typer.Argument(help="Run (id or the beginning of one), or the folder of `train --out`.")],
    env: Annotated[Path, typer.Option(help="A new folder for the virtual environment.", metavar="DIR")],
    steps: Annotated[int, typer.Option(min=1, help="How many steps are computed again.")] = 20,
    at: Annotated[str, typer.Option(help="The checkpoint to begin with, as for verify.", metavar="CHECKPOINT")] = "",
    python: Annotated[str | None, typer.Option(help="A Python of the version with which the run was trained.")] = None,
    as_json: Json = False,
) -> None:
    """Make a virtual environment with the versions that the run recorded, put its code into it, and verify it there.

    Packages come by pip from wherever pip is set up to look. Exit 1 where a step differs.
    """
    from imgcls_lab import api
    from imgcls_lab.engine.proofs.reproduce import reproduce as make
    from imgcls_lab.schemas import VerifyRequest

    path = Path(run).expanduser()
    folder = path.resolve() if path.is_dir() else api.run(run).folder
    request = VerifyRequest(steps=steps, at=at)
    tell = None if as_json else lambda sentence: say(f"{sentence[0].upper()}{sentence[1:]} …")
    found = make(folder, env.expanduser().absolute(), request, python=python, on_stage=tell or (lambda _sentence: None))
    if as_json:
        print_json(found)
    else:
        say(" ".join(filter(None, (found.sentence, found.remedy))))
    if not found.identical:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(reproduce)

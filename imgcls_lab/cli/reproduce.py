"""`imgcls-lab reproduce`: a run computed again in a new environment with its own versions."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, say
from imgcls_lab.cli.proofs import RUN_HELP, folder_and_name, show_certificate


def reproduce(  # noqa: PLR0917
    run: Annotated[str, typer.Argument(help=RUN_HELP)],
    env: Annotated[Path, typer.Option(help="A new folder for the virtual environment.", metavar="DIR")],
    steps: Annotated[int, typer.Option(min=1, help="How many steps are computed again.")] = 20,
    at: Annotated[str, typer.Option(help="The checkpoint to begin with, as for verify.", metavar="CHECKPOINT")] = "",
    python: Annotated[str | None, typer.Option(help="A Python of the version with which the run was trained.")] = None,
    as_json: Json = False,
) -> None:
    """Make a virtual environment with the versions that the run recorded, put its code into it, and verify it there.

    Packages come by pip from wherever pip is set up to look. Exit 1 where a step differs.
    """
    from imgcls_lab.api.validation import request as request_of
    from imgcls_lab.engine.proofs.reproduce import reproduce as make
    from imgcls_lab.schemas import VerifyRequest

    folder, _ = folder_and_name(run)
    request = request_of(VerifyRequest, steps=steps, at=at)
    tell = None if as_json else lambda sentence: say(f"{sentence[0].upper()}{sentence[1:]} …")
    found = make(folder, env.expanduser().absolute(), request, python=python, on_stage=tell or (lambda _sentence: None))
    show_certificate(found, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    app.command()(reproduce)

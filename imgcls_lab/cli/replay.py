"""`imgcls-lab replay`: find the first number of a run that is not finite."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, say

SHOWN = 8  # images of the batch


def replay(
    run: Annotated[str, typer.Argument(help="Run (id or the beginning of one), or the folder of `train --out`.")],
    as_json: Json = False,
) -> None:
    """Repeat the step that broke a run, and name the module with the first number that is not finite."""
    from imgcls_lab import api
    from imgcls_lab.engine.training.replay import replay as play

    path = Path(run).expanduser()
    found = play(path.resolve() if path.is_dir() else api.run(run).folder)
    if as_json:
        print_json(asdict(found))
        return
    say(f"Step {found.step}, loss {found.loss:g}. {found.cause}")
    if found.images:
        say(
            "The batch: "
            + ", ".join(found.images[:8])
            + (f" and {len(found.images) - 8} more" * (len(found.images) > 8))
        )
    if found.largest:
        say("The largest outputs: " + ", ".join(f"{name} {value:.3g}" for name, value in found.largest))


def add_to(app: typer.Typer) -> None:
    app.command()(replay)

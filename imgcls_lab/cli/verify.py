"""`imgcls-lab verify`: compute steps of a run again, and say whether they are the same to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, say


def verify(
    run: Annotated[str, typer.Argument(help="Run (id or the beginning of one), or the folder of `train --out`.")],
    steps: Annotated[int, typer.Option(min=1, help="How many steps are computed again.")] = 20,
    at: Annotated[
        str,
        typer.Option(
            help="The checkpoint to begin with: an epoch (12), best, last, “step 340”; by default as the run began.",
            metavar="CHECKPOINT",
        ),
    ] = "",
    as_json: Json = False,
) -> None:
    """Compute steps of a run again in a fresh process, and compare losses and weights to the last bit.

    Exit 1 where a step differs; the answer names the first one and what is otherwise than when the run trained.
    """
    from imgcls_lab import api
    from imgcls_lab.engine.proofs.verify import verify as compute_again
    from imgcls_lab.schemas import VerifyRequest

    path = Path(run).expanduser()
    request = VerifyRequest(steps=steps, at=at)
    found = compute_again(path.resolve() if path.is_dir() else api.run(run).folder, request)
    if as_json:
        print_json(found)
    else:
        say(" ".join(filter(None, (found.sentence, found.remedy))))
    if not found.identical:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(verify)

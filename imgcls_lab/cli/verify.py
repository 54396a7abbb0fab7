"""`imgcls-lab verify`: compute steps of a run again, and say whether they are the same to the last bit."""

from __future__ import annotations

from typing import Annotated

import typer

from imgcls_lab.cli.output import Json
from imgcls_lab.cli.proofs import RUN_HELP, folder_and_name, show_certificate


def verify(
    run: Annotated[str, typer.Argument(help=RUN_HELP)],
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
    from imgcls_lab.api.validation import request as request_of
    from imgcls_lab.engine.proofs.verify import verify as compute_again
    from imgcls_lab.schemas import VerifyRequest

    folder, _ = folder_and_name(run)
    found = compute_again(folder, request_of(VerifyRequest, steps=steps, at=at))
    show_certificate(found, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    app.command()(verify)

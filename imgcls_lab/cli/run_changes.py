"""`imgcls-lab set`: settings of a run, changed while it trains."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from imgcls_lab.cli.many_runs import add_with_examples
from imgcls_lab.cli.output import Json, print_json, read_settings, say, warn_unattended
from imgcls_lab.cli.runs import RunId
from imgcls_lab.errors import InputError

FACTOR = "lr*"
EXAMPLES = {"set": ("set 20261129-095605-97xvkt 'lr*=0.3'", "set 20261129-095605-97xvkt epochs=12 save_every_epochs=2")}


def set_(
    run_id: RunId,
    changes: Annotated[
        list[str],
        typer.Argument(
            metavar="KEY=VALUE...",
            help="lr*=0.3 (a factor), lr, epochs, early_stopping_patience, save_every_epochs or log_every; null: none.",
        ),
    ],
    as_json: Json = False,
) -> None:
    """Change settings of a run while it waits or trains; it obeys at its next step, and a kill loses none."""
    from imgcls_lab import api, run_changes

    fields: dict[str, Any] = read_settings(changes)
    for name in ("lr_factor", "self"):  # names of Python's arguments
        if name in fields:
            raise InputError(f"“{name}” is no setting. A factor on the learning rate is written {FACTOR}=0.3.")
    factor = fields.pop(FACTOR, None)
    if FACTOR in {item.partition("=")[0].strip() for item in changes} and not isinstance(factor, int | float):
        raise InputError(f"“{FACTOR}” takes a number, such as {FACTOR}=0.3.")
    run = api.run(run_id)
    before = len(run.changes)
    view = run.set(lr_factor=factor, **fields).view
    warn_unattended([view])
    if as_json:
        print_json(view)
        return
    for change in view.changes[before:]:
        say(f"{run_changes.sentence(change.field, change.old, change.new)}, from the next step on")
    if len(view.changes) == before:
        say("The run has these settings already.")


def add_to(app: typer.Typer) -> None:
    add_with_examples(app, (set_,), EXAMPLES)

"""`imgcls-lab compare`: what sets runs apart, and which of two is better."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.api.comparison import Comparison

SIDE_BY_SIDE = 4  # runs with a column each; of more each is a row


def compare(
    runs: Annotated[list[str], typer.Argument(metavar="RUN...", help="Ids of the runs, or the beginnings of them.")],
    as_json: Json = False,
) -> None:
    """Show in what up to 100 runs differ and what they came to; of two also which one is better."""
    from imgcls_lab import api

    found = api.compare(*runs)
    if as_json:
        print_json(found.view)
        return
    view = found.view
    if len(view.runs) <= SIDE_BY_SIDE:
        rows = [(field.part, field.title, *field.values) for field in view.differs]
        rows += [("result", "state", *(run.state.value for run in view.runs))]
        rows += [("result", f"best {found.metric}", *(run.best.value if run.best else None for run in view.runs))]
        print_table(["part", "fact", *found.names], rows, "They do not differ.")
    else:
        columns = found.rows()
        print_table(["run", *columns], list(zip((run.id for run in view.runs), *columns.values(), strict=True)), "")
    differences = counted(len(view.differs) + view.unlisted, "difference")
    say(f"{differences}; {counted(view.same_settings, 'setting')} the same.")
    if view.other_images:
        say("They are judged on different validation images, so their figures cannot be compared directly.")
    if len(view.runs) == 2:
        _say_better(found)


def _say_better(found: Comparison) -> None:
    from imgcls_lab.errors import ConflictError, DataError, NotFoundError

    try:
        flips = found.flips().view
    except (ConflictError, DataError, NotFoundError) as error:
        say(f"It cannot be said which one is better: {error}")
        return
    low, high = 100 * flips.difference_low, 100 * flips.difference_high
    say(flips.sentence)
    say(f"The difference is {100 * flips.difference:+.1f} points, 95 % interval {low:+.1f} to {high:+.1f}.")


def add_to(app: typer.Typer) -> None:
    app.command()(compare)

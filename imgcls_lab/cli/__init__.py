"""`imgcls-lab`: the command line. Each command calls one function of another package and prints the result.

The modules hold the commands by subject. They import other packages inside the commands, so that `--help` is quick.
Listings take `--json`. An error is one sentence on stderr with its exit code; `--debug` adds the traceback.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from imgcls_lab._version import __version__
from imgcls_lab.cli import (
    audits,
    batch,
    bisect,
    cache,
    comparison,
    db,
    demo,
    doctor,
    evaluations,
    events,
    executor,
    finders,
    forks,
    inference,
    many_runs,
    registry,
    replay,
    reproduce,
    run_actions,
    run_changes,
    runs,
    settings,
    storage,
    train,
    users,
    verify,
)
from imgcls_lab.cli.output import say
from imgcls_lab.errors import ImgclsError

app = typer.Typer(
    name="imgcls-lab",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        say(f"imgcls-lab {__version__}")
        raise typer.Exit


@app.callback()
def options(
    _version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
    ] = False,
) -> None:
    """Fine-tune, watch, compare and reproduce image classifiers. `--debug` shows the traceback of an error."""
    from imgcls_lab.api import context

    context.come_by("cli")


for part in (
    demo, train, finders, runs, run_actions, run_changes, forks, many_runs, comparison, events, audits, inference,
    evaluations, replay, verify, bisect, reproduce, batch, registry, cache, storage, executor, users, db, doctor,
    settings,
):  # fmt: skip
    part.add_to(app)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in given
    try:
        app(args=[word for word in given if word != "--debug"], prog_name="imgcls-lab")
    except ImgclsError as error:
        if debug:
            raise
        say(error, err=True)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()  # the reader has ended, as `head` does
        sys.exit(1)

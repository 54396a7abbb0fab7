"""`imgcls-lab`: a thin face. Each command calls one function of a room and prints what it gives.

The modules hold commands by subject and import rooms inside the commands, so that `--help` is quick. Listings take
`--json`; errors are one sentence on stderr with the error's exit code, and a traceback only with `--debug`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from imgcls_lab._version import __version__
from imgcls_lab.cli import (
    batch,
    cache,
    demo,
    doctor,
    executor,
    finders,
    inference,
    registry,
    replay,
    runs,
    settings,
    train,
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


demo.add_to(app)
train.add_to(app)
finders.add_to(app)
runs.add_to(app)
inference.add_to(app)
replay.add_to(app)
batch.add_to(app)
registry.add_to(app)
cache.add_to(app)
executor.add_to(app)
doctor.add_to(app)
settings.add_to(app)


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
        sys.stderr.close()  # the reader went away, as `head` does
        sys.exit(1)

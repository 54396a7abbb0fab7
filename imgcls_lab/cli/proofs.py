"""What `verify`, `reproduce` and `bisect` share: which run is meant, and how a certificate is shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from imgcls_lab.cli.output import print_json, say

if TYPE_CHECKING:
    from imgcls_lab.schemas import Certificate

RUN_HELP = "Run (id or the beginning of one), or the folder of `train --out`."


def folder_and_name(text: str) -> tuple[Path, str]:
    """Of a run of the home, or of a folder that `train --out` made. Raises NotFoundError."""
    from imgcls_lab import api

    path = Path(text).expanduser()
    if path.is_dir():
        return path.resolve(), path.resolve().name
    run = api.run(text)
    return run.folder, run.name


def show_certificate(found: Certificate, *, as_json: bool) -> None:
    """Its sentence and the remedy, or all of it as JSON. Exit 1 where a step differs."""
    if as_json:
        print_json(found)
    else:
        say(" ".join(filter(None, (found.sentence, found.remedy))))
    if not found.identical:
        raise typer.Exit(1)

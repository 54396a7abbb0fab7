"""`imgcls-lab events`: who did what, and who was refused it."""

from __future__ import annotations

import re
import time
from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table

_SECONDS = {"m": 60.0, "h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}


def events(
    run: Annotated[str | None, typer.Option(help="Only those of this run: its id, or the beginning of one.")] = None,
    user: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Only the last minutes, hours, days or weeks: 30m, 12h, 2d.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most.")] = 50,
    as_json: Json = False,
) -> None:
    """List who launched, stopped, edited or deleted what, newest first. A run that was deleted keeps its events."""
    from imgcls_lab import api
    from imgcls_lab.store.audit import NOUNS

    start = None if since is None else time.time() - _seconds(since)
    found = api.audit_events(run, user=user, since=start, limit=limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (
            time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(event.time)),
            NOUNS.get(event.kind, event.kind),
            event.subject_id,
            event.subject_name,
            event.text,
            event.host,
        )
        for event in found
    ]
    print_table(["time", "what", "id", "name", "event", "host"], rows, "No events.", spare=["host", "what"])


def _seconds(text: str) -> float:
    """Raises InputError for what is no time span."""
    from imgcls_lab.errors import InputError

    match = re.fullmatch(r"([0-9]{1,6})([mhdw])", text.strip())
    if match is None:
        raise InputError(f"“{text}” is no time span; write 30m, 12h, 2d or 1w.")
    return int(match[1]) * _SECONDS[match[2]]


def add_to(app: typer.Typer) -> None:
    app.command()(events)

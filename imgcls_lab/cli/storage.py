"""`imgcls-lab storage`: what the home takes on its disks, and what of it can be freed."""

from __future__ import annotations

from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say, size_text


def storage(
    free: Annotated[
        str | None,
        typer.Option(metavar="PART", help="Free this part: images, pictures, compiled, or backups but the newest."),
    ] = None,
    as_json: Json = False,
) -> None:
    """List what runs, models, caches and backups take on disk, and free a part of it.

    Example: imgcls-lab storage --free pictures
    """
    from imgcls_lab.api import home_storage

    if free is not None:
        freed = home_storage.free_storage(free)
        if as_json:
            print_json({"freed_bytes": freed})
        else:
            say(f"Freed: {size_text(freed)}." if freed else "There is nothing to free.")
        return
    found = home_storage.storage()
    if as_json:
        print_json(found)
        return
    rows = [
        (
            part.kind,
            part.title,
            part.items,
            ("at least " if part.at_least else "") + size_text(part.size),
            size_text(part.frees) if part.frees else "",
        )
        for part in found.parts
    ]
    print_table(["part", "what", "items", "on disk", "can be freed"], rows, "")
    for part in found.parts:
        if part.note:
            say(f"{part.title}: {part.note}")
    for disk in found.disks:
        say(f"{size_text(disk.free)} of {size_text(disk.total)} are free on the disk of the {disk.holds}.")


def add_to(app: typer.Typer) -> None:
    app.command()(storage)

"""`imgcls-lab cache`: list and clear the decoded images and the features on disk."""

from __future__ import annotations

import time
from dataclasses import asdict

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say, size_text

cache = typer.Typer(
    no_args_is_help=True,
    help="Decoded images and features on disk, which runs and audits share. You may remove them at any time.",
)


@cache.command("list")
def list_entries(as_json: Json = False) -> None:
    """List what is cached, the longest unused first. At IMGCLS_CACHE_GB the longest unused is removed.

    Small pictures of images are one row; of these the longest unused are removed at IMGCLS_THUMBNAILS_MB.
    """
    from imgcls_lab import cache_eviction
    from imgcls_lab.api import context
    from imgcls_lab.thumbnails import cache as thumbnails

    folder = context.settings().cache_path
    found, small = cache_eviction.entries(folder), thumbnails.usage(folder)
    if as_json:
        pictures = {"kind": "pictures", "images": small.pictures, "size": small.size, "used": small.used}
        print_json([*map(asdict, found), *([pictures] if small.pictures else [])])
        return
    rows = [
        (
            entry.source,
            f"{entry.shape[1]} x {entry.shape[0]} px" if entry.kind == "pixels" else f"{entry.shape[0]} features",
            entry.images,
            size_text(entry.size),
            _day(entry.used),
        )
        for entry in found
    ]
    if small.pictures:
        rows.append(("pictures of images", "", small.pictures, size_text(small.size), _day(small.used)))
    print_table(["data set or model", "of an image", "images", "on disk", "used"], rows, "Nothing is cached.")


@cache.command()
def clear(as_json: Json = False) -> None:
    """Remove all. Runs that read it go on; later runs decode their images again, and later audits compute features."""
    from imgcls_lab import cache_eviction
    from imgcls_lab.api import context
    from imgcls_lab.thumbnails import cache as thumbnails

    folder = context.settings().cache_path
    freed = cache_eviction.clear(folder) + thumbnails.clear(folder)
    if as_json:
        print_json({"freed_bytes": freed})
        return
    say(f"Cleared: {size_text(freed)}." if freed else "Nothing is cached.")


def _day(seconds: float) -> str:
    return time.strftime("%d %b %H:%M", time.localtime(seconds))


def add_to(app: typer.Typer) -> None:
    app.add_typer(cache, name="cache")

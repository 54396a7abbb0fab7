"""`imgcls-lab datasets revisions | diff | relabel | undo | export | import-corrections`: corrections of a data set."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, progress_bar, say
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.schemas import RevisionView

Entry = Annotated[str, typer.Argument(metavar="NAME", help="The data set's name, or its number.")]
Message = Annotated[str, typer.Option("--message", "-m", help="A few words about it.")]


def revisions(name: Entry, as_json: Json = False) -> None:
    """List the corrections of a data set, the newest first. They change no file."""
    from imgcls_lab.api import revisions as api

    found = api.revisions(name)
    if as_json:
        print_json(found)
        return
    print_table(
        ["revision", "by", "when", "relabelled", "excluded", "restored", "in all", "runs", "message"],
        [
            (
                view.number, view.author, time.strftime("%Y-%m-%d %H:%M", time.localtime(view.created_at)),
                view.relabelled, view.excluded, view.restored, view.total, view.runs, view.message,
            )
            for view in found
        ],
        "No corrections: the labels are those of the folders.",
    )  # fmt: skip


def diff(
    name: Entry,
    revision: Annotated[int, typer.Argument(min=0, help="The revision to look at.")],
    against: Annotated[int | None, typer.Argument(min=0, help="By default the one before it; 0: the folders.")] = None,
    as_json: Json = False,
) -> None:
    """Show what a revision changed, or what differs between two."""
    from imgcls_lab.api import revisions as api

    found = api.diff(name, revision, against)
    if as_json:
        print_json(found)
        return
    print_table(
        ["image", "before", "after", "why", ""],
        [
            (item.name, item.before or "excluded", item.label or "excluded", item.why, "" if item.found else "gone")
            for item in found.changes
        ],
        f"Revision {revision} and {found.against} say the same.",
    )
    if found.more:
        say(f"{found.more:,} more are not listed; --json lists as many.")


def relabel(  # noqa: PLR0917
    name: Entry,
    images: Annotated[
        list[str],
        typer.Argument(metavar="IMAGE...", help="Paths in the data set, such as train/cat/1.jpg, or ids."),
    ],
    label: Annotated[str | None, typer.Option(help="Their class from now on; train/ must have it.")] = None,
    exclude: Annotated[bool, typer.Option("--exclude", help="Exclude them from training and evaluation.")] = False,
    restore: Annotated[bool, typer.Option("--restore", help="Let their folders say their class again.")] = False,
    only: Annotated[
        str | None, typer.Option(metavar="SPLIT", help="Of copies only those in train, val or test; the others stay.")
    ] = None,
    message: Message = "",
    as_json: Json = False,
) -> None:
    """Correct images of a data set, as a new revision. All files with the same content are corrected together.

    `--exclude --only train` excludes a copy from train/ that val/ has, too.
    """
    from imgcls_lab.api import revisions as api

    if (label is not None) + exclude + restore != 1:
        raise InputError("Give one of --label CLASS, --exclude and --restore.")
    if label is not None:
        made = api.relabel(name, images, label, only=only, message=message)
    elif exclude:
        made = api.exclude(name, images, only=only, message=message)
    else:
        made = api.restore(name, images, only=only, message=message)
    _answer(name, [made], as_json)


def undo(
    name: Entry,
    revision: Annotated[int | None, typer.Argument(min=1, help="By default the newest.")] = None,
    as_json: Json = False,
) -> None:
    """Take back what a revision changed, as a new revision."""
    from imgcls_lab.api import revisions as api

    _answer(name, [api.undo(name, revision)], as_json)


def import_corrections(
    name: Entry,
    file: Annotated[Path, typer.Argument(help="CSV with path or image, and label or excluded; or JSON likewise.")],
    message: Message = "",
    as_json: Json = False,
) -> None:
    """Add many corrections from a file."""
    from imgcls_lab.api import revisions as api

    _answer(name, api.import_corrections(name, file, message=message), as_json)


def export(
    name: Entry,
    out: Annotated[Path, typer.Option(help="A new folder; or a file FILE.json for the corrections alone.")],
    revision: Annotated[int | None, typer.Option(min=0, help="By default the newest; 0: the folders.")] = None,
    as_json: Json = False,
) -> None:
    """Write a corrected data set as a real folder SPLIT/CLASS, with hard links where the disk can."""
    from imgcls_lab.api import revisions as api

    if out.suffix == ".json":
        count = api.export_overlay(name, out, revision=revision)
        if as_json:
            print_json({"file": str(out), "changes": count})
        else:
            say(f"Wrote {counted(count, 'correction')} into {out}. A config takes them as data_revision.")
        return
    with progress_bar("files") as progress:
        done = api.export(name, out, revision=revision, progress=progress)
    if as_json:
        print_json({name: str(value) if isinstance(value, Path) else value for name, value in vars(done).items()})
        return
    images = ", ".join(f"{split} {count:,}" for split, count in done.images.items())
    say(
        f"Wrote {done.folder}: {images}; {counted(done.relabelled, 'file')} under another class, "
        f"{counted(done.excluded, 'file')} excluded; {done.linked:,} linked, {done.copied:,} copied."
    )
    for note in done.notes:
        say(f"Note: {note}")


def _answer(name: str, made: list[RevisionView], as_json: bool) -> None:
    if as_json:
        print_json(made)
        return
    for view in made:
        say(view.sentence(name))
        for note in view.notes:
            say(f"Note: {note}")
    say(f"Train with it: --set data_revision={made[-1].number}, or `imgcls-lab retrain RUN`.")


def add_to(app: typer.Typer) -> None:
    """app: that of `imgcls-lab datasets`."""
    for command in (revisions, diff, relabel, undo, export):
        app.command()(command)
    app.command("import-corrections")(import_corrections)

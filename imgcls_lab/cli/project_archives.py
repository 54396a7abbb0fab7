"""`imgcls-lab projects export | import | delete`: a project as one file, and its end with all that is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from imgcls_lab.cli.output import Json, print_json, progress_bar, say
from imgcls_lab.plurals import counted

Name = Annotated[str, typer.Argument(metavar="NAME", help="Name of the project, or its number.")]


def export(
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A new file, such as pets.imgcls.tar.")],
    checkpoints: Annotated[
        Literal["best", "all", "none"], typer.Option(help="Which checkpoints of each run go along.")
    ] = "best",
    as_json: Json = False,
) -> None:
    """Write a project into one file: runs, configs, your views of it. Ctrl+C leaves nothing behind."""
    from imgcls_lab import api

    with progress_bar("Writing the file") as progress:
        done = api.export_project(name, file, checkpoints=checkpoints, progress=progress)
    if as_json:
        print_json(done)
        return
    for sentence in done.left_out:
        say(sentence, err=True)
    parts = f"{counted(done.runs, 'run')} and {counted(done.configs, 'config')}"
    say(f"Wrote the project {done.project} with {parts} into {done.path}, {done.size / 1e6:,.1f} MB.")


def import_(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `projects export` wrote.")],
    name: Annotated[str | None, typer.Option(help="Name of the new project, by default its own.")] = None,
    into: Annotated[str | None, typer.Option(help="A project that is there and gets what is in the file.")] = None,
    as_json: Json = False,
) -> None:
    """Import a project, whole or not at all. Its runs are view only until you claim them."""
    from imgcls_lab import api

    with progress_bar("Reading the file") as progress:
        done = api.import_project(file, name=name, into=into, progress=progress)
    if as_json:
        print_json(done)
        return
    for sentence in (*done.skipped, *done.renamed):
        say(sentence, err=True)
    say(f"Imported {counted(len(done.runs), 'run')} and {counted(len(done.configs), 'config')} into {done.project}.")


def delete(
    name: Name,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted and freed.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Delete a project with its runs and configs, for good."""
    from imgcls_lab.api import context

    store = context.store()
    project = store.projects.find(name)
    found = store.project_pages.delete(project.id, dry_run=True)
    parts = f"{counted(found.runs, 'run')} and {counted(found.configs, 'config')}"
    if not as_json and not found.refused:
        say(f"The project {project.name} with {parts}: frees at least {found.freed / 1e6:,.1f} MB.")
    if not dry_run and not found.refused:
        if not yes:
            typer.confirm("Delete for good? This cannot be undone.", abort=True)
        found = store.project_pages.delete(project.id)
    if as_json:
        print_json(found)
    for refused in () if as_json else found.refused:
        say(refused.message, err=True)
    if found.deleted and not as_json:
        say(f"Deleted the project {project.name}.")
    if found.refused:
        raise typer.Exit(1)


def add_to(app: typer.Typer) -> None:
    app.command()(export)
    app.command("import")(import_)
    app.command()(delete)

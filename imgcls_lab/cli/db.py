"""`imgcls-lab db path | check | rebuild | migrate | backup`: the run database."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, progress_bar, say
from imgcls_lab.plurals import counted

db = typer.Typer(no_args_is_help=True, help="The run database: an index of the runs' folders.")


@db.command()
def path() -> None:
    """Print the address of the database, without its password."""
    from imgcls_lab.api import context
    from imgcls_lab.store.database import Database

    settings = context.settings()
    settings.make_home()
    database = Database(settings.db_url)
    say(database.shown)
    database.close()


@db.command()
def check(as_json: Json = False) -> None:
    """List what is wrong in the database, or between it and the runs' folders. Exit 1 if anything is."""
    from imgcls_lab.api import context
    from imgcls_lab.store import Store

    with Store.open(context.settings()) as store:
        problems = store.check()
        if as_json:
            print_json({"database": store.database.shown, "problems": problems})
        else:
            say("\n".join(problems) or f"The run database {store.database.shown} is in order.")
    if problems:
        raise typer.Exit(1)


@db.command()
def rebuild(
    mine: Annotated[
        bool,
        typer.Option("--mine", help="All folders are yours: those of a version that signed none can be resumed again."),
    ] = False,
) -> None:
    """Index the folders of all runs again: the rows of the database stay, and what only the folders know is added.

    Executors may live and runs go on. After Ctrl-C each run is as it was or indexed again; the same command goes on. A
    damaged file is moved aside. docs/operations.md says what a new database cannot have.
    """
    from imgcls_lab.api import context
    from imgcls_lab.store import rebuild

    settings = context.settings()
    seen = (0, 0)

    try:
        with progress_bar("folders") as bar:

            def show(done: int, total: int) -> None:
                nonlocal seen
                seen = (done, total)
                bar(done, total)

            report = rebuild(settings, show, mine=mine)
    except KeyboardInterrupt:
        say(
            f"Interrupted at {seen[0]:,} of {seen[1]:,} folders. Each run is as it was or indexed anew, and nothing is "
            "lost; `imgcls-lab db rebuild` goes through all of them again.",
            err=True,
        )
        raise typer.Exit(130) from None
    for problem in report.problems:
        say(problem, err=True)
    say(f"Indexed {counted(report.runs, 'run')}.")
    if report.new and (report.registries or settings.executor_log.exists()):  # so there was a database before
        also = (
            "" if report.registries else " data sets, models, saved configs, saved views and the settings of projects,"
        )
        say(
            f"The database was a new one. Not in the folders, and so not back:{also} which runs were deleted, who did "
            "what (`imgcls-lab events`), and the weights, the limits and the use of users. A backup has them, if there "
            f"is one in {settings.backups_dir}; else set weights and limits again with `imgcls-lab users`."
        )
    if report.view_only:
        say(
            f"{counted(report.view_only, 'run')} view only, since this home's own processes did not write the folder: "
            "looked at and compared, not resumed. One is yours: `imgcls-lab claim RUN`. All are yours, as after a "
            "version that signed no folders: `imgcls-lab db rebuild --mine`, once."
        )
    if report.problems:
        raise typer.Exit(1)


@db.command()
def migrate() -> None:
    """Migrate the database to this program's revision, after a backup."""
    from imgcls_lab.api import context
    from imgcls_lab.store import migrate

    say("Migrated." if migrate(context.settings()) else "Nothing to do: it is of this revision already.")


@db.command()
def backup(
    target: Annotated[
        Path | None, typer.Argument(help="File to write. By default a file with the date, in the home's backups.")
    ] = None,
) -> None:
    """Copy the database as it is now, while everything goes on. PostgreSQL: an archive for pg_restore."""
    from imgcls_lab.api import context
    from imgcls_lab.store.backups import default_name

    settings = context.settings()
    store = context.store(settings)
    if target is None:
        target = settings.backups_dir / default_name(store.database)
    say(f"Written: {store.backup(target)}")


def add_to(app: typer.Typer) -> None:
    app.add_typer(db, name="db")

"""`imgcls-lab executor ...`, `db check | backup | rebuild | migrate | path`, and `alerts`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, progress_bar, say
from imgcls_lab.plurals import counted

executor = typer.Typer(no_args_is_help=True, help="The background process that runs what is queued.")
db = typer.Typer(no_args_is_help=True, help="The run database: an index of the runs' folders.")


@executor.command()
def start() -> None:
    """Start it, if none lives."""
    from imgcls_lab.api import context
    from imgcls_lab.executor import client

    settings = context.settings()
    context.store(settings)  # the daemon refuses a database without tables
    client.start(settings)
    say(f"The executor runs, for the home {settings.home_path}. Its log is {settings.executor_log}.")


@executor.command()
def stop(
    runs: Annotated[bool, typer.Option("--runs", help="Stop its runs too, each after a checkpoint.")] = False,
) -> None:
    """Stop it. Runs go on, and are adopted by the next executor, unless --runs."""
    from imgcls_lab.api import context
    from imgcls_lab.executor import client

    client.stop(context.settings(), stop_runs=runs)
    say("The executor has stopped.")


@executor.command()
def status(as_json: Json = False) -> None:
    """Say which executors live, their devices, and who holds them. Exit 1 if none lives."""
    from imgcls_lab.api import context
    from imgcls_lab.events import LIVE
    from imgcls_lab.executor import client, forkserver_manager

    settings = context.settings()
    store = context.store(settings)
    reply = client.status(settings)
    alive = any(item.state == "alive" for item in reply.executors)
    if as_json:
        print_json(reply)
    else:
        rows = [
            (
                item.host,
                item.pid,
                item.version,
                item.state,
                time.strftime("%d %b %H:%M", time.localtime(item.started_at)),
            )
            for item in reply.executors
        ]
        print_table(["host", "pid", "version", "state", "since"], rows, "No executor has been started yet.")
        if reply.devices:
            say("")
            devices = [
                (item.host, item.name, item.title, item.run_name or item.held_by or "free") for item in reply.devices
            ]
            print_table(["host", "device", "what", "held by"], devices, "")
        for run in store.runs.list(states=LIVE, limit=1000).items:
            if run.external:
                on = f" on {', '.join(run.devices)}" if run.devices else ""
                say(f"Outside the queue: {run.name} trains{on} of {run.host} in a kernel or shell, and holds no slot.")
        if alive and (sentence := forkserver_manager.status_sentence(settings)):
            say(f"\n{sentence}")
        if reply.message:
            say(reply.message)
    if not alive:
        raise typer.Exit(1)


@executor.command()
def forget(host: Annotated[str, typer.Argument(help="Name of a host that will not come back.")]) -> None:
    """Declare a silent host gone for good: its runs go back to the queue, its devices are free."""
    from imgcls_lab.api import context
    from imgcls_lab.executor import client

    count = client.forget(context.settings(), host)
    say(f"Forgot {host}; {count} of its runs went back to the queue.")


@db.command()
def path() -> None:
    """Print where the database is, without its password."""
    from imgcls_lab.api import context
    from imgcls_lab.store.database import Database

    settings = context.settings()
    settings.make_home()
    database = Database(settings.db_url)
    say(database.shown)
    database.close()


@db.command()
def check(as_json: Json = False) -> None:
    """Say what is wrong in the database, or between it and the runs' folders. Exit 1 if anything is."""
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
def rebuild() -> None:
    """Index the folders of all runs anew: rows that the database has stay, and what folders know besides is added.

    Executors may live and runs go on. Ctrl-C leaves each run as it was or indexed anew; the same command goes on. A
    damaged file is moved aside. What a new database cannot have: docs/operations.md.
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

            report = rebuild(settings, show)
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
        say(
            "The database was a new one. Not in the folders, and so not back: which runs were deleted"
            + ("." if report.registries else ", data sets, models, saved configs and the settings of projects.")
            + f" A backup has them, if there is one in {settings.backups_dir}."
        )
    if report.problems:
        raise typer.Exit(1)


@db.command()
def migrate() -> None:
    """Bring the database to this program's revision, after a backup."""
    from imgcls_lab.api import context
    from imgcls_lab.store import migrate

    say("Migrated." if migrate(context.settings()) else "Nothing to do: it is of this revision already.")


@db.command()
def backup(
    target: Annotated[
        Path | None, typer.Argument(help="File to write; without: one by date in the home's backups.")
    ] = None,
) -> None:
    """Copy the database as of this moment, while everything goes on. PostgreSQL: an archive for pg_restore."""
    from imgcls_lab.api import context
    from imgcls_lab.store.backups import default_name

    settings = context.settings()
    store = context.store(settings)
    if target is None:
        target = settings.backups_dir / default_name(store.database)
    say(f"Written: {store.backup(target)}")


def alerts(
    limit: Annotated[int, typer.Option(min=1, max=1000, help="How many at most.")] = 20, as_json: Json = False
) -> None:
    """List what happened: runs that finished, failed, were lost or stand still; a disk nearly full. Newest first."""
    from imgcls_lab.api import context

    found = context.store().alerts.list(limit)
    if as_json:
        print_json(found)
        return
    rows = [
        (time.strftime("%d %b %H:%M", time.localtime(item.created_at)), item.kind, item.host or "", item.text)
        for item in found
    ]
    print_table(["when", "what", "host", ""], rows, "No alerts.")


def add_to(app: typer.Typer) -> None:
    app.add_typer(executor, name="executor")
    app.add_typer(db, name="db")
    app.command()(alerts)

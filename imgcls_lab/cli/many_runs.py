"""`imgcls-lab tag | archive | unarchive | move | delete | tags | views`: what is done with one run or with many.

The runs are named by their ids or chosen by a query. Each that stays as it is, is named on stderr with the reason, and
the exit code is 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.schemas import RefusedRun

RunIds = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids of runs, or their beginnings.")]
Where = Annotated[str | None, typer.Option(help="All runs that this query finds, as of `runs --where`.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def tag(
    run_ids: RunIds = None,
    add: Annotated[list[str] | None, typer.Option("--add", help="A tag that they get. Repeatable.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="A tag that they lose. Repeatable.")] = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Give runs tags, or take them away."""
    if not add and not remove:
        raise InputError("Say which tags: --add TAG, --remove TAG.")
    _edit(run_ids, where, as_json, "tagged", add_tags=add or [], remove_tags=remove or [])


def archive(run_ids: RunIds = None, where: Where = None, as_json: Json = False) -> None:
    """Leave runs that have ended out of lists; `runs --where archived=any` shows them."""
    _edit(run_ids, where, as_json, "archived", archived=True)


def unarchive(run_ids: RunIds = None, where: Where = None, as_json: Json = False) -> None:
    """Bring archived runs back into lists. A query has to say archived=true."""
    _edit(run_ids, where, as_json, "back in the lists", archived=False)


def move(
    project: Annotated[str, typer.Argument(help="The project; made if there is none.")],
    run_ids: RunIds = None,
    where: Where = None,
    as_json: Json = False,
) -> None:
    """Move runs to another project."""
    from imgcls_lab.api import context
    from imgcls_lab.api.validation import project_id

    chosen = _chosen(run_ids, where)
    project_number = project_id(context.store(), project, make=True)
    _edit(chosen, None, as_json, f"moved to {project}", project_id=project_number)


def delete(
    run_ids: RunIds = None,
    where: Where = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted and freed.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete runs that have ended, with their metrics and folders, for good."""
    from imgcls_lab.api import many_runs

    chosen = _chosen(run_ids, where)
    if not yes or dry_run:
        told = many_runs.delete(chosen, dry_run=True)
        if not as_json:
            _say_refused(told.refused)
            say(f"{counted(len(told.deleted), 'run')} to delete: frees {_bytes(told.freed)}{_shared(told.shared)}.")
        elif dry_run:
            print_json(told)
        if dry_run or not told.deleted:
            raise typer.Exit(1 if told.refused else 0)
        typer.confirm("Delete for good? This cannot be undone.", abort=True)
    done = many_runs.delete(chosen)
    if as_json:
        print_json(done)
    else:
        if yes:
            _say_refused(done.refused)
        say(f"Deleted {counted(len(done.deleted), 'run')}: freed {_bytes(done.freed)}{_shared(done.shared)}.")
    if done.refused:
        raise typer.Exit(1)


def tags(as_json: Json = False) -> None:
    """List the tags that runs have."""
    from imgcls_lab.api import context

    found = context.store().run_lists.columns().tags
    if as_json:
        print_json(found)
        return
    print_table(["tag", "runs"], [(one.tag, str(one.runs)) for one in found], "No run has a tag.")


def views(
    remove: Annotated[str | None, typer.Option("--delete", metavar="NAME", help="Forget this one.")] = None,
    as_json: Json = False,
) -> None:
    """List the views of the runs that you have saved; `runs --view NAME` shows one."""
    from imgcls_lab.api import context

    store = context.store()
    if remove is not None:
        store.views.delete(store.views.find(remove).id)
    found = store.views.list()
    if as_json:
        print_json(found)
        return
    rows = [
        (one.name, one.view.where or "all", one.view.sort, ", ".join(one.view.columns), ", ".join(one.view.group))
        for one in found
    ]
    print_table(["view", "query", "sorted by", "columns", "folded by"], rows, "No view is saved.")


def _edit(run_ids: Sequence[str] | None, where: str | None, as_json: bool, done: str, **fields: Any) -> None:
    from imgcls_lab.api import many_runs

    reply = many_runs.edit(_chosen(run_ids, where), **fields)
    if as_json:
        print_json(reply)
    else:
        _say_refused(reply.refused)
        say(f"{counted(len(reply.changed), 'run')} {done}.")
    if reply.refused:
        raise typer.Exit(1)


def _chosen(run_ids: Sequence[str] | None, where: str | None) -> list[str]:
    from imgcls_lab.api import many_runs

    if bool(run_ids) == (where is not None):
        raise InputError("Name runs by their ids, or choose them with --where QUERY.")
    return many_runs.found(where) if where is not None else list(run_ids or ())


def _say_refused(refused: Sequence[RefusedRun]) -> None:
    for one in refused:
        say(f"{one.run} stays: {one.message}", err=True)


def _bytes(number: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if number < 1000 or unit == "GB":
            return f"{number:.0f} {unit}" if unit == "bytes" else f"{number:.1f} {unit}"
        number /= 1000
    raise AssertionError


def _shared(number: int) -> str:
    return f"; {_bytes(number)} stay, which other runs have too" if number else ""


def add_to(app: typer.Typer) -> None:
    for command in (tag, archive, unarchive, move, delete, tags, views):
        app.command()(command)

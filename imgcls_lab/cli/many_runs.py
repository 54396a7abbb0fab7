"""`imgcls-lab tag | archive | unarchive | move | delete | tags | views`: what is done with one run or with many.

The runs are named by their ids or chosen by a query. Each that stays as it is, is named on stderr with the reason, and
the exit code is 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls_lab.cli.output import Json, print_json, print_table, say
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted

if TYPE_CHECKING:
    from imgcls_lab.schemas import ActionReply, EditedRuns, RefusedRun

RunIds = Annotated[list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids of runs, or their beginnings.")]
Where = Annotated[str | None, typer.Option(help="All runs that this query finds, as of `runs --where`.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only say which runs it would be; nothing is changed.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
EXAMPLES = {
    "tag": ("tag --where 'lr>1e-3 created>7d' --add promising --remove old", "tag 20261129-095605-97xvkt --add best"),
    "archive": ("archive --where 'state=failed created<30d' --dry-run",),
    "unarchive": ("unarchive --where 'archived=true tag=best'",),
    "move": ("move production 20261129-095605-97xvkt", "move birds --where 'data=*birds'"),
    "delete": ("delete --where 'archived=true size>1GB' --dry-run", "delete 20261129-095605-97xvkt --yes"),
    "tags": ("tags",),
    "views": ("views", "views --delete 'Best of last week'"),
}


def tag(  # noqa: PLR0917
    run_ids: RunIds = None,
    add: Annotated[list[str] | None, typer.Option("--add", help="A tag that they get. Repeatable.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", help="A tag that they lose. Repeatable.")] = None,
    where: Where = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Give runs tags, or take them away."""
    if not add and not remove:
        raise InputError("Say which tags: --add TAG, --remove TAG.")
    edits = {"add_tags": add or [], "remove_tags": remove or []}
    _edit(chosen(run_ids, where), "tagged", dry_run=dry_run, as_json=as_json, **edits)


def archive(run_ids: RunIds = None, where: Where = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Leave runs that have ended out of lists; `runs --where archived=any` shows them."""
    _edit(chosen(run_ids, where), "archived", dry_run=dry_run, as_json=as_json, archived=True)


def unarchive(run_ids: RunIds = None, where: Where = None, dry_run: DryRun = False, as_json: Json = False) -> None:
    """Bring archived runs back into lists. A query has to say archived=true."""
    _edit(chosen(run_ids, where), "back in the lists", dry_run=dry_run, as_json=as_json, archived=False)


def move(
    project: Annotated[str, typer.Argument(help="The project; made if there is none.")],
    run_ids: RunIds = None,
    where: Where = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Move runs to another project."""
    from imgcls_lab.api import context
    from imgcls_lab.api.validation import project_id

    runs = chosen(run_ids, where)
    if dry_run and context.store().projects.named(project) is None:
        say(f"The project “{project}” would be made.", err=True)
        _edit(runs, f"moved to {project}", dry_run=True, as_json=as_json)
        return
    number = project_id(context.store(), project, make=True)
    _edit(runs, f"moved to {project}", dry_run=dry_run, as_json=as_json, project_id=number)


def delete(
    run_ids: RunIds = None,
    where: Where = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be deleted and freed.")] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Delete runs that have ended, with their metrics and folders, for good."""
    from imgcls_lab.api import many_runs

    runs = chosen(run_ids, where)
    if not yes or dry_run:
        told = many_runs.delete(runs, dry_run=True)
        if not as_json:
            _say_refused(told.refused)
            say(f"{counted(len(told.deleted), 'run')} to delete: frees {_bytes(told.freed)}{_shared(told.shared)}.")
        elif dry_run:
            print_json(told)
        if dry_run or not told.deleted:
            raise typer.Exit(1 if told.refused else 0)
        typer.confirm("Delete for good? This cannot be undone.", abort=True)
    done = many_runs.delete(runs)
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


def _edit(runs: Sequence[str], done: str, *, dry_run: bool, as_json: bool, **fields: Any) -> None:
    from imgcls_lab.api import many_runs

    say_done(many_runs.edit(runs, dry_run=dry_run, **fields), done, dry_run=dry_run, as_json=as_json)


def say_done(reply: EditedRuns | ActionReply, done: str, *, dry_run: bool, as_json: bool) -> None:
    """What became of many runs, or would. Exits with 1 where some stay as they are."""
    if as_json:
        print_json(reply)
    else:
        _say_refused(reply.refused)
        if dry_run:
            for run in reply.changed:
                say(f"{run.id}  {run.name}  ({run.state.value})")
        number = counted(len(reply.changed), "run")
        say(f"{number} would be {done}; nothing is changed." if dry_run else f"{number} {done}.")
    if reply.refused:
        raise typer.Exit(1)


def chosen(run_ids: Sequence[str] | None, where: str | None) -> list[str]:
    """The runs that are named, or that a query finds. Raises InputError."""
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


def add_with_examples(
    app: typer.Typer, commands: Sequence[Callable[..., None]], examples: Mapping[str, Sequence[str]]
) -> None:
    """Add commands whose help ends with examples; a blank line keeps each on a line of its own.

    A function may end with `_`, where its name is one of Python's own.
    """
    for command in commands:
        name = command.__name__.removesuffix("_")
        lines = [f"imgcls-lab {example}" for example in examples[name]]
        app.command(name, epilog="\n\n".join(["Examples:", *lines]))(command)


def add_to(app: typer.Typer) -> None:
    add_with_examples(app, (tag, archive, unarchive, move, delete, tags, views), EXAMPLES)

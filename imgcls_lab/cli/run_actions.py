"""`imgcls-lab stop | kill | resume`: what a run is asked to do, or many that are named or found by a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from imgcls_lab.cli.many_runs import DryRun, RunIds, Where, add_with_examples, chosen, say_done
from imgcls_lab.cli.output import Json, print_json, read_settings, warn_unattended
from imgcls_lab.cli.runs import say_line
from imgcls_lab.errors import InputError

if TYPE_CHECKING:
    from imgcls_lab.api.run_handle import Run

Wait = Annotated[bool, typer.Option("--wait", help="Wait until it has ended.")]
EXAMPLES = {
    "stop": ("stop 20261129-095605-97xvkt --wait", "stop --where 'parent=20261129-091200-k2m4np' --dry-run"),
    "kill": ("kill 20261129-095605-97xvkt", "kill --where 'state=live host=lab-2'"),
    "resume": (
        "resume 20261129-095605-97xvkt --set num_workers=0",
        "resume --where 'state=failed created>7d' --dry-run",
    ),
}


def stop(
    run_ids: RunIds = None, where: Where = None, wait: Wait = False, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """Stop runs after a checkpoint; they can be resumed. Queued ones are cancelled."""
    _end(run_ids, where, "stop", lambda run: run.stop(), wait=wait, dry_run=dry_run, as_json=as_json)


def kill(
    run_ids: RunIds = None, where: Where = None, wait: Wait = False, dry_run: DryRun = False, as_json: Json = False
) -> None:
    """End runs now, without a checkpoint; they can be resumed from their last ones."""
    _end(run_ids, where, "kill", lambda run: run.kill(), wait=wait, dry_run=dry_run, as_json=as_json)


def resume(
    run_ids: RunIds = None,
    where: Where = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Of one run: a setting that changes no result, such as num_workers=0, cache=off or keep_last=5. "
            "Repeatable.",
        ),
    ] = None,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Queue stopped, failed or cancelled runs again; each goes on exactly from its last checkpoint.

    Without a checkpoint it starts from the beginning.
    """
    if settings and (where is not None or dry_run or len(run_ids or ()) != 1):
        raise InputError("--set changes one run at a time: name it by its id, without --where and --dry-run.")
    if _is_one(run_ids, where, dry_run):
        _one(run_ids[0], lambda run: run.resume(**read_settings(settings)), as_json=as_json)  # type: ignore[index]
        return
    _many(run_ids, where, "resume", dry_run=dry_run, as_json=as_json)


def _end(
    run_ids: Sequence[str] | None,
    where: str | None,
    action: Literal["stop", "kill"],
    act: Callable[[Run], Run],
    *,
    wait: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    if not _is_one(run_ids, where, dry_run):
        _many(run_ids, where, action, wait=wait, dry_run=dry_run, as_json=as_json)
        return

    def act_and_wait(run: Run) -> Run:
        act(run)
        if wait:
            run.wait()
        return run

    _one(run_ids[0], act_and_wait, as_json=as_json)  # type: ignore[index]


def _is_one(run_ids: Sequence[str] | None, where: str | None, dry_run: bool) -> bool:
    """Whether one run is named, whose answer is the run itself and whose refusal is an error."""
    return where is None and not dry_run and len(run_ids or ()) == 1


def _one(run_id: str, act: Callable[[Run], Any], *, as_json: bool) -> None:
    from imgcls_lab import api

    view = act(api.run(run_id)).view
    warn_unattended([view])
    if as_json:
        print_json(view)
    else:
        say_line(view)


DONE = {"stop": "asked to stop", "kill": "asked to end now", "resume": "queued again"}


def _many(
    run_ids: Sequence[str] | None,
    where: str | None,
    action: Literal["stop", "kill", "resume"],
    *,
    wait: bool = False,
    dry_run: bool,
    as_json: bool,
) -> None:
    from imgcls_lab import api
    from imgcls_lab.api import many_runs

    reply = many_runs.act(chosen(run_ids, where), action, dry_run=dry_run)
    warn_unattended(reply.changed)
    for view in reply.changed if wait and not dry_run else ():
        api.run(view.id).wait()
    say_done(reply, DONE[action], dry_run=dry_run, as_json=as_json)


def add_to(app: typer.Typer) -> None:
    add_with_examples(app, (stop, kill, resume), EXAMPLES)

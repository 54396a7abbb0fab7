"""Many runs at once: found by a query, edited, stopped, resumed, deleted. Called by the command line.

The store takes so many runs in one request; more are sent in several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

from imgcls_lab.api import context
from imgcls_lab.api.validation import request
from imgcls_lab.executor import client
from imgcls_lab.schemas import ActionReply, ActionRequest, Deletion, EditedRuns, RunEdit, RunEdits, RunsEdit
from imgcls_lab.schemas.limits import MAX_CHANGED, MAX_IDS
from imgcls_lab.store.queries import RunOrder, filter_of


def found(where: str) -> list[str]:
    """The ids of the runs that a query finds, newest first. Raises InputError."""
    return context.store().run_lists.ids(filter_of(where), RunOrder(limit=MAX_IDS)).ids


def edit(runs: Sequence[str], *, dry_run: bool = False, **fields: Any) -> EditedRuns:
    """Change the same of many runs; those that cannot be changed are named with the reason. Of one, it is raised.

    dry_run: only say which would be changed.
    """
    wanted, store = request(RunEdit, **fields), context.store()
    if len(runs) == 1 and not dry_run:
        one = store.runs.edit(runs[0], wanted)
        return EditedRuns(changed=[one], refused=[], undo=[RunsEdit(runs=[one.id], edit=one.undo)])
    whole = EditedRuns(changed=[], refused=[], undo=[])
    for part in _parts(runs):
        reply = store.runs.edit_many(RunEdits(edits=[RunsEdit(runs=part, edit=wanted)], dry_run=dry_run))
        whole.changed += reply.changed
        whole.refused += reply.refused
        whole.undo += reply.undo
    return whole


def act(runs: Sequence[str], action: Literal["stop", "kill", "resume"], *, dry_run: bool = False) -> ActionReply:
    """Stop, kill or resume many runs, or only say which; those that cannot be are named with the reason."""
    store, whole = context.store(), ActionReply(changed=[], refused=[])
    for part in _parts(runs):
        reply = store.runs.act_many(request(ActionRequest, runs=part, action=action, dry_run=dry_run))
        whole.changed += reply.changed
        whole.refused += reply.refused
    if action == "resume" and whole.changed and not dry_run:
        client.ensure(store.settings)
    return whole


def delete(runs: Sequence[str], *, dry_run: bool = False) -> Deletion:
    """Delete many runs for good, or only say what that frees. What one cannot be deleted for is raised."""
    store = context.store()
    if len(runs) == 1 and not dry_run:
        return store.runs.delete(runs[0])
    whole = Deletion(deleted=[], refused=[], freed=0, shared=0, elsewhere=[], dry_run=dry_run)
    for part in _parts(runs):
        reply = store.runs.delete_many(part, dry_run=dry_run)
        whole.deleted += reply.deleted
        whole.refused += reply.refused
        whole.elsewhere += reply.elsewhere
        whole.freed += reply.freed
        whole.shared += reply.shared
    return whole


def _parts(runs: Sequence[str]) -> Iterator[list[str]]:
    return (list(runs[start : start + MAX_CHANGED]) for start in range(0, len(runs), MAX_CHANGED))

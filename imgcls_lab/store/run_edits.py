"""What people change of runs: name, notes, tags, priority, project, archived; of one run or of many at once.

Called by `store.runs`. Each answer holds the edits that undo it. Of many, what cannot be changed is left as it is and
named with the reason; the others are changed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

from sqlmodel import Session

from imgcls_lab.errors import ConflictError, ForbiddenError, ImgclsError, InputError, NotFoundError, StoreError
from imgcls_lab.events import ENDED, RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import RefusedRun, RunEdit, RunEdits, RunsEdit
from imgcls_lab.schemas.limits import MAX_CHANGED
from imgcls_lab.store import audit, rights, run_tags, states
from imgcls_lab.store.database import Database
from imgcls_lab.store.registry import find_project
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Project, Run

T = TypeVar("T")
AT_ONCE = 50  # runs that one transaction changes: others wait no longer
_GIVEN = ("name", "notes", "priority", "project_id", "archived", "tags")


def edit_run(session: Session, text: str, edit: RunEdit) -> tuple[str, RunEdit]:
    """Change one run; its id, and what undoes it. Raises NotFoundError, ForbiddenError, ConflictError, InputError."""
    run = find_run(session, text)
    rights.check(session, "edited", run)
    before = {name: getattr(run, name) for name in _GIVEN}
    values = {name: value for name, value in _values(run, edit).items() if value != before[name]}
    if values.get("archived") and RunState(run.state) not in ENDED:
        raise ConflictError(
            f"The run “{run.name}” is {run.state}; a run is archived once it has ended.", reason="not_ended"
        )
    changed = audit.changes(before, values)
    if "project_id" in values:
        project = find_project(session, values["project_id"])
        rights.check_into(session, project)
        changed["project"] = [session.get_one(Project, run.project_id).name, project.name]
        del changed["project_id"]
    if values:
        audit.record(session, "edited", run, changed=changed)
        if not states.change_run(session, run.id, **values):
            raise NotFoundError(f"The run “{run.name}” was just deleted.")
    return run.id, RunEdit(**{name: before[name] for name in values})


def _values(run: Run, edit: RunEdit) -> dict[str, Any]:
    """The columns that an edit sets."""
    values = edit.model_dump(include={*_GIVEN}, exclude_none=True)
    if edit.tags is not None or edit.add_tags or edit.remove_tags:
        values["tags"] = run_tags.changed(run.tags if edit.tags is None else edit.tags, edit.add_tags, edit.remove_tags)
    return values


class _Rehearsed(Exception):  # noqa: N818 — no error: it ends a transaction that was only tried
    """Takes back what a transaction has written."""


class ManyRuns:
    """One change after another of many runs, a few in each transaction. `refused`: runs that could not be changed.

    dry_run: each transaction is taken back at its end, so that nothing is changed.
    """

    def __init__(self, database: Database, *, dry_run: bool = False) -> None:
        self._database = database
        self._dry_run = dry_run
        self.refused: list[RefusedRun] = []

    def apply(self, runs: Sequence[str], change: Callable[[Session, str], Any]) -> Iterator[tuple[str, Any]]:
        """Run after run: its id, and what its change gives. Raises StoreError; what is done until then stays.

        A change that is refused must not have written anything.
        """
        for start in range(0, len(runs), AT_ONCE):
            done = []
            with suppress(_Rehearsed), self._database.write() as session:
                for run_id in runs[start : start + AT_ONCE]:
                    try:
                        done.append((run_id, change(session, run_id)))
                    except StoreError:
                        raise
                    except ImgclsError as error:
                        self.refuse(session, run_id, error)
                if self._dry_run:
                    raise _Rehearsed
            yield from done

    def look(self, runs: Sequence[str], look: Callable[[str], T]) -> list[T]:
        """What `look` says of each run; those that it raises an error for are refused. Writes nothing."""
        found = []
        for run_id in runs:
            try:
                found.append(look(run_id))
            except StoreError:
                raise
            except ImgclsError as error:
                self.refused.append(_refused(run_id, error))
        return found

    def refuse(self, session: Session, run_id: str, error: ImgclsError) -> None:
        """Note why a run could not be changed."""
        if isinstance(error, ForbiddenError) and isinstance(act := error.data.get("act"), audit.Act):
            audit.record_refusal(session, act)
        self.refused.append(_refused(run_id, error))


def _refused(run_id: str, error: ImgclsError) -> RefusedRun:
    return RefusedRun(run=run_id, message=str(error), reason=error.reason)


def edit_many(database: Database, edits: RunEdits) -> tuple[list[str], list[RefusedRun], list[RunsEdit]]:
    """Change many runs, or only try: ids of those that are changed, those that are not, and the edits that undo it.

    Raises InputError for more runs than one request changes.
    """
    wanted = sum(len(part.runs) for part in edits.edits)
    check_number(wanted)
    many, changed, undo = ManyRuns(database, dry_run=edits.dry_run), [], _Undo()
    for part in edits.edits:
        edit = partial(edit_run, edit=part.edit)
        for _, (run_id, before) in many.apply(list(dict.fromkeys(part.runs)), edit):
            changed.append(run_id)
            undo.add(run_id, before)
    return list(dict.fromkeys(changed)), many.refused, undo.edits()


def check_number(runs: int) -> None:
    """Raises InputError for more runs than one request changes."""
    if runs > MAX_CHANGED:
        raise InputError(f"One request changes at most {MAX_CHANGED:,} runs, not {counted(runs, 'run')}; send several.")


class _Undo:
    """Edits that give runs back what they had; runs that had the same are together."""

    def __init__(self) -> None:
        self._runs: dict[str, list[str]] = {}

    def add(self, run_id: str, before: RunEdit) -> None:
        if before.model_fields_set:
            self._runs.setdefault(before.model_dump_json(exclude_unset=True), []).append(run_id)

    def edits(self) -> list[RunsEdit]:
        """The last change is undone first, for a run that was changed twice."""
        return [RunsEdit(runs=runs, edit=RunEdit.model_validate_json(text)) for text, runs in self._runs.items()][::-1]

"""How many runs of a project are in each state, archived or not: `run_counts`, which triggers keep.

Lists and projects read it. Nobody writes it but the triggers of revision 0011 and `recount`, which `db rebuild` calls.
"""

from __future__ import annotations

from sqlalchemy import delete, func, insert
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from imgcls_lab.events import RunState
from imgcls_lab.store.tables import Counter, Run, RunCount

_BY = (col(Run.project_id), col(Run.state), col(Run.archived))
_COUNTED = sa_select(*_BY, func.count()).group_by(*_BY)


def by_state(session: Session, project_id: int | None = None, archived: bool | None = False) -> dict[RunState, int]:
    """Runs of one project or of all; a state that no run is in is left out. archived: None: all."""
    kept = select(RunCount.state, func.sum(col(RunCount.count))).group_by(col(RunCount.state))
    if archived is not None:
        kept = kept.where(col(RunCount.archived) == archived)
    if project_id is not None:
        kept = kept.where(RunCount.project_id == project_id)
    return {RunState(state): int(count) for state, count in session.exec(kept) if count}


def by_project(session: Session) -> dict[int, int]:
    kept = select(RunCount.project_id, func.sum(col(RunCount.count))).group_by(col(RunCount.project_id))
    return {project_id: int(count) for project_id, count in session.exec(kept)}


def are_right(session: Session) -> bool:
    """Whether counting the runs one by one gives the same numbers."""
    by = (col(RunCount.project_id), col(RunCount.state), col(RunCount.archived), col(RunCount.count))
    kept = sa_select(*by).where(col(RunCount.count) != 0)
    return set(session.execute(_COUNTED)) == set(session.execute(kept))


def recount(session: Session) -> None:
    """Count the runs anew. Whoever changes one waits at the counter of changes until this is committed."""
    session.exec(select(Counter.value).where(Counter.name == "changes").with_for_update())
    session.execute(delete(RunCount))
    session.execute(insert(RunCount).from_select(["project_id", "state", "archived", "count"], _COUNTED))

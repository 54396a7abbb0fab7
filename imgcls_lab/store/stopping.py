"""What a run is asked to do: stop after a checkpoint, or end now. One that waits is called back.

Called by `store.runs` in its transaction.
"""

from __future__ import annotations

import time
from typing import Any

from sqlmodel import Session, col, select

from imgcls_lab.errors import ConflictError
from imgcls_lab.events import ENDED, LIVE, DesiredState, RunState
from imgcls_lab.store import audit, claims, rights, states
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.tables import Attempt, Run


def set_desired_state(session: Session, text: str, desired: DesiredState) -> str:
    """Raises ConflictError, ForbiddenError. Returns the run's id."""
    run = find_run(session, text)
    action = "stopped" if desired is DesiredState.STOP else "killed"
    rights.check(session, action, run)
    claims.refuse_view_only(run)
    back, values = _called_back(session, run)
    values |= {"phase": None, "seconds_left": None, "desired_state": desired.value}
    if states.move(session, run.id, back, col(Run.state) == RunState.QUEUED.value, **values):
        audit.record(session, action, run)
        return run.id
    live = col(Run.state).in_(states.texts(LIVE))
    weaker = ["run"] if desired is DesiredState.STOP else ["run", "stop"]
    if states.change_run(session, run.id, live, col(Run.desired_state).in_(weaker), desired_state=desired.value):
        audit.record(session, action, run)
        return run.id
    state = RunState(session.exec(select(Run.state).where(Run.id == run.id)).one())
    if state in {RunState.SUCCEEDED, RunState.FAILED}:
        raise ConflictError(f"The run “{run.name}” is not running any more: it {state.value}.")
    return run.id


def _called_back(session: Session, run: Run) -> tuple[RunState, dict[str, Any]]:
    """What a waiting run is when it is called back, and the columns that say so."""
    last = session.get(Attempt, (run.id, run.attempt))
    if last is None:
        return RunState.CANCELLED, {"ended_at": time.time(), "message": None, "failure": None}
    state = RunState(last.state)
    if state not in ENDED:  # lost, and on its way to go on
        state = RunState.STOPPED if run.saved_step else RunState.CANCELLED
    message = f"{last.message.rstrip('.')}." if last.message else None
    return state, {"ended_at": last.ended_at or time.time(), "message": message, "failure": last.failure}

"""Alerts: what a person should be told once. Written by daemons, shown by panel and command line, sent by the webhook.

The id of an alert names its cause. So each cause gives one alert, however many daemons notice it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from sqlalchemy import delete, update
from sqlmodel import Session, col, select

from imgcls_lab.config.evaluation import format_metric
from imgcls_lab.events import FailureKind, RunState
from imgcls_lab.schemas import AlertKind, AlertView
from imgcls_lab.store.database import Database, to_folder, touch_alert
from imgcls_lab.store.tables import Alert, Counter, Run

KEPT = 1000
FRESH = 3600.0  # seconds: a run that ended earlier was found, not watched, and is no news


class Alerts:
    """`store.alerts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, limit: int = 100) -> Sequence[AlertView]:
        """The newest alerts, newest first."""
        with self._database.read() as session:
            rows = session.exec(select(Alert).order_by(col(Alert.change).desc()).limit(limit))
            return [view(row) for row in rows]

    def since(self, change: int | None) -> tuple[Sequence[AlertView], int]:
        """Alerts after a value of the counter of changes, oldest first, and the value to ask with next time.

        change: None for a reader that begins now and wants none of the past.
        """
        with self._database.read() as session:
            now = session.exec(select(Counter.value).where(Counter.name == "changes")).one()
            if change is None or change >= now:
                return [], now
            rows = session.exec(select(Alert).where(col(Alert.change) > change).order_by(col(Alert.change)))
            return [view(row) for row in rows], now


def add(
    session: Session,
    alert_id: str,
    kind: AlertKind,
    text: str,
    *,
    host: str | None,
    run_id: str | None = None,
    at: float | None = None,
) -> None:
    """Add an alert about something that happened, now or `at` a time, unless it was added already."""
    if session.get(Alert, alert_id) is not None:
        return
    hook = session.info.get("webhook_state")
    when = time.time() if at is None else at
    session.add(
        Alert(
            id=alert_id, kind=kind, run_id=run_id, host=host, home=session.info["home"], text=text, created_at=when,
            webhook_state=hook,
        )
    )  # fmt: skip
    session.flush()
    touch_alert(session, alert_id)
    _record(session, run_id)


def ended(session: Session, run_id: str, attempt: int, state: RunState, *, lost: bool, at: float) -> None:
    """Tell that a run has finished, failed, or was lost and tried again. Whoever stopped one knows it."""
    if abs(time.time() - at) > FRESH:
        return
    run = session.exec(select(Run).where(Run.id == run_id)).one()
    session.expunge(run)  # read only
    kind: AlertKind
    if state is RunState.SUCCEEDED:
        best = f", best {format_metric(run.best_metric, run.best_value)}" if run.best_metric and run.best_value else ""
        kind, text = "finished", f"“{run.name}” has finished{best}."
    elif state is RunState.FAILED:
        kind = "lost" if run.failure == FailureKind.LOST.value else "failed"
        text = f"“{run.name}” failed: {run.message or 'the log says why'}"
    elif lost:
        kind, text = "lost", f"“{run.name}”: {run.message}"
    else:
        return
    add(session, f"{run_id}-{attempt}-end", kind, text, host=run.host, run_id=run_id, at=at)


def view(row: Alert) -> AlertView:
    return AlertView.model_validate(row.model_dump(exclude={"webhook_state", "home", "change"}))


def pending(session: Session, host: str, limit: int = 50) -> list[AlertView]:
    """Alerts of this home on a host that its webhook has not sent yet, oldest first."""
    rows = session.exec(
        select(Alert)
        .where(Alert.webhook_state == "pending", Alert.host == host, Alert.home == session.info["home"])
        .order_by(col(Alert.change))
        .limit(limit)
    )
    return [view(row) for row in rows]


def mark(session: Session, alert_id: str, hook: str) -> None:
    """Note what became of an alert's webhook: sent or failed."""
    marked = update(Alert).where(col(Alert.id) == alert_id).values(webhook_state=hook).returning(col(Alert.run_id))
    for (run_id,) in session.execute(marked):
        _record(session, run_id)


def _record(session: Session, run_id: str | None) -> None:
    """Folders hold the alerts too, so that a database made anew does not send them again."""
    if run_id is not None:
        to_folder(session, run_id)
    else:
        session.info["registry"] = True


def prune(session: Session) -> None:
    """Drop all but the newest."""
    oldest = select(Alert.change).order_by(col(Alert.change).desc()).offset(KEPT).limit(1)
    session.execute(delete(Alert).where(col(Alert.change) <= oldest.scalar_subquery()))

"""Alerts: what a person should be told once. Written by daemons, shown by panel and command line, sent by the webhook.

The id of an alert names its cause. So each cause gives one alert, however many daemons notice it.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import delete, update
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from imgcls_lab.config.evaluation import format_metric
from imgcls_lab.events import FailureKind, RunKind, RunState
from imgcls_lab.schemas import AlertIds, AlertKind, AlertsBatch, AlertView
from imgcls_lab.store.database import Database, to_folder, touch_alert, touch_dismissal
from imgcls_lab.store.folder_rows import sole_user
from imgcls_lab.store.tables import Alert, AlertDismissal, Counter, Run

KEPT = 1000
FRESH = 3600.0  # seconds: a run that ended earlier was found, not watched, and is no news


class Alerts:
    """`store.alerts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self, limit: int = 100) -> Sequence[AlertView]:
        """The newest alerts, newest first."""
        with self._database.read() as session:
            return _views(session, _told(session).order_by(col(Alert.change).desc()).limit(limit))

    def since(self, change: int | None) -> tuple[AlertsBatch, int]:
        """What is new after a value of the counter of changes, oldest first, and the value to ask with next time.

        change: None for a reader that begins now and wants none of the past.
        """
        with self._database.read() as session:
            now = session.exec(select(Counter.value).where(Counter.name == "changes")).one()
            if change is None or change >= now:
                return AlertsBatch(alerts=[]), now
            told = _views(session, _told(session).where(col(Alert.change) > change).order_by(col(Alert.change)))
            moved = select(AlertDismissal).where(
                AlertDismissal.user == sole_user(session), col(AlertDismissal.change) > change
            )
            batch = AlertsBatch(alerts=told)
            for row in session.exec(moved.order_by(col(AlertDismissal.id))):
                (batch.dismissed if row.dismissed else batch.restored).append(row.alert_id)
            return batch, now

    def dismiss(self, ids: Sequence[str]) -> AlertIds:
        """Put alerts away for the user; those that were not so before, which `restore` brings back."""
        return self._set_dismissed(ids, dismissed=True)

    def restore(self, ids: Sequence[str]) -> AlertIds:
        """Bring back alerts that the user has put away; which these were."""
        return self._set_dismissed(ids, dismissed=False)

    def _set_dismissed(self, ids: Sequence[str], *, dismissed: bool) -> AlertIds:
        with self._database.write() as session:
            user, wanted = sole_user(session), list(dict.fromkeys(ids))
            there = set(session.exec(select(Alert.id).where(col(Alert.id).in_(wanted))))
            mine = select(AlertDismissal).where(AlertDismissal.user == user, col(AlertDismissal.alert_id).in_(wanted))
            rows = {row.alert_id: row for row in session.exec(mine)}
            moved = []
            for alert_id in wanted:  # one that has been dropped meanwhile is passed over
                row = rows.get(alert_id) or AlertDismissal(user=user, alert_id=alert_id, dismissed=False)
                if alert_id in there and row.dismissed != dismissed:
                    row.dismissed = dismissed
                    moved.append(row)
            session.add_all(moved)
            session.flush()
            for row in moved:
                touch_dismissal(session, row.id or 0)
            session.info["registry"] = bool(moved) or session.info.get("registry", False)  # the home keeps them, too
            return AlertIds.model_construct(ids=[row.alert_id for row in moved])


def _told(session: Session) -> Any:
    """Alerts, with the sweep whose trial each is about, and whether the user has put it away."""
    sweep = aliased(Run)
    dismissal = (
        (col(AlertDismissal.alert_id) == col(Alert.id))
        & (col(AlertDismissal.user) == sole_user(session))
        & col(AlertDismissal.dismissed).is_(True)
    )
    columns: Any = (Alert, sweep.id, sweep.name, AlertDismissal.id)
    return (
        select(*columns)
        .outerjoin(Run, col(Run.id) == col(Alert.run_id))
        .outerjoin(sweep, (col(sweep.id) == col(Run.parent_id)) & (col(sweep.kind) == RunKind.SWEEP.value))
        .outerjoin(AlertDismissal, dismissal)
    )


def _views(session: Session, told: Any) -> list[AlertView]:
    return [
        view(row).model_copy(
            update={"sweep_id": sweep_id, "sweep_name": sweep_name, "dismissed": dismissal is not None}
        )
        for row, sweep_id, sweep_name, dismissal in session.exec(told)
    ]


def add(
    session: Session,
    alert_id: str,
    kind: AlertKind,
    text: str,
    *,
    host: str | None,
    run_id: str | None = None,
) -> None:
    """Add an alert about something that happens now, unless it was added already."""
    _add(session, [_new(session, alert_id, kind, text, host=host, run_id=run_id, created_at=time.time())])


def _new(session: Session, alert_id: str, kind: AlertKind, text: str, **columns: Any) -> Alert:
    hook, home = session.info.get("webhook_state"), session.info["home"]
    return Alert(id=alert_id, kind=kind, text=text, home=home, webhook_state=hook, **columns)


def _add(session: Session, found: Sequence[Alert]) -> None:
    if not found:
        return
    there = set(session.exec(select(Alert.id).where(col(Alert.id).in_([alert.id for alert in found]))))
    fresh = [alert for alert in found if alert.id not in there]
    session.add_all(fresh)
    session.flush()
    for alert in fresh:
        touch_alert(session, alert.id)
        _record(session, alert.run_id)


class Ended(NamedTuple):
    """An attempt of a run that has ended: the run's state now, and when that was found.

    lost: it was lost, and not by the way to another host.
    """

    run: Run
    attempt: int
    state: RunState
    lost: bool
    at: float


def ended(session: Session, found: Sequence[Ended]) -> None:
    """Tell that runs have finished, failed, or were lost and tried again. Whoever stopped one knows it."""
    now = time.time()
    _add(session, [told for each in found if abs(now - each.at) <= FRESH and (told := _of_end(session, each))])


def _of_end(session: Session, ended: Ended) -> Alert | None:
    run = ended.run
    kind: AlertKind
    if ended.state is RunState.SUCCEEDED:
        best = f", best {format_metric(run.best_metric, run.best_value)}" if run.best_metric and run.best_value else ""
        kind, text = "finished", f"“{run.name}” has finished{best}."
    elif ended.state is RunState.FAILED:
        kind = "lost" if run.failure == FailureKind.LOST.value else "failed"
        text = f"“{run.name}” failed: {run.message or 'the log says why'}"
    elif ended.lost:
        kind, text = "lost", f"“{run.name}”: {run.message}"
    else:
        return None
    of_run: dict[str, Any] = {"host": run.host, "run_id": run.id, "created_at": ended.at}
    return _new(session, f"{run.id}-{ended.attempt}-end", kind, text, **of_run)


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


def restore_dismissals(session: Session, ids: Sequence[str]) -> None:
    """Put away alerts that the user had put away before the database was made anew; what it knows of one stays."""
    user = sole_user(session)
    there = {*session.exec(select(Alert.id).where(col(Alert.id).in_(ids)))}
    known = {*session.exec(select(AlertDismissal.alert_id).where(AlertDismissal.user == user))}
    rows = [
        AlertDismissal(user=user, alert_id=alert_id, dismissed=True) for alert_id in ids if alert_id in there - known
    ]
    session.add_all(rows)
    session.flush()
    for row in rows:
        touch_dismissal(session, row.id or 0)
    session.info["registry"] = True


def prune(session: Session) -> None:
    """Drop all but the newest."""
    oldest = select(Alert.change).order_by(col(Alert.change).desc()).offset(KEPT).limit(1)
    session.execute(delete(Alert).where(col(Alert.change) <= oldest.scalar_subquery()))

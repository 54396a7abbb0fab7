"""The record of who did what, when and by which way: written in the transaction of the change itself, read as events.

Called by the store's modules that change something for a user, and by what only an executor does. An event outlives its
subject. Nothing here is in the folders: a user could write it there, so `db rebuild` brings no event back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import delete, insert
from sqlmodel import Session, col, select

from imgcls_lab.identity import host_name, user_name
from imgcls_lab.schemas import AuditEventView, Way
from imgcls_lab.store.tables import AuditEvent, Config, Dataset, Model, Project, Run, User

PRUNE_EVERY = 200  # events between two looks at how many there are
SAME_REFUSAL = 60.0  # seconds within which a refused request that is sent again is one event
LONGEST = 200  # characters of a value that an event holds
Subject = Run | Project | Config | Dataset | Model
NOUNS = {
    "run": "run",
    "project": "project",
    "config": "config",
    "dataset": "data set",
    "model": "model",
    "user": "user",
}
_KINDS: dict[type[Any], str] = {
    Run: "run", Project: "project", Config: "config", Dataset: "dataset", Model: "model", User: "user",
}  # fmt: skip
_WAYS: dict[str, str] = {
    "panel": "from the panel", "cli": "from the command line", "python": "from Python", "sweep": "by a sweep",
}  # fmt: skip
# What an event is called, and what it is called where it was refused.
ACTIONS = {
    "launched": ("launched", "launch it"),
    "stopped": ("stopped", "stop it"),
    "killed": ("killed", "kill it"),
    "resumed": ("resumed", "resume it"),
    "changed": ("changed while it trains", "change it"),
    "edited": ("edited", "edit it"),
    "deleted": ("deleted", "delete it"),
    "claimed": ("claimed", "claim it"),
    "verified": ("verified", "verify it"),
    "added": ("added", "add it"),
    "corrected": ("corrected", "correct it"),
    "rescanned": ("inspected again", "inspect it again"),
    "explained": ("explained", "explain it"),
    "joined": ("opened to a member", "open it to a member"),
    "left": ("closed to a member", "close it to a member"),
    "started": ("started", "start it"),
    "requeued": ("queued again", "queue it again"),
    "lost": ("given up", "give it up"),
    "cancelled": ("cancelled", "cancel it"),
}


@dataclass(frozen=True)
class Actor:
    """Who changes something, on which host and by which way. Of this process, never of a request."""

    user: str
    host: str
    way: Way

    @classmethod
    def current(cls, way: Way) -> Actor:
        return cls(user_name(), host_name(), way)


class Act(NamedTuple):
    """What somebody does or wants to do: a key of ACTIONS, and to what."""

    action: str
    kind: str
    subject_id: str
    subject_name: str
    project_id: int | None

    @classmethod
    def on(cls, action: str, subject: Subject | User) -> Act:
        project_id = subject.id if isinstance(subject, Project) else getattr(subject, "project_id", None)
        subject_id = subject.name if isinstance(subject, User) else str(subject.id)
        return cls(action, _KINDS[type(subject)], subject_id, subject.name, project_id)


def actor_of(session: Session) -> Actor:
    """Who acts in a session of the database."""
    found: Actor = session.info["actor"]
    return found


def record(session: Session, action: str, subject: Subject | User, by: Actor | None = None, **details: Any) -> None:
    """Note what this transaction does. The subject has its id. by: who did it, by default the session's actor."""
    record_all(session, action, [(subject, details)], by)


def record_all(
    session: Session,
    action: str,
    subjects: Sequence[tuple[Subject | User, Mapping[str, Any]]],
    by: Actor | None = None,
) -> None:
    """The same of several subjects, each with its details."""
    _add(session, [(Act.on(action, subject), _short(details)) for subject, details in subjects], by=by)


def record_refusal(session: Session, act: Act) -> None:
    """Note what was refused, once where it is asked again and again."""
    actor, since = actor_of(session), time.time() - SAME_REFUSAL
    same = select(AuditEvent.id).where(
        AuditEvent.kind == act.kind, AuditEvent.subject_id == act.subject_id, AuditEvent.action == act.action,
        AuditEvent.user == actor.user, col(AuditEvent.refused).is_(True), col(AuditEvent.time) > since,
    )  # fmt: skip
    if session.exec(same.limit(1)).first() is None:
        _add(session, [(act, {})], refused=True)


def _add(
    session: Session, acts: Sequence[tuple[Act, Mapping[str, Any]]], *, by: Actor | None = None, refused: bool = False
) -> None:
    if not acts:
        return
    actor = by or actor_of(session)
    same = {"time": time.time(), "user": actor.user, "host": actor.host, "way": actor.way, "refused": refused}
    rows = [{**same, "details": dict(details), **act._asdict()} for act, details in acts]
    numbers = session.execute(insert(AuditEvent).returning(col(AuditEvent.id)), rows).scalars().all()
    kept = session.info["audit_kept"]
    if kept is not None and any(number % PRUNE_EVERY == 0 for number in numbers):
        session.execute(delete(AuditEvent).where(col(AuditEvent.id) <= max(numbers) - kept))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Field -> value before and after, of what differs; for the details of an event."""
    return {
        name: [_short(before.get(name)), _short(value)] for name, value in after.items() if before.get(name) != value
    }


def _short(value: Any) -> Any:
    """A value as an event holds it: plain and not long."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {str(key): _short(item) for key, item in list(value.items())[:50]}
    if isinstance(value, list | tuple):
        return [_short(item) for item in value[:50]]
    text = str(value)
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def sentence(event: AuditEvent) -> str:
    """What an event says after its subject: “stopped by ada from the panel”."""
    done, wanted = ACTIONS.get(event.action, (event.action, f"{event.action} it"))
    fields = event.details.get("changed")
    if fields:
        done += f" ({', '.join(fields)})"
    if event.details.get("member"):
        done += f" ({event.details['member']})"
    if event.way == "executor":
        return f"{done} by the executor of {event.host}"
    how = _WAYS.get(event.way, event.way)
    if event.refused:
        return f"{event.user} was not allowed to {wanted}, {how}"
    return f"{done} by {event.user} {how}"


def views(session: Session, wanted: Sequence[Any], limit: int) -> list[AuditEventView]:
    """Events that meet all conditions, newest first."""
    rows = session.exec(select(AuditEvent).where(*wanted).order_by(col(AuditEvent.id).desc()).limit(limit))
    return [AuditEventView(**row.model_dump(), text=sentence(row)) for row in rows]

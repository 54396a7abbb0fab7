"""`store.users`: the users of the database, the parts of the devices that they are due, and their limits.

Only administrators change weights and limits. The user whose program made or migrated the tables of a server, while
there was no administrator, is the first; administrators name others. A SQLite file has one user, who may do it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab.errors import ForbiddenError, InputError, NotFoundError
from imgcls_lab.events import LIVE, RunState
from imgcls_lab.schemas import UserEdit, UserView
from imgcls_lab.store import audit, cluster, rights
from imgcls_lab.store.database import Database
from imgcls_lab.store.fair_share import Shares, locked_row
from imgcls_lab.store.states import texts
from imgcls_lab.store.tables import Device, Home, Run, User


class Users:
    """Reads and sets what users may take."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def list(self) -> Sequence[UserView]:
        """All users who have runs or limits, by name."""
        with self._database.read() as session:
            return _views(session)

    def get(self, name: str) -> UserView:
        """Raises NotFoundError."""
        found = next((user for user in self.list() if user.name == name), None)
        if found is None:
            raise NotFoundError(f"There is no user “{name}” with runs or limits. `imgcls-lab users` lists them.")
        return found

    def edit(self, name: str, edit: UserEdit) -> UserView:
        """Set what is given, also for a user who has no run yet. Raises ForbiddenError, InputError."""
        rights.check_user_name(name)
        values = edit.model_dump(exclude_unset=True)
        with self._database.write() as session:
            admins = _admins(session, lock=True)
            _check_admin(session, admins, name)
            row = locked_row(session, name)
            if values.get("admin") is False and admins == [name]:
                raise InputError(f"{name} is the only administrator; name another first.")
            _set(session, row, values)
        return self.get(name)


def _set(session: Session, row: User, values: dict[str, Any]) -> None:
    """Set columns of a user's row, and record what has changed."""
    changed = audit.changes(row.model_dump(), values)
    row.sqlmodel_update(values)
    if changed:
        audit.record(session, "edited", row, changed=changed)


def _check_admin(session: Session, admins: Sequence[str], name: str) -> None:
    """Raises ForbiddenError unless this process's user may set the weight and the limits of a user."""
    user = audit.actor_of(session).user
    if session.get_bind().dialect.name != "sqlite" and user not in admins:
        who = f"the administrators {', '.join(admins)}" if admins else "an administrator, and there is none"
        raise ForbiddenError(
            f"Weights and limits of users are set by {who}; you are {user}.",
            reason="no_admin",
            admins=list(admins),
            act=audit.Act.on("edited", User(name=name)),
        )


def make_admin_if_first(session: Session) -> None:
    """Make this process's user an administrator of a server's database that has none."""
    if session.get_bind().dialect.name != "sqlite" and not _admins(session):
        _set(session, locked_row(session, audit.actor_of(session).user), {"admin": True})


def _admins(session: Session, *, lock: bool = False) -> list[str]:
    """By name. lock: until the commit, so that two administrators do not dismiss each other."""
    query: Any = select(User.name).where(col(User.admin).is_(True)).order_by(User.name)
    return list(session.exec(query.with_for_update() if lock else query))


def _views(session: Session) -> list[UserView]:
    held = cluster.held_devices(session)
    devices = len(set(session.exec(select(Device.host, Device.name))))
    shares = Shares.read(session, held, devices)
    counts = _counts(session)
    rows = {row.name: row for row in session.exec(select(User))}
    counted = select(Home.user, func.sum(Home.run_bytes)).group_by(Home.user)
    disk = {name: taken for name, taken in session.exec(counted)}  # noqa: C416 — a result has keys of its own
    names = sorted({*rows, *(name for name, _ in counts), *(claim.owner for claim in held)} - {""})
    waiting = {name for name, state in counts if state == RunState.QUEUED.value}
    active = {name for name in names if name in waiting or shares.of(name).held}
    weights = sum(shares.of(name).weight for name in active)
    used = sum(shares.of(name).usage for name in names)

    def view(name: str) -> UserView:
        share, row, taken = shares.of(name), rows.get(name, User(name=name)), disk.get(name)
        return UserView(
            **row.model_dump(include={"name", "weight", "max_devices", "max_disk_gb", "admin"}),
            devices=share.held,
            queued=counts.get((name, RunState.QUEUED.value), 0),
            used=share.usage / used if used else 0.0,
            due=share.weight / weights if name in active and weights else None,
            disk_gb=None if taken is None else float(taken) / 1e9,
        )

    return [view(name) for name in names]


def _counts(session: Session) -> dict[tuple[str, str], int]:
    """Runs that wait or live, by user and state."""
    states = texts([*LIVE, RunState.QUEUED])
    columns: Any = (Run.owner, Run.state, func.count())
    found = select(*columns).where(col(Run.state).in_(states)).group_by(Run.owner, Run.state)
    return {(owner, state): number for owner, state, number in session.exec(found)}

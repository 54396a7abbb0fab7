"""Fair share: which user's turn it is where several users' runs wait for the same devices. Called by `queue`.

The method is that of weighted fair queueing and stride scheduling (Waldspurger and Weihl, 1995): the next device goes
to the user whose usage, divided by the user's weight, is least. Usage is device-seconds, of which half is forgotten
after a day, as in Slurm's multifactor priority plugin (PriorityDecayHalfLife). A run that lives counts at once for as
long as the user's runs took on average, so that devices that become free together go to different users.

Ageing: a user who holds nothing and has waited for twice the time in which the user's part gives one device is served
before all others, whatever that user has had. So everybody gets at least about half of the part, and nobody starves.
All daemons read the same rows, so all find the same turn.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Set
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import func
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from imgcls_lab.plurals import counted, percent
from imgcls_lab.store.tables import DeviceClaim, Home, Run, User

HALF_LIFE = 86_400.0  # seconds after which usage counts half
FIRST_RUN = 60.0  # seconds that a run is expected to take, of a user of whom none has ended
AGED = 2.0  # times the interval between two starts that a user's part gives: who waits longer is served first
_LONGEST = HALF_LIFE / math.log(2)  # what a device counts that was held for ever


class HeldDevice(NamedTuple):
    """A device that a run holds."""

    host: str
    device: str
    run: str  # name of the run
    owner: str
    home: str
    since: float


@dataclass
class UserShare:
    """What a user has had and holds now. usage: device-seconds; mean: seconds that a run of the user takes."""

    name: str
    weight: float = 1.0
    usage: float = 0.0
    mean: float = FIRST_RUN
    held: int = 0
    held_until: float = 0.0
    max_devices: int | None = None
    over_disk: str | None = None  # a sentence, where the user's runs take more of the disk than they may
    expected: float = 0.0  # device-seconds that the held devices count beyond what they have had

    @property
    def per_weight(self) -> float:
        return (self.usage + self.expected) / max(self.weight, 1e-9)


@dataclass
class Shares:
    """The users of all hosts. devices: how many there are; waiting: users of whom runs wait here."""

    users: dict[str, UserShare] = field(default_factory=dict)
    devices: int = 1
    now: float = 0.0
    waiting: set[str] = field(default_factory=set)
    told: set[tuple[str, str]] = field(default_factory=set)  # whose first run states whose turn it is, and for what

    @classmethod
    def read(cls, session: Session, claims: Iterable[HeldDevice], devices: int) -> Shares:
        """As this transaction sees them."""
        shares = cls(devices=max(devices, 1), now=time.time())
        for row in session.exec(select(User)):
            faded = _faded(shares.now - row.usage_at)
            share = shares.of(row.name)
            share.weight, share.max_devices, share.held_until = row.weight, row.max_devices, row.held_until
            share.usage = row.usage * faded
            if row.usage_runs > 0:
                share.mean = row.usage / row.usage_runs
            share.over_disk = over_disk(session, row)
        for claim in claims:
            had = integral(shares.now - claim.since)
            share = shares.of(claim.owner)
            share.held += 1
            share.usage += had
            share.expected += max(0.0, share.mean - had)
        return shares

    def of(self, user: str) -> UserShare:
        """A user's share; who has no row has the defaults."""
        return self.users.setdefault(user, UserShare(user))

    def turn(self, user: str, queued_at: float | None = None) -> tuple[float, float, str]:
        """What orders users: the least is next. queued_at: of the run that the user would start."""
        share = self.of(user)
        return -self._aged(share, queued_at), share.per_weight, user

    def _aged(self, share: UserShare, queued_at: float | None) -> float:
        """How long a user has waited, in intervals of the user's part; 0 if that is not too long."""
        if share.held or queued_at is None or share.weight <= 0:
            return 0.0
        active = [other for other in self.users.values() if other.held or other.name in self.waiting]
        length = max((other.mean for other in active), default=FIRST_RUN)
        interval = length * max(1.0, sum(other.weight for other in active) / (share.weight * self.devices))
        waited = (self.now - max(share.held_until, queued_at)) / interval
        return waited if waited > AGED else 0.0

    def give(self, user: str, devices: int) -> None:
        """Count devices that a user gets now."""
        share = self.of(user)
        share.held += devices
        share.expected += devices * share.mean

    def refusal(self, user: str, devices: int) -> str | None:
        """A sentence if the user may not have so many devices more; None otherwise."""
        share = self.of(user)
        if share.over_disk is not None:
            return share.over_disk
        if share.max_devices is None or share.held + devices <= share.max_devices:
            return None
        if share.max_devices == 0:
            return f"Waits: the runs of {user} are on hold (the limit of devices is 0)."
        most = counted(share.max_devices, "device")
        if devices > share.max_devices:
            return f"Waits: {user} may use {most} at once, and this run needs {devices}."
        return f"Waits: {user} may use {most} at once."

    def next_user(self) -> str | None:
        """Whose turn it is, of those who wait here."""
        return min((user for user in self.waiting if self.refusal(user, 1) is None), key=self.turn, default=None)

    def sentence(self, what: str, turn: str | None, user: str) -> str | None:
        """Why a run of a user waits for something, where several users wait; None if it is this user's turn.

        turn: for whom a device is kept, if that is so. The first run of a user that is asked about gets the numbers.
        The sentence of the others stays the same, or each start of a run would rewrite a hundred rows.
        """
        if (user, what) in self.told:
            return (
                f"Waits for {what}: earlier runs of {user or 'its user'} come first, and "
                f"{counted(len(self.waiting), 'user')} share the devices."
            )
        self.told.add((user, what))
        turn = self.next_user() if turn is None else turn
        if turn is None or turn == user:
            return None
        active = {*self.waiting, user, *(share.name for share in self.users.values() if share.held)}
        total = sum(self.of(name).usage for name in active)
        used = self.of(user).usage / total if total else 0.0
        part = self.of(user).weight / max(sum(self.of(name).weight for name in active), 1e-9)
        return (
            f"Waits for {what}: it is {turn or 'another user'}'s turn; {user or 'nobody'} has used {percent(used)} of "
            f"the last day and is due {percent(part)}."
        )


def _faded(seconds: float) -> float:
    """What is left of a usage after a time; all of it where a clock was set back."""
    return float(0.5 ** (max(0.0, seconds) / HALF_LIFE))


def integral(seconds: float) -> float:
    """What a device counts that has been held for a time until now."""
    return _LONGEST * (1 - _faded(seconds))


class Used(NamedTuple):
    """What an attempt has used: so many devices of its run's owner, from when until when."""

    owner: str
    devices: int
    started: float
    ended: float


def charge(session: Session, used: Iterable[Used]) -> None:
    """Add what attempts have used to the usage of their owners, now that they have ended."""
    counting = [each for each in used if each.devices]
    rows = locked_rows(session, {each.owner for each in counting})
    now = time.time()
    for owner, devices, started, ended in counting:
        row = rows[owner]
        faded = _faded(now - row.usage_at)
        row.usage = row.usage * faded + devices * integral(ended - started) * _faded(now - ended)
        row.usage_runs = row.usage_runs * faded + devices * _faded(now - ended)
        row.usage_at = now
        row.held_until = now
    session.flush()


def locked_row(session: Session, user: str) -> User:
    """A user's row, which is made if there is none; locked until the commit."""
    return locked_rows(session, {user})[user]


def locked_rows(session: Session, users: Set[str]) -> dict[str, User]:
    """The same of several users; all daemons lock them in the same order."""
    query = select(User).where(col(User.name).in_(users)).order_by(col(User.name))
    query = query.with_for_update().execution_options(populate_existing=True)
    found = {row.name: row for row in session.exec(query)} if users else {}
    if missing := sorted(users - found.keys()):
        dialect: Any = postgresql if session.get_bind().dialect.name == "postgresql" else sqlite
        table: Any = User.__table__  # type: ignore[attr-defined]
        fresh = {"weight": 1.0, "admin": False, "usage": 0.0, "usage_runs": 0.0, "usage_at": 0.0, "held_until": 0.0}
        session.execute(dialect.insert(table).on_conflict_do_nothing(), [{"name": name, **fresh} for name in missing])
        found = {row.name: row for row in session.exec(query)}
    return found


def rooms(session: Session, owners: Set[str]) -> dict[str, int]:
    """How many devices more the users of these may have who have a limit.

    Their rows stay locked until the commit, so that two hosts do not both take a user's last device.
    """
    limited: Any = select(User.name, User.max_devices).where(
        col(User.name).in_(owners), col(User.max_devices).is_not(None)
    )
    found: dict[str, int] = dict(session.exec(limited.order_by(col(User.name)).with_for_update()).all())
    if found:
        held = select(Run.owner, func.count()).select_from(DeviceClaim).join(Run).where(col(Run.owner).in_(found))
        for owner, count in session.exec(held.group_by(col(Run.owner))):
            found[owner] -= count
    return found


def over_disk(session: Session, user: User) -> str | None:
    """A sentence if the folders of a user's runs take more of the disk than they may."""
    if user.max_disk_gb is None:
        return None
    taken = int(session.exec(select(func.sum(Home.run_bytes)).where(Home.user == user.name)).one() or 0)
    if taken <= user.max_disk_gb * 1e9:
        return None
    return (
        f"Waits: the runs of {user.name} take {taken / 1e9:.1f} GB of the disk and may take {user.max_disk_gb:g} GB. "
        "Delete some of them; the space is counted again within minutes."
    )

"""The tables about users: what they may take, where their runs lie, the views that they saved, what they have put away.

Part of `tables`, through which all others use them.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, UniqueConstraint
from sqlmodel import Field

from imgcls_lab.store.table_base import Table, json_column


class User(Table, table=True):
    """What a user may take of all hosts; who has no row has the defaults."""

    __tablename__ = "users"

    name: str = Field(primary_key=True)
    weight: float = 1.0  # of the user's part where several wait
    max_devices: int | None = None  # None: no limit
    max_disk_gb: float | None = None  # 1e9 bytes; None: no limit
    admin: bool = False  # may set these
    # What the user has had, as `fair_share.py` counts it.
    usage: float = 0.0  # device-seconds of attempts that ended
    usage_runs: float = 0.0  # number of devices of these attempts, counted likewise
    usage_at: float = 0.0  # when both were counted
    held_until: float = 0.0  # when an attempt of the user ended last


class Home(Table, table=True):
    """A folder of runs that a user's daemons work in. `id` stands in the folder, too."""

    __tablename__ = "homes"

    id: str = Field(primary_key=True)
    user: str
    path: str
    host: str  # of the daemon that was there last
    run_bytes: int | None = Field(default=None, sa_type=BigInteger)  # of its runs' folders; None: not counted
    counted_at: float | None = None


class SavedView(Table, table=True):
    """A named list of runs: `view` holds its query, columns, order and grouping (`schemas.RunListView`)."""

    __tablename__ = "saved_views"
    __table_args__ = (UniqueConstraint("owner", "name"),)

    id: int | None = Field(default=None, primary_key=True)
    owner: str
    name: str
    view: dict[str, Any] = json_column()
    position: int = 0  # in the user's own order
    created_at: float
    updated_at: float


class AlertDismissal(Table, table=True):
    """An alert that a user has seen and put away. `user` is empty in a SQLite file, which has one."""

    __tablename__ = "alert_dismissals"
    __table_args__ = (UniqueConstraint("user", "alert_id"),)

    id: int | None = Field(default=None, primary_key=True)
    user: str
    alert_id: str = Field(sa_column=Column(ForeignKey("alerts.id", ondelete="CASCADE"), nullable=False, index=True))
    dismissed: bool  # false: it was taken back, of which other pages must hear, too
    change: int = Field(default=0, sa_column=Column(BigInteger, nullable=False, index=True))  # see `database.write`

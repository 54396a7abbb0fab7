"""Users of a database: what a list shows of one, and what an administrator may set."""

from __future__ import annotations

from pydantic import Field

from imgcls_lab.schemas.base import Wire


class UserView(Wire):
    """A user's part of the devices, and what the user has of them now."""

    name: str
    weight: float  # of the user's part, where several wait
    max_devices: int | None  # at once, on all hosts together; null: no limit; 0: on hold
    max_disk_gb: float | None  # of the folders of all runs; 1 GB is 1e9 bytes
    admin: bool  # may set these
    devices: int  # held now
    queued: int  # runs that wait
    used: float  # fraction of the device time of all users, of which half is forgotten after a day
    due: float | None  # fraction that the weight gives, of those who wait or train now; null: not one of them
    disk_gb: float | None  # null: not counted


class UserEdit(Wire):
    """What is not given stays. A null takes a limit away."""

    weight: float = Field(1.0, gt=0, le=1000)
    max_devices: int | None = Field(None, ge=0, le=10_000)
    max_disk_gb: float | None = Field(None, ge=0, le=1_000_000)
    admin: bool = False

"""What a home takes on its disks."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.schemas.base import Wire

StorageKind = Literal[
    "runs", "models", "hub", "objects", "images", "pictures", "compiled", "scans", "exports", "backups"
]


class StoragePart(Wire):
    kind: StorageKind
    title: str
    size: int  # bytes
    items: int  # runs, images, pictures, files
    frees: int | None  # bytes that come free where it is freed; null: it cannot be freed as a whole
    note: str  # what the size leaves out, or what is in the way; empty: nothing
    at_least: bool  # it was looked through in part, so it is larger


class DiskView(Wire):
    holds: Literal["home", "cache", "hub cache"]
    free: int
    total: int


class StorageView(Wire):
    """The parts of a home, and the disks that they lie on."""

    parts: list[StoragePart]
    disks: list[DiskView]
    measured_at: float
    took: float  # seconds


class FreeRequest(Wire):
    kind: StorageKind

"""What the home takes on its disks: `lab.storage`. Called by users and by the command line."""

from __future__ import annotations

from typing import cast, get_args

from imgcls_lab import home_storage
from imgcls_lab.api import context
from imgcls_lab.api.validation import one_of
from imgcls_lab.schemas import StorageKind, StorageView


def storage() -> StorageView:
    """The parts of the home (runs, models, caches, copies of the database) with their sizes, and the disks.

    >>> "runs" in {part.kind for part in lab.storage().parts}
    True
    """
    return home_storage.measure(context.store())


def free_storage(part: str) -> int:
    """Free what can be freed of a part; how many bytes.

    Raises InputError for one that cannot be freed, ConflictError for one that is in use.
    """
    kind = cast(StorageKind, one_of("part", part, get_args(StorageKind)))
    return home_storage.free(context.store(), kind).freed

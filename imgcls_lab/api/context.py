"""The settings and the store of this process, opened at the first use and kept open.

Called by everything of `api` and by the command line. A changed IMGCLS_HOME or a fork gets a store of its own,
since no database connection may cross a fork.
"""

from __future__ import annotations

import os
from threading import Lock
from typing import TYPE_CHECKING

from imgcls_lab.settings import Settings

if TYPE_CHECKING:
    from imgcls_lab.schemas import Way
    from imgcls_lab.store import Store

_lock = Lock()
_stores: dict[tuple[int, str, str, str], Store] = {}
_way: Way = "python"


def come_by(way: Way) -> None:
    """By which way this process changes something, for the record of who did what; by default Python."""
    global _way  # noqa: PLW0603
    _way = way


def settings() -> Settings:
    """The settings that the environment names now."""
    return Settings()


def store(of: Settings | None = None) -> Store:
    """The open store of these settings; the database is made or migrated at the first use. Raises StoreError."""
    wanted = of or settings()
    key = (os.getpid(), str(wanted.home_path), wanted.db_url, _way)
    with _lock:
        if key not in _stores:
            from imgcls_lab.store import Store

            wanted.make_home()
            _stores[key] = Store.open(wanted, migrate=True, way=_way)
        return _stores[key]


def close() -> None:
    """Close every store that this process opened."""
    with _lock:
        for key in list(_stores):
            opened = _stores.pop(key)
            if key[0] == os.getpid():
                opened.close()

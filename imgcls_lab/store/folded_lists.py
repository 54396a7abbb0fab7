"""Folded lists that were made before, for as long as no run has changed: a table asks for one window after the other.

Called by `run_lists`. To fold 10,000 runs takes half of the time of a window.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any

from sqlalchemy import func
from sqlmodel import Session, col, select

from imgcls_lab.schemas import GroupKind
from imgcls_lab.store import queries, run_groups
from imgcls_lab.store.tables import Counter, RunCount

KEPT = 8  # lists
# Sorted by these, a list is another one only when a run is: not when a project gets another name, or with the time.
_OWN = frozenset(queries.SORTS) - {"project"}


class FoldedLists:
    """The lists of one database; used by several threads."""

    def __init__(self) -> None:
        self._lists: OrderedDict[tuple[Any, ...], tuple[Any, list[run_groups.FoldedRow]]] = OrderedDict()
        self._lock = Lock()

    def rows(
        self, session: Session, wanted: queries.RunFilter, order: queries.RunOrder, kinds: Sequence[GroupKind]
    ) -> list[run_groups.FoldedRow]:
        """The rows of a list in its order. Raises InputError."""
        if wanted.where or order.sort not in _OWN:
            return run_groups.rows_of(session, wanted, order, kinds)
        key, state = (wanted, order.sort, order.descending, tuple(kinds)), _state(session)
        with self._lock:
            known = self._lists.get(key)
        if known is not None and known[0] == state:
            return known[1]
        rows = run_groups.rows_of(session, wanted, order, kinds)
        with self._lock:
            self._lists[key] = state, rows
            self._lists.move_to_end(key)
            if len(self._lists) > KEPT:
                self._lists.popitem(last=False)
        return rows


def _state(session: Session) -> tuple[int, int]:
    """Another one after each change of a run: `session` sees one state of the database."""
    changes = session.exec(select(Counter.value).where(Counter.name == "changes")).one()
    return changes, session.exec(select(func.sum(col(RunCount.count)))).one() or 0

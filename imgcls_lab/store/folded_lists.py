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

from imgcls_lab import run_query
from imgcls_lab.run_query import Term
from imgcls_lab.schemas import GroupKind
from imgcls_lab.store import queries, run_groups
from imgcls_lab.store.tables import Counter, RunCount

KEPT = 8  # lists
# What these say of a run changes without it: when its project or its sweep gets another name, and with the time.
_OTHERS = frozenset({"project", "sweep", "ran"})


class FoldedLists:
    """The lists of one database; used by several threads."""

    def __init__(self) -> None:
        self._lists: OrderedDict[tuple[Any, ...], tuple[Any, run_groups.FoldedList]] = OrderedDict()
        self._lock = Lock()

    def rows(
        self, session: Session, wanted: queries.RunFilter, order: queries.RunOrder, kinds: Sequence[GroupKind]
    ) -> run_groups.FoldedList:
        """The rows of a list in its order. Raises InputError."""
        if order.sort in _OTHERS or any(_is_moving(term) for term in wanted.where):
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


def _is_moving(term: Term) -> bool:
    """Whether other runs may be meant though none has changed: `created>7d` is another time with each question."""
    return term.key in _OTHERS or run_query.COLUMNS.get(term.key) == "time"


def _state(session: Session) -> tuple[int, int]:
    """Another one after each change of a run: `session` sees one state of the database."""
    changes = session.exec(select(Counter.value).where(Counter.name == "changes")).one()
    return changes, session.exec(select(func.sum(col(RunCount.count)))).one() or 0

"""`store.run_lists`: what a table of runs needs besides the page that `store.runs.list` gives. Changes nothing."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlmodel import col

from imgcls_lab.schemas import GroupKind, RunColumns, RunGroups, RunIdList
from imgcls_lab.store import queries, run_columns, run_groups
from imgcls_lab.store.database import Database
from imgcls_lab.store.executors import Executors
from imgcls_lab.store.folded_lists import FoldedLists
from imgcls_lab.store.tables import Run


class RunLists:
    """Lists of runs: folded, as ids, and which columns they can have."""

    def __init__(self, database: Database, executors: Executors) -> None:
        self._database = database
        self._executors = executors
        self._folded = FoldedLists()

    def ids(self, wanted: queries.RunFilter, order: queries.RunOrder) -> RunIdList:
        """The ids of the runs of a list, in its order, for what is done with all of them. Raises InputError."""
        with self._database.read() as session:
            return RunIdList(ids=queries.ids(session, wanted, order))

    def groups(self, kinds: Sequence[GroupKind], wanted: queries.RunFilter, order: queries.RunOrder) -> RunGroups:
        """A page of a list that is folded. kinds: a run is in the first of these groups that it has.

        Raises InputError for a column that is none.
        """
        with self._database.read() as session:
            rows = self._folded.rows(session, wanted, order, kinds)
            page = run_groups.page(session, wanted, order, rows)
            runs = [row.run for row in page.rows if row.run is not None]
            marked = {run.id: run for run in self._executors.mark_silent(session, runs)}
        for row in page.rows:
            row.run = row.run and marked[row.run.id]
        return page

    def sizes(self) -> tuple[int, int, int]:
        """How many runs this home has, the bytes of their folders, and how many of these have not been counted yet.

        Files that runs share count for each of them.
        """
        with self._database.read() as session:
            mine = select(func.count(), func.coalesce(func.sum(col(Run.size)), 0), func.count(col(Run.size)))
            runs, size, known = session.execute(mine.where(col(Run.home).in_(("", self._database.home)))).one()
            return int(runs), int(size), int(runs) - int(known)

    def columns(self) -> RunColumns:
        """The columns that a list of runs can have, and the tags that runs have."""
        with self._database.read() as session:
            return run_columns.all_columns(session)

"""Lists of runs: which columns there are, runs folded to groups, views that a user has saved."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from imgcls_lab.events import RunState
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.limits import MAX_COLUMNS, MAX_KEY, MAX_QUERY, Name
from imgcls_lab.schemas.runs import RunView

ColumnKind = Literal["text", "number", "fraction", "time", "seconds", "bytes", "state", "tags", "flag", "value"]


class ColumnView(Wire):
    """A column that a list of runs can have. key: its name in a query, in `columns=` and in `sort=`.

    kind: how it is shown; fraction: 0..1, shown in per cent; value: any JSON. group: a key of `RunColumns.groups`.
    """

    key: str
    label: str
    description: str = ""
    group: str
    kind: ColumnKind


class RunIdList(Wire):
    """The runs of a list by their ids, in its order."""

    ids: list[str]


GroupKind = Literal["sweep", "seeds", "children"]


class RunGroup(Wire):
    """Runs of a list under one row: the trials of a sweep, the same config with other seeds, what a run was parent of.

    head: the run whose row this is, a sweep or a parent, not counted among `runs`; where: a query that, beside that of
    the list, gives the runs. best, mean and deviation (of a sample) are of the metric that most of them watch. Of a
    sweep with replicates best is the best mean of a trial, best_deviation that of its runs, and best_run the best. The
    figures of a parent's group are those of the parent, too.
    """

    key: str
    kind: GroupKind
    name: str
    head: str | None
    where: str
    runs: int
    states: dict[RunState, int]
    metric: str | None = None
    best: float | None = None
    best_deviation: float | None = None  # of replicates alone
    best_run: str | None = None
    mean: float | None = None
    deviation: float | None = None  # None: of a single run
    lr: tuple[float, float] | None  # lowest and highest
    models: list[str]  # some of them
    size: int | None  # bytes, as far as counted
    created_at: float  # of the newest


class RunRow(Wire):
    """A row of a folded list: a run, or a group with its head, if that is still there, as `run`."""

    group: RunGroup | None
    run: RunView | None


class RunGroups(Wire):
    """A page of a folded list."""

    rows: list[RunRow]
    total: int  # rows, without limit and offset
    runs: int  # in all of them
    counts: dict[RunState, int]  # as of RunPage
    owners: list[str]


class ListView(Wire):
    """How a list of runs is shown: what a saved view keeps."""

    where: str = Field("", max_length=MAX_QUERY)
    columns: list[Annotated[str, Field(max_length=MAX_KEY)]] = Field([], max_length=MAX_COLUMNS)
    sort: str = Field("created_at", max_length=MAX_KEY)
    descending: bool = True
    group: list[GroupKind] = Field([], max_length=3)


class SavedViewEdit(Wire):
    """A view of the list of runs under a name. position: among those of its user; None: it stays, or comes last."""

    name: Name
    view: ListView
    position: int | None = Field(None, ge=0, le=1000)


class SavedViewView(Wire):
    """A view that a user has saved; nobody else sees it."""

    id: int
    name: str
    view: ListView
    position: int
    created_at: float
    updated_at: float


class SavedViewCount(Wire):
    """How many runs a saved view finds. None: its query cannot be read any more."""

    id: int
    runs: int | None


class TagCount(Wire):
    """A tag that people gave, and to how many runs; archived ones are not counted."""

    tag: str
    runs: int


class RunColumns(Wire):
    """All columns, groups in the order in which a chooser shows them, and the tags that runs have, the most used first.

    A list holds the values of the group `run` in the fields of each run, the others in its `values`.
    """

    columns: list[ColumnView]
    groups: dict[str, str]
    tags: list[TagCount]

"""Runs as lists and pages show them. Called by `store.runs`; changes nothing.

A reader that wants what is new remembers the counter of changes, never a time of day.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import JSON, ColumnElement, Row, Select, Text, and_, case, cast, func, or_, text
from sqlalchemy import select as sa_select
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session, col, select

from imgcls_lab import run_query
from imgcls_lab.errors import InputError
from imgcls_lab.events import LIVE, RunKind, RunState, is_resumable
from imgcls_lab.run_layout import INITIAL_MODEL, MANIFEST, elsewhere
from imgcls_lab.run_paths import is_folder, read_json
from imgcls_lab.run_query import Term
from imgcls_lab.schemas import (
    AttemptView,
    BestMetric,
    CheckpointView,
    DeviceRequest,
    RunDetail,
    RunPage,
    RunsBatch,
    RunView,
)
from imgcls_lab.settings import Settings
from imgcls_lab.store import homes, run_columns, run_conditions, run_counts
from imgcls_lab.store.database import no_index
from imgcls_lab.store.metrics import tags_of
from imgcls_lab.store.revision_rows import later_revisions
from imgcls_lab.store.rights import Rights, rights_of
from imgcls_lab.store.run_rows import find_run
from imgcls_lab.store.states import texts
from imgcls_lab.store.tables import Artifact, Attempt, Counter, DeletedRun, Dependency, Project, Run

FIRST_LOOK = 500  # runs a new reader of changes gets
CHUNK = 500  # ids in one statement
LOOKED_AT = 5  # runs of a folder whose manifests are read
MANY = 2000  # runs from which on a page is read along the index of its order
_SAME = (
    "id", "kind", "name", "owner", "project_id", "dataset_id", "model_id", "parent_id", "state", "desired_state",
    "attempt", "priority", "external", "view_only", "message", "failure", "phase", "created_at", "started_at",
    "ended_at", "updated_at", "revision", "host", "devices", "step", "total_steps", "epoch", "epochs",
    "resumed_at_step", "seconds_left", "latest", "model_flavour", "root", "batch_size", "lr", "notes",
    "home", "tags", "archived", "size", "queued_at", "repetition", "lineage", "fork_step", "fork_epoch", "changes",
)  # fmt: skip
# Columns and not rows of Run: their configs are not read, and 200 objects of the ORM would take a third of the time.
_LISTED: Select[Any] = (
    sa_select(
        *(getattr(Run, name) for name in (*_SAME, "number", "saved_step", "best_metric", "best_value", "best_epoch")),
        col(Project.name).label("project"),
    )
    .select_from(Run)
    .join(Project)
)
SORTS: dict[str, Any] = {
    "created_at": Run.created_at, "started_at": Run.started_at, "ended_at": Run.ended_at, "updated_at": Run.updated_at,
    "name": Run.name, "owner": Run.owner, "project": Project.name, "state": Run.state, "kind": Run.kind,
    "priority": Run.priority, "host": Run.host, "best": Run.best_value, "epoch": Run.epoch,
    "model_flavour": Run.model_flavour, "root": Run.root, "lr": Run.lr, "batch_size": Run.batch_size,
    "size": Run.size,
}  # fmt: skip


def _views(session: Session, listed: Select[Any], key: Callable[[Row[Any]], int] | None = None) -> list[RunView]:
    """Runs as lists show them: those of a `_LISTED`, and a statement more for their times. key: what orders them."""
    rows = session.execute(listed).all()
    if key is not None:
        rows = sorted(rows, key=key)
    times, mine = _running_times(session, [row.id for row in rows if row.attempt > 0]), rights_of(session)
    return [_view(row, mine, *times.get(row.id, (0.0, None))) for row in rows]


def _view(row: Row[Any], mine: Rights, ran: float, since: float | None) -> RunView:
    found = row._mapping
    best = None
    if row.best_value is not None and row.best_metric is not None and row.best_epoch is not None:
        best = BestMetric(metric=row.best_metric, value=row.best_value, epoch=row.best_epoch)
    state = RunState(row.state)
    return RunView(
        project=row.project,
        may_change=mine.may_change(row.owner, row.project_id),
        best=best,
        resumable=is_resumable(state, RunKind(row.kind), row.saved_step > 0),
        ran=ran,
        running_since=since if state in LIVE else None,
        from_best=Path(row.model_flavour).name == INITIAL_MODEL,
        **{name: found[name] for name in _SAME},
    )


def _running_times(session: Session, run_ids: list[str]) -> dict[str, tuple[float, float | None]]:
    """By run: seconds that its ended attempts ran, and the start of one that has not ended."""
    ended = func.sum(col(Attempt.ended_at) - col(Attempt.started_at))
    living = func.max(case((col(Attempt.ended_at).is_(None), col(Attempt.started_at))))
    found: dict[str, tuple[float, float | None]] = {}
    for wanted in _chunks(run_ids):
        statement = select(Attempt.run_id, ended, living).where(col(Attempt.run_id).in_(wanted))
        for run_id, seconds, since in session.exec(statement.group_by(col(Attempt.run_id))):
            found[run_id] = (max(0.0, seconds or 0.0), since)  # a clock may have been set back
    return found


def _chunks(run_ids: Sequence[str]) -> Iterator[Sequence[str]]:
    return (run_ids[start : start + CHUNK] for start in range(0, len(run_ids), CHUNK))


def run_view(session: Session, text: str) -> RunView:
    return _view_of(session, find_run(session, text))


def _view_of(session: Session, run: Run) -> RunView:
    return _views(session, _LISTED.where(col(Run.number) == run.number))[0]


def lineage(session: Session, run: Run) -> list[RunView]:
    """The runs of a tree of forks, as they were submitted."""
    mine = col(Run.lineage) == run.lineage if run.lineage else col(Run.number) == run.number
    return _views(session, _LISTED.where(mine).order_by(col(Run.number)))


def by_id(session: Session, run_ids: list[str]) -> dict[str, RunView]:
    """Runs by id; a statement for each few hundred."""
    found: dict[str, RunView] = {}
    for wanted in _chunks(run_ids):
        found |= {view.id: view for view in _views(session, _LISTED.where(col(Run.id).in_(wanted)))}
    return {run_id: found[run_id] for run_id in run_ids if run_id in found}


def by_key(session: Session, key: str) -> list[RunView]:
    """Runs of an idempotency key, and of those that go on with a colon, oldest first."""
    same = or_(col(Run.idempotency_key) == key, col(Run.idempotency_key).startswith(f"{key}:", autoescape=True))
    return _views(session, _LISTED.where(same).order_by(col(Run.number)))


class RunFilter(NamedTuple):
    """Which runs a list has; None: all. where: a query without what it says of archived runs."""

    project_id: int | None
    parent_id: str | None
    states: frozenset[RunState] | None
    owner: str | None
    where: tuple[Term, ...] = ()
    archived: bool | None = False


def filter_of(
    where: str = "",
    *,
    project_id: int | None = None,
    parent_id: str | None = None,
    states: Iterable[RunState] | None = None,
    owner: str | None = None,
) -> RunFilter:
    """What a list has. where: a query. Raises InputError for one that cannot be read.

    Archived runs are left out, unless the query asks for them or a parent is given.
    """
    among = None if states is None else frozenset(states)
    terms, archived = run_query.without_archived(run_query.parse(where), False if parent_id is None else None)
    return RunFilter(project_id, parent_id, among, owner, terms, archived)


class RunOrder(NamedTuple):
    """In which order a list stands, and which piece of it is wanted.

    columns, curves: what each run has besides, in `values` and `curve`.
    """

    sort: str = "created_at"
    descending: bool = True
    limit: int = 200
    offset: int = 0
    columns: Sequence[str] = ()
    curves: bool = False


def page(session: Session, wanted: RunFilter, order: RunOrder) -> RunPage:
    """A page of runs, and how many there are in each state. Raises InputError for a column that is none."""
    columns, key = run_columns.checked(order.columns), sort_column(order.sort)
    by_state = counts(session, wanted)
    filters = conditions(session, wanted)
    if wanted.where or _is_json(key):
        found = all_numbers(session, filters, order)
        total, numbers = len(found), found[order.offset : order.offset + order.limit]
    else:
        total = sum(count for state, count in by_state.items() if wanted.states is None or state in wanted.states)
        if total > MANY and wanted.parent_id is None:  # few runs are sorted faster than an index is walked for them
            filters = _conditions_along_an_index(session, wanted, order)
        numbers = _numbers(session, _among(filters, order), key, order)
    return RunPage(
        items=views_in_order(session, numbers, columns, order),
        total=total,
        counts=by_state,
        owners=owners(session),
    )


def number_of_runs(session: Session, wanted: RunFilter) -> int:
    """How many runs a list has, without reading one."""
    return session.exec(select(func.count()).select_from(Run).where(*conditions(session, wanted))).one()


def ids(session: Session, wanted: RunFilter, order: RunOrder) -> list[str]:
    """The ids of the runs of a list, in its order."""
    listed = all_of(session, conditions(session, wanted), order).add_columns(col(Run.id))
    return [run_id for _, run_id in session.execute(listed.limit(order.limit).offset(order.offset))]


def sort_column(name: str) -> Any:
    """What a list is sorted by. Raises InputError for what is no column."""
    if name in SORTS:
        return SORTS[name]
    key = run_query.key_of(name)
    if key is None or key == "archived":
        raise InputError(
            f"Runs cannot be sorted by “{name[:60]}”; choose one of {', '.join([*SORTS, 'ran'])}, another column, a "
            "field of a config or a metric."
        )
    source, _, inside = key.partition(".")
    if inside:
        return col(run_conditions.JSON_COLUMNS[source])[inside]
    if key in ("ran", "project"):
        return run_conditions.ran_by(time.time()) if key == "ran" else Project.name
    return Run.tags if key == "tag" else run_conditions.column_of(key)


def _is_json(column: Any) -> bool:
    """Whether Python sorts by it: the values of a config, a metric, tags."""
    return isinstance(column.type, JSON)


def _among(filters: Sequence[ColumnElement[bool]], order: RunOrder) -> Select[Any]:
    among = sa_select(col(Run.number)).where(*filters)
    return among.join(Project) if order.sort == "project" else among


def all_numbers(session: Session, filters: Sequence[ColumnElement[bool]], order: RunOrder) -> list[int]:
    """Numbers of all runs of a list, in its order: its conditions are looked at once for each run."""
    return list(session.execute(all_of(session, filters, order)).scalars())


def all_of(session: Session, filters: Sequence[ColumnElement[bool]], order: RunOrder) -> Select[Any]:
    """The numbers of all runs of a list, in its order; those without a value are last, whichever the direction."""
    key, number = _orderable(session, order.sort), col(Run.number)
    by = (key.desc(), number.desc()) if order.descending else (key.asc(), number.asc())
    has_all = getattr(key, "nullable", True) is False  # PostgreSQL reads no index for NULLS LAST
    return _among(filters, order).order_by(by[0] if has_all else by[0].nulls_last(), by[1])


def _orderable(session: Session, name: str) -> Any:
    """A column as the database orders it: of JSON, values of any kind, and NULL for null and an empty list."""
    column = sort_column(name)
    if not _is_json(column):
        return column
    if session.get_bind().dialect.name == "postgresql":
        value = func.nullif(cast(column, JSONB), text("'null'::jsonb"))
        return func.nullif(value, text("'[]'::jsonb"))
    source, _, inside = (run_query.key_of(name) or "").partition(".")
    if not inside:
        return func.nullif(cast(column, Text), "[]")
    quoted = inside.replace('"', '""')
    return func.json_extract(col(run_conditions.JSON_COLUMNS[source]), f'$."{quoted}"')


def views_in_order(
    session: Session, numbers: list[int], columns: Mapping[str, tuple[str, str]], order: RunOrder
) -> list[RunView]:
    """Views of runs in a given order, with what the list wants besides. columns: of `run_columns.checked`."""
    runs = _in_order(session, numbers)
    values = run_columns.values_of(session, numbers, columns)
    curves = run_columns.curves_of(session, numbers) if order.curves else {}
    for run in runs:
        run.values, run.curve = values.get(run.id, {}), curves.get(run.id, [])
    return runs


def owners(session: Session) -> list[str]:
    """All who own a run. Each is the next one in the index, so that the runs of one owner are not gone through."""
    first: Any = sa_select(func.min(col(Run.owner)).label("owner")).cte("owners", recursive=True)
    after = sa_select(func.min(col(Run.owner))).where(col(Run.owner) > first.c.owner).scalar_subquery()
    walked = first.union_all(sa_select(after).where(first.c.owner.is_not(None)))
    return list(session.execute(sa_select(walked.c.owner).where(walked.c.owner.is_not(None))).scalars())


def conditions(session: Session, wanted: RunFilter) -> list[ColumnElement[bool]]:
    conditions: list[ColumnElement[bool]] = []
    if wanted.archived is not None:
        conditions.append(no_index(session, Run.archived) == wanted.archived)
    if wanted.project_id is not None:
        conditions.append(col(Run.project_id) == wanted.project_id)
    if wanted.parent_id is not None:
        conditions.append(col(Run.parent_id) == wanted.parent_id)
    if wanted.owner is not None:
        conditions.append(col(Run.owner) == wanted.owner)
    if wanted.states is not None:
        conditions.append(col(Run.state).in_(texts(wanted.states)))
    return conditions + run_conditions.conditions(session, wanted.where)


def counts(session: Session, wanted: RunFilter) -> dict[RunState, int]:
    """Runs by state. Those of one parent are counted one by one, since they are few; those of an owner by an index."""
    if wanted.parent_id is None and wanted.owner is None:
        return run_counts.by_state(session, wanted.project_id, wanted.archived)
    among = conditions(session, wanted._replace(states=None, where=()))
    counted = select(Run.state, func.count()).where(*among).group_by(col(Run.state))
    return {RunState(state): count for state, count in session.exec(counted)}


def _conditions_along_an_index(session: Session, wanted: RunFilter, order: RunOrder) -> list[ColumnElement[bool]]:
    """The conditions of a list that is read along an index of its order, until a page is full."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.archived is not None:
        conditions.append(no_index(session, Run.archived) == wanted.archived)
    if wanted.project_id is not None:
        column = col(Run.project_id) if order.sort == "created_at" else no_index(session, Run.project_id)
        conditions.append(column == wanted.project_id)
    if wanted.owner is not None:
        conditions.append(no_index(session, Run.owner) == wanted.owner)
    if wanted.states is not None:
        conditions.append(no_index(session, Run.state).in_(texts(wanted.states)))
    return conditions


def _numbers(session: Session, among: Select[Any], column: Any, order: RunOrder) -> list[int]:
    """Numbers of the runs of a page, in its order; those without a value are last, whichever the direction."""

    def piece(part: ColumnElement[bool], keys: list[Any], limit: int, offset: int) -> list[int]:
        sorted_by = [key.desc() if order.descending else key.asc() for key in keys]
        found = session.execute(among.where(part).order_by(*sorted_by).limit(limit).offset(offset))
        return list(found.scalars())

    numbers = piece(column.is_not(None), [column, col(Run.number)], order.limit, order.offset)
    if len(numbers) < order.limit:
        valued = select(func.count()).select_from(among.where(column.is_not(None)).subquery())
        before = len(numbers) + order.offset if numbers or not order.offset else session.exec(valued).one()
        numbers += piece(column.is_(None), [col(Run.number)], order.limit - len(numbers), max(0, order.offset - before))
    return numbers


def _in_order(session: Session, numbers: list[int]) -> list[RunView]:
    """Views of runs in a given order."""
    places = {number: place for place, number in enumerate(numbers)}
    listed = _LISTED.where(col(Run.number).in_(numbers))
    return _views(session, listed, key=lambda row: places[row.number])


def changed_since(session: Session, since: float, known: Mapping[str, int]) -> tuple[RunsBatch, float]:
    """What changed after `since`, and the value to ask with next time.

    since: 0 at first, which gives the runs changed last; then what the last call returned. known: run -> revision
    that the reader has, left out of the answer.
    """
    now = session.exec(select(Counter.value).where(Counter.name == "changes")).one()
    if since == now or since > now:
        return RunsBatch(changed=[], deleted=[]), float(now)
    listed = _LISTED.where(col(Run.change) > int(since))
    if since <= 0:
        listed = listed.order_by(col(Run.change).desc()).limit(FIRST_LOOK)
    changed = _views(session, listed)
    gone = session.exec(select(DeletedRun.id).where(col(DeletedRun.change) > int(since))).all()
    return (
        RunsBatch(
            changed=[run for run in changed if known.get(run.id) != run.revision],
            deleted=list(gone) if since > 0 else [run_id for run_id in gone if run_id in known],
        ),
        float(now),
    )


def live_at(session: Session, places: Iterable[tuple[str, str]]) -> list[RunView]:
    """Runs that live at some places, each a host and a home."""
    at = or_(*(and_(col(Run.host) == host, col(Run.home) == home) for host, home in places))
    return _views(session, _LISTED.where(col(Run.state).in_(texts(LIVE)), at))


def detail(session: Session, settings: Settings, text: str) -> RunDetail:
    """One run with all that its page shows."""
    run = find_run(session, text)
    folder, absent = settings.run_dir(run.id), homes.elsewhere(session, [run]).get(run.id)
    attempts = session.exec(select(Attempt).where(Attempt.run_id == run.id).order_by(col(Attempt.number))).all()
    saved = select(Artifact).where(Artifact.run_id == run.id, Artifact.kind == "checkpoint")
    return RunDetail.model_validate(
        {
            **_view_of(session, run).model_dump(),
            "config": run.config,
            "payload": run.payload,
            "device_request": DeviceRequest(
                device=run.requested_device, gpus=run.requested_gpus, host=run.requested_host
            ),
            "after": sorted(session.exec(select(Dependency.after_id).where(Dependency.run_id == run.id)).all()),
            "attempts": [AttemptView.model_validate(attempt, from_attributes=True) for attempt in attempts],
            "checkpoints": [
                CheckpointView.model_validate(row, from_attributes=True)
                for row in session.exec(saved.order_by(col(Artifact.step), col(Artifact.attempt)))
                if absent is not None or is_folder(folder, row.path, elsewhere(run.config, folder))
            ],
            "series_names": [name for _, name in tags_of(session, run)],
            "manifest": _short_manifest(settings, run.id) if absent is None else None,
            "folder": str(folder) if absent is None else homes.path_of(session, run),
            "data_revision": run.data_revision,
            "data_revision_digest": run.data_revision_digest,
            "later_revisions": later_revisions(session, run),
            "elsewhere": absent,
        }
    )


class Scan(NamedTuple):
    """What a run's scan of its data set found: the run's name; path -> reason of each image that cannot be read."""

    run: str
    unreadable: dict[str, str]


def last_scan(session: Session, settings: Settings, root: str) -> Scan | None:
    """That of the newest run on this folder whose manifest tells it; only the last few are looked at."""
    begun = select(Run.id, Run.name).where(
        Run.root == root, Run.kind == RunKind.TRAIN, col(Run.attempt) > 0, homes.is_here(session)
    )
    for run_id, name in session.exec(begun.order_by(col(Run.number).desc()).limit(LOOKED_AT)):
        data = (manifest_of(settings, run_id) or {}).get("data")
        if isinstance(data, dict) and isinstance(data.get("quarantined"), dict):
            return Scan(name, {str(path): str(reason) for path, reason in data["quarantined"].items()})
    return None


def _short_manifest(settings: Settings, run_id: str) -> dict[str, Any] | None:
    """A run's manifest without what is long and only its environment shows: a page asks for it at each epoch."""
    found = manifest_of(settings, run_id)
    return found and {name: value for name, value in found.items() if name not in ("packages", "git")}


def manifest_of(settings: Settings, run_id: str) -> dict[str, Any] | None:
    """A run's manifest; None before its first attempt has scanned its data, or where it cannot be read."""
    try:
        found = read_json(settings.run_dir(run_id), MANIFEST)
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None

"""The columns of a list of runs: what there is, the values of some for a page, what a list is sorted by, small curves.

Called by `queries`. A column has the name that it has in a query (`run_query`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from sqlalchemy import and_, func, or_
from sqlalchemy import select as sa_select
from sqlmodel import Session, col, select

from imgcls_lab import run_query
from imgcls_lab.config import GROUPS, TrainConfig
from imgcls_lab.config.evaluation import FRACTION_METRICS, METRIC_TITLES
from imgcls_lab.errors import InputError
from imgcls_lab.run_state import Monitor, is_rated
from imgcls_lab.schemas import ColumnView, RunColumns, TagCount
from imgcls_lab.schemas.limits import MAX_COLUMNS, MAX_CURVE, SHOWN_TAGS
from imgcls_lab.store.run_conditions import JSON_COLUMNS
from imgcls_lab.store.tables import Metric, Run, Tag

GROUP_TITLES = {"run": "Run", **GROUPS, "latest": "Metrics, last value", "best": "Metrics, best value"}
_LABELS = {
    "id": "id", "name": "run", "owner": "owner", "project": "project", "kind": "kind", "host": "host", "model": "model",
    "data": "data set", "notes": "notes", "message": "message", "parent": "parent", "monitor": "best by",
    "state": "state", "created": "made", "started": "started", "ended": "ended", "ran": "time", "best": "best",
    "epoch": "epoch", "step": "step", "attempt": "attempts", "priority": "priority", "lr": "learning rate",
    "batch_size": "batch size", "tag": "tags", "archived": "archived", "size": "size",
}  # fmt: skip
_JSON_KINDS = {"integer": "number", "number": "number", "boolean": "flag", "string": "text"}


# ── which there are ─────────────────────────────────────────────────────────────────────────────────────────────
def all_columns(session: Session) -> RunColumns:
    """Columns of runs, fields of configs, metrics that a run has; and the tags that people gave."""
    names = session.exec(select(Tag.name).order_by(Tag.name)).all()
    tags = [name for name in names if name.startswith(run_query.METRICS)]
    return RunColumns(
        columns=[
            *(_of_run(key) for key in _LABELS),
            *_of_configs(),
            *(_of_metric(tag, tag, "latest") for tag in tags),
            *(_of_metric(run_query.BEST + tag, tag, "best") for tag in tags if is_rated(tag)),
        ],
        groups=GROUP_TITLES,
        tags=_tag_counts(session),
    )


def _of_run(key: str) -> ColumnView:
    return ColumnView(key=key, label=_LABELS[key], group="run", kind=run_query.COLUMNS[key])


@lru_cache(maxsize=1)
def _of_configs() -> tuple[ColumnView, ...]:
    """As the form of a config has them; those that a run has as a column of its own are not repeated."""
    fields = TrainConfig.model_json_schema()["properties"]
    return tuple(
        ColumnView(
            key=name,
            label=field["title"],
            description=field["description"],
            group=field["group"],
            kind=_JSON_KINDS.get(field.get("type", ""), "value"),
        )
        for name, field in fields.items()
        if name in run_query.CONFIG
    )


def _of_metric(key: str, tag: str, group: str) -> ColumnView:
    name = tag.split("/", 1)[1]
    label = METRIC_TITLES.get(name, name) if tag.startswith("metric/") else tag
    fraction = name in FRACTION_METRICS and tag.startswith(("metric/", "test/"))
    return ColumnView(key=key, label=label, description=tag, group=group, kind="fraction" if fraction else "number")


def _tag_counts(session: Session) -> list[TagCount]:
    tags: Any
    if session.get_bind().dialect.name == "postgresql":
        tags = func.json_array_elements_text(col(Run.tags)).table_valued("value").render_derived("held")
    else:
        tags = func.json_each(col(Run.tags)).table_valued("value", name="held")
    number = func.count().label("runs")
    counted = sa_select(tags.c.value, number).select_from(Run).join(tags, func.length(tags.c.value) > 0)
    counted = counted.where(col(Run.archived).is_(False)).group_by(tags.c.value)
    found = session.execute(counted.order_by(number.desc(), tags.c.value).limit(SHOWN_TAGS))
    return [TagCount(tag=tag, runs=runs) for tag, runs in found]


# ── values of a page ────────────────────────────────────────────────────────────────────────────────────────────
def checked(columns: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Column -> the JSON column of a run that holds it, and its name there. Those in a run's own fields are left out.

    Raises InputError for what is no column, and for too many.
    """
    if len(columns) > MAX_COLUMNS:
        raise InputError(f"A list has at most {MAX_COLUMNS} columns, this one {len(columns)}.")
    found: dict[str, tuple[str, str]] = {}
    for name in columns:
        if name == run_query.CURVE:
            continue
        key = run_query.key_of(name)
        if key is None:
            raise run_query.unknown_key(name)
        source, _, inside = key.partition(".")
        if inside:
            found[name] = source, inside
    return found


def values_of(
    session: Session, numbers: Sequence[int], wanted: Mapping[str, tuple[str, str]]
) -> dict[str, dict[str, Any]]:
    """Run id -> column -> value of what `checked` gave; what a run does not have is left out."""
    sources = sorted({source for source, _ in wanted.values()})
    if not sources:
        return {}
    held: Any = sa_select(col(Run.id), *(col(JSON_COLUMNS[source]).label(source) for source in sources))
    found: dict[str, dict[str, Any]] = {}
    for row in session.execute(held.where(col(Run.number).in_(numbers))):
        of_run = {column: getattr(row, source).get(name) for column, (source, name) in wanted.items()}
        found[row.id] = {column: value for column, value in of_run.items() if value is not None}
    return found


# ── curves of a page ────────────────────────────────────────────────────────────────────────────────────────────
def curves_of(session: Session, numbers: Sequence[int]) -> dict[str, list[float]]:
    """Run id -> at most MAX_CURVE values of the metric that it watches, first and last among them."""
    asked = ("monitor_metric", "monitor_mode", "top_k")
    settings = sa_select(col(Run.id), col(Run.number), *(col(Run.config)[name].label(name) for name in asked))
    runs = session.execute(settings.where(col(Run.number).in_(numbers), col(Run.best_metric).is_not(None))).all()
    by_tag: dict[str, list[int]] = {}
    for _, number, *monitored in runs:
        by_tag.setdefault(_monitor_tag(*monitored), []).append(number)
    named = select(Tag.name, Tag.id).where(col(Tag.name).in_(by_tag))
    parts = [
        and_(col(Metric.tag_id) == tag, col(Metric.run_number).in_(by_tag[name])) for name, tag in session.exec(named)
    ]
    if not parts:
        return {}
    of_run: dict[str, Any] = {"partition_by": col(Metric.run_number)}
    points = sa_select(
        col(Metric.run_number).label("run"),
        col(Metric.value).label("value"),
        func.row_number().over(order_by=[col(Metric.step), col(Metric.attempt), col(Metric.seq)], **of_run).label("at"),
        func.count().over(**of_run).label("all"),
    ).where(or_(*parts), col(Metric.value).is_not(None)).subquery()  # fmt: skip
    at, among, most = points.c.at, points.c["all"], MAX_CURVE - 1
    kept = or_(at == 1, at * most // among > (at - 1) * most // among)
    ids = {number: run_id for run_id, number, *_ in runs}
    found: dict[str, list[float]] = {}
    for number, value in session.execute(
        sa_select(points.c.run, points.c.value).where(kept).order_by(points.c.run, at)
    ):
        found.setdefault(ids[number], []).append(value)
    return found


@lru_cache(maxsize=256)
def _monitor_tag(metric: str | None, mode: str | None, top_k: int | None) -> str:
    given = {"monitor_metric": metric, "monitor_mode": mode, "top_k": top_k}
    return Monitor.of({name: value for name, value in given.items() if value is not None}).tag

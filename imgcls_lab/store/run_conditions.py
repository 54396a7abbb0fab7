"""Which runs a query asks for, as SQL. Called by `queries`; the language is that of `run_query`."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, case, false, func, not_, or_
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from imgcls_lab.events import RunKind
from imgcls_lab.run_query import COLUMNS, Term, Value
from imgcls_lab.store.tables import Attempt, Project, Run

_Parent = aliased(Run)
SEARCHED = (Run.name, Run.id, Run.model_flavour, Run.root, Run.notes)
_COMPARED: dict[str, Callable[[Any, Any], ColumnElement[bool]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column.is_distinct_from(value),  # also where there is none
    ">": lambda column, value: column > value,
    ">=": lambda column, value: column >= value,
    "<": lambda column, value: column < value,
    "<=": lambda column, value: column <= value,
}
_COLUMNS: dict[str, Any] = {
    "id": Run.id, "name": Run.name, "owner": Run.owner, "kind": Run.kind, "host": Run.host, "model": Run.model_flavour,
    "data": Run.root, "notes": Run.notes, "message": Run.message, "parent": Run.parent_id, "monitor": Run.best_metric,
    "lineage": Run.lineage, "state": Run.state, "created": Run.created_at, "started": Run.started_at,
    "ended": Run.ended_at, "best": Run.best_value, "epoch": Run.epoch, "step": Run.step, "attempt": Run.attempt,
    "priority": Run.priority, "lr": Run.lr, "batch_size": Run.batch_size, "size": Run.size,
    "repetition": Run.repetition,
}  # fmt: skip


JSON_COLUMNS: dict[str, Any] = {"config": Run.config, "latest": Run.latest, "best_values": Run.best_values}


def ran_by(now: float) -> Any:
    """Seconds that a run has run by then, its living attempt included; NULL before the first."""
    seconds = func.sum(func.coalesce(col(Attempt.ended_at), now) - col(Attempt.started_at))
    return select(seconds).where(col(Attempt.run_id) == col(Run.id)).correlate(Run).scalar_subquery()


def contains(text: str) -> ColumnElement[bool]:
    """Runs that have a text in one of the columns that people look in."""
    return or_(*(col(column).icontains(text, autoescape=True) for column in SEARCHED))


def conditions(session: Session, terms: Sequence[Term]) -> list[ColumnElement[bool]]:
    """Those of columns first: JSON is read only of the runs that these leave."""
    cheap_first = sorted(terms, key=lambda term: "." in term.key)
    return [_condition(session, term) for term in cheap_first]


def _condition(session: Session, term: Term) -> ColumnElement[bool]:
    if not term.key:
        return contains(str(term.value))
    source, _, name = term.key.partition(".")
    if name:
        return _of_json(session, JSON_COLUMNS[source], name, term)
    if term.key == "tag":
        return _tagged(session, term)
    column = column_of(term.key)
    alike: ColumnElement[bool]
    if COLUMNS[term.key] == "text":
        return _text(column, term.op, term.value)
    if term.value is None:
        alike = column.is_(None)
    elif isinstance(term.value, frozenset):
        alike = column.in_(term.value)
    else:
        return _COMPARED[term.op](column, term.value)
    return alike if term.op == "=" else not_(alike)


def column_of(key: str) -> Any:
    """What a key of the query language stands for in the database."""
    if key == "ran":
        return ran_by(time.time())
    if key == "sweep":  # whose trial it is
        own = (col(_Parent.id) == col(Run.parent_id)) & (col(_Parent.kind) == RunKind.SWEEP.value)
        return select(_Parent.id).where(own).correlate(Run).scalar_subquery()
    if key == "project":
        return select(Project.name).where(col(Project.id) == col(Run.project_id)).correlate(Run).scalar_subquery()
    return col(_COLUMNS[key])


def _tagged(session: Session, term: Term) -> ColumnElement[bool]:
    """Whether one of the tags is what is looked for; without a value: whether there is none."""
    if term.value is None:
        none = func.json_array_length(col(Run.tags)) == 0
        return none if term.op == "=" else not_(none)
    if session.get_bind().dialect.name == "postgresql":
        tags = func.json_array_elements_text(col(Run.tags)).table_valued("value").render_derived("held")
    else:
        tags = func.json_each(col(Run.tags)).table_valued("value", name="held")
    found = select(1).select_from(tags).where(_text(tags.c.value, ":" if term.op == ":" else "=", term.value)).exists()
    return not_(found) if term.op == "!=" else found


def _text(column: Any, op: str, value: Value) -> ColumnElement[bool]:
    """A part of it, or the whole of it with * for any characters; upper and lower case are the same."""
    there = func.coalesce(column, "")
    if op == ":":
        part: ColumnElement[bool] = there.icontains(str(value), autoescape=True)
        return part
    texts = value if isinstance(value, frozenset) else {str(value)}
    alike = or_(false(), *(there.ilike(_pattern(text), escape="/") for text in sorted(texts)))
    return alike if op == "=" else not_(alike)


def _pattern(text: str) -> str:
    escaped = text.replace("/", "//").replace("%", "/%").replace("_", "/_")
    return escaped.replace("*", "%")


def _of_json(session: Session, column: Any, name: str, term: Term) -> ColumnElement[bool]:
    """A value of a config, or a metric. It is looked at as what it is: a text is no number, and no number is a text."""
    held = col(column)[name]
    kind = _kind_of(session, column, name)
    alike: ColumnElement[bool]
    if term.value is None:
        alike = or_(kind.is_(None), kind == "null")
    elif isinstance(term.value, bool):
        truth = case((kind.in_(("boolean", "true", "false")), held.as_boolean()))
        alike = func.coalesce(truth == term.value, false())
    elif isinstance(term.value, float):
        number = case((kind.in_(("number", "integer", "real")), held.as_float()))
        alike = _COMPARED["=" if term.op == "!=" else term.op](number, term.value)
    else:
        text = case((kind.in_(("string", "text")), held.as_string()))
        alike = _text(text, ":" if term.op == ":" else "=", term.value)
    return not_(func.coalesce(alike, false())) if term.op == "!=" else alike


def _kind_of(session: Session, column: Any, name: str) -> Any:
    """The JSON type of a value, as the database calls it; NULL where there is none."""
    if session.get_bind().dialect.name == "postgresql":
        return func.json_typeof(col(column)[name])
    quoted = name.replace('"', '""')
    return func.json_type(col(column), f'$."{quoted}"')

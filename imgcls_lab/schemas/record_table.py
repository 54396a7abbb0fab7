"""A wire type as a notebook shows it: a row for each field, and a table for each list of records.

`Wire` calls it. What is long is cut, for the object itself has all of it.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from enum import Enum
from html import escape
from typing import Any

from pydantic import BaseModel

MISSING = "–"  # where a value is missing
MOST_ROWS = 20  # of a list
MOST_TEXT = 200  # characters of a value
DEPTH = 2  # of tables inside each other


def record_html(record: BaseModel, depth: int = DEPTH) -> str:
    """Its fields as a table of HTML, whose texts are no markup."""
    return _pairs(((name, getattr(record, name)) for name in type(record).model_fields), depth)


def _pairs(pairs: Iterable[tuple[str, Any]], depth: int) -> str:
    rows = (f"<tr><th>{escape(name)}</th><td>{_cell(name, value, depth - 1)}</td></tr>" for name, value in pairs)
    return f"<table>{''.join(rows)}</table>"


def _cell(name: str, value: Any, depth: int) -> str:
    if depth > 0 and value:
        if isinstance(value, BaseModel):
            return record_html(value, depth)
        if isinstance(value, Mapping):
            return _pairs(list(value.items())[:MOST_ROWS], depth) + _more(len(value))
        if isinstance(value, list) and isinstance(value[0], BaseModel):
            return _list(value)
    return escape(_text(name, value))


def _list(records: list[BaseModel]) -> str:
    """A row for each record, a column for each field of the first one's type."""
    names = [*type(records[0]).model_fields]
    head = "".join(f"<th>{escape(name)}</th>" for name in names)
    rows = (
        "".join(f"<td>{_cell(name, getattr(record, name), 0)}</td>" for name in names) for record in records[:MOST_ROWS]
    )
    return f"<table><tr>{head}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>{_more(len(records))}"


def _more(count: int) -> str:
    return f"<p>{MOST_ROWS} of {count:,}</p>" if count > MOST_ROWS else ""


def _text(name: str, value: Any) -> str:
    if value is None or value in ([], {}):
        return MISSING
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, float):
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(value)) if name.endswith("_at") else f"{value:.6g}"
    if isinstance(value, list) and all(isinstance(each, (str, int, float)) for each in value):
        value = ", ".join(_text(name, each) for each in value[:MOST_TEXT])
    text = str(value)
    return text if len(text) <= MOST_TEXT else f"{text[: MOST_TEXT - 1]}…"

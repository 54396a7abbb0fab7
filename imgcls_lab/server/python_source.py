"""Values and calls as Python source, as a person would write them; pure.

Every text goes through `repr`, so that no name of a run or a data set can become code.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from keyword import iskeyword
from textwrap import indent
from typing import Any

from imgcls_lab.errors import InputError

WIDTH = 100  # characters of a line


class Source(str):
    """Python source, which is taken as it is."""

    __slots__ = ()


def literal(value: Any) -> str:
    """A value as source; `Source` as it is. Several lines where one is too long."""
    if isinstance(value, Source):
        return str(value)
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        return _joined("{", [f"{literal(key)}: {literal(item)}" for key, item in value.items()], "}")
    if isinstance(value, tuple):
        items = [literal(item) for item in value]
        return f"({items[0]},)" if len(items) == 1 else _joined("(", items, ")")
    if isinstance(value, list):
        return _joined("[", [literal(item) for item in value], "]")
    if value is None or isinstance(value, bool | int | float):
        return repr(value)
    raise TypeError(f"A {type(value).__name__} has no source here.")


def call(function: str, *arguments: Any, **named: Any) -> Source:
    """A call as source. A named argument that is None is left out. Raises InputError for a name that is none."""
    for name in named:
        if not name.isidentifier() or iskeyword(name):
            raise InputError(f"“{name[:60]}” is no name of a setting.")
    parts = [literal(value) for value in arguments]
    parts += [f"{name}={literal(value)}" for name, value in named.items() if value is not None]
    return Source(_joined(f"{function}(", parts, ")"))


def each(items: Iterable[str], body: str) -> str:
    """The same method of several runs: a loop, or without one where there is a single run. body: such as `.stop()`."""
    found = [Source(item) for item in items]
    return f"{found[0]}{body}" if len(found) == 1 else f"for run in {literal(found)}:\n    run{body}"


def _text(value: str) -> str:
    """With double quotes, where that needs no escape."""
    plain = repr(str(value))
    return f'"{plain[1:-1]}"' if plain[0] == "'" and '"' not in value and "\\'" not in plain else plain


def _joined(before: str, parts: list[str], after: str) -> str:
    inside = ", ".join(parts)
    first = before.rpartition("\n")[2]  # what is called may have several lines itself
    if len(f"{first}{inside}{after}") <= WIDTH and "\n" not in inside:
        return f"{before}{inside}{after}"
    return "\n".join([before, *(indent(f"{part},", "    ") for part in parts), after])

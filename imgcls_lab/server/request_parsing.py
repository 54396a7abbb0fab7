"""Reads what a client sent: a JSON text into plain values, plain values into a wire model.

Called by the handlers and the stream. Everything that could cost memory or time, or that a database cannot hold,
is refused here with a sentence: depth, NaN, huge integers, half characters.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError

from imgcls_lab.errors import InputError
from imgcls_lab.schemas.limits import MAX_FIELDS, MAX_JSON_VALUES
from imgcls_lab.validation_errors import joined, problems

MAX_BYTES = 1_000_000
MAX_DEPTH = 24
_INT64 = 2**63
M = TypeVar("M", bound=BaseModel)
T = TypeVar("T")


def read_json(data: bytes | str) -> Any:
    """The value of a JSON text. Raises InputError when it is none, or one that nothing here could use."""
    raw = data.encode(errors="surrogatepass") if isinstance(data, str) else data
    if sum(map(raw.count, (b",", b"[", b"{"))) > MAX_JSON_VALUES:  # before anything is made of them
        raise InputError(f"A request may hold at most {MAX_JSON_VALUES:,} values.")
    try:
        value = json.loads(data, parse_int=_integer, parse_float=_number, parse_constant=_constant)
    except RecursionError:
        raise InputError(f"The request is nested deeper than {MAX_DEPTH} levels.") from None
    except UnicodeDecodeError:
        raise InputError("The request is not UTF-8 text.") from None
    except json.JSONDecodeError as error:
        raise InputError(f"The request is not valid JSON: {error.msg} at character {error.pos}.") from None
    _check(value)
    return value


def read_model(model: type[M], value: Any) -> M:
    """The value as a wire model. Raises InputError with a problem for each wrong field."""
    return read_as(TypeAdapter(model), value)


def read_as(adapter: TypeAdapter[T], value: Any) -> T:
    """The value as what the adapter describes. Raises InputError with a problem for each wrong field."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        found = problems(error, lambda: {name: name for name in adapter.json_schema().get("properties", {})})
        raise InputError(f"The request cannot be used. {joined(found)}", found) from None


def _check(value: Any) -> None:
    """Raises InputError for a value that is too deep or too wide, or holds text that no database takes."""
    level: list[Any] = [value]
    for _ in range(MAX_DEPTH):
        if not level:
            return
        level = [child for item in level for child in _children(item)]
    if level:
        raise InputError(f"The request is nested deeper than {MAX_DEPTH} levels.")


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if len(value) > MAX_FIELDS:
            raise InputError(f"An object of the request has more than {MAX_FIELDS} names.")
        yield from value
        yield from value.values()
    elif isinstance(value, list):
        yield from value
    elif isinstance(value, str):
        if "\0" in value:
            raise InputError("A text of the request holds a NUL character.")
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError("A text of the request holds half of a character (a lone surrogate).") from None


def _integer(text: str) -> int:
    if len(text) > 20 or not -_INT64 <= int(text) < _INT64:
        raise InputError("A whole number of the request is too large.")
    return int(text)


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise InputError("A number of the request is too large.")
    return value


def _constant(text: str) -> NoReturn:
    raise InputError(f"{text} is not valid JSON; send a finite number or null.")

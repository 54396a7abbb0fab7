"""Requests to the store from what a user typed, with a sentence where a text is empty or too long.

Called by `launch` and by the command line's registries.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError

from imgcls_lab.errors import InputError, Problem
from imgcls_lab.wire import Wire

W = TypeVar("W", bound=Wire)
_SENTENCES = {
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
}


def request(kind: type[W], **values: Any) -> W:
    """A request of this kind. Raises InputError, a sentence for each wrong value."""
    try:
        return kind(**values)
    except ValidationError as error:
        problems = []
        for detail in error.errors(include_url=False):
            template = _SENTENCES.get(detail["type"], detail["msg"])
            field = ".".join(str(part) for part in detail["loc"])
            problems.append(Problem(field, template.format(**detail.get("ctx", {})) + "."))
        raise InputError(" ".join(f"{p.field} {p.message}" for p in problems).capitalize(), problems) from None

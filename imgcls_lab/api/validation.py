"""Requests to the store from what a user typed, with a sentence where a text is empty or too long.

Called by `launch` and by the command line's registries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from imgcls_lab.errors import InputError, Problem
from imgcls_lab.schemas import ProjectEdit, Wire

if TYPE_CHECKING:
    from imgcls_lab.store import Store

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
            if detail["type"] == "string_too_short" and detail["ctx"]["min_length"] > 1:
                template = "must have at least {min_length} characters"
            field = ".".join(str(part) for part in detail["loc"])
            problems.append(Problem(field, template.format(**detail.get("ctx", {})) + "."))
        raise InputError(" ".join(f"{p.field} {p.message}" for p in problems).capitalize(), problems) from None


def project_id(store: Store, name: str, *, make: bool = False) -> int:
    """The id of a project. make: add one of this name where there is none. Raises NotFoundError otherwise."""
    if not make:
        return store.projects.find(name).id
    known = store.projects.named(name)
    return store.projects.add(request(ProjectEdit, name=name)).id if known is None else known.id

"""Requests to the store from what a user typed, with a sentence where a text is empty or too long.

Called by `launch` and by the command line's registries.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from imgcls_lab.errors import InputError
from imgcls_lab.schemas import ProjectEdit, Wire
from imgcls_lab.validation_errors import field_names, joined, problems

if TYPE_CHECKING:
    from imgcls_lab.store import Store

W = TypeVar("W", bound=Wire)


def request(kind: type[W], **values: Any) -> W:
    """A request of this kind. Raises InputError, a sentence for each wrong value."""
    try:
        return kind(**values)
    except ValidationError as error:
        found = problems(error, lambda: field_names(kind))
        raise InputError(joined(found), found) from None


def project_id(store: Store, name: str, *, make: bool = False) -> int:
    """The id of a project. make: add one of this name where there is none. Raises NotFoundError otherwise."""
    if not make:
        return store.projects.find(name).id
    known = store.projects.named(name)
    return store.projects.add(request(ProjectEdit, name=name)).id if known is None else known.id

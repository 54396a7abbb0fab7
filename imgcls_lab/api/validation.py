"""Requests to the store from what a user typed, with a sentence where a text is empty, too long or no known choice.

Called by `launch`, by the command line's registries and by the answers about images.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ValidationError

from imgcls_lab.errors import InputError, unknown
from imgcls_lab.schemas import ProjectEdit, Wire
from imgcls_lab.validation_errors import field_names, joined, problems

if TYPE_CHECKING:
    from imgcls_lab.store import Store

W = TypeVar("W", bound=Wire)
T = TypeVar("T")
LISTED = 12  # choices that a message lists


def request(kind: type[W], **values: Any) -> W:
    """A request of this kind. Raises InputError, a sentence for each wrong value."""
    try:
        return kind(**values)
    except ValidationError as error:
        found = problems(error, lambda: field_names(kind))
        raise InputError(joined(found), found) from None


def one_of(argument: str, value: T | None, known: Sequence[T]) -> T | None:
    """The value of an argument that is one of some, or None. Raises InputError, which names argument and choices."""
    if value is None or value in known:
        return value
    choices = [*map(str, known)]
    if len(choices) > LISTED:
        raise InputError(f"{argument}: {unknown('choice', str(value), choices)}", reason="unknown_choice")
    listed = " or ".join(filter(None, [", ".join(choices[:-1]), *choices[-1:]]))
    raise InputError(f"{argument} must be {listed}, not {value!r}.", reason="unknown_choice")


def project_id(store: Store, name: str, *, make: bool = False) -> int:
    """The id of a project. make: add one of this name where there is none. Raises NotFoundError otherwise."""
    if not make:
        return store.projects.find(name).id
    known = store.projects.named(name)
    return store.projects.add(request(ProjectEdit, name=name)).id if known is None else known.id

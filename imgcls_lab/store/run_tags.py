"""The tags of a run: words that people give it. Called by what submits, edits and restores runs; knows no database."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from imgcls_lab.errors import InputError
from imgcls_lab.schemas.limits import MAX_TAGS, Tag

_TAG: TypeAdapter[str] = TypeAdapter(Tag)


def distinct(tags: Iterable[str]) -> list[str]:
    """The tags in their order. Of those that differ in upper and lower case alone, the first."""
    first: dict[str, str] = {}
    for tag in tags:
        first.setdefault(tag.casefold(), tag)
    return list(first.values())


def changed(tags: Sequence[str], add: Sequence[str], remove: Sequence[str]) -> list[str]:
    """The tags of a run with some more and without others. Raises InputError for too many."""
    gone = {tag.casefold() for tag in remove}
    found = distinct([*(tag for tag in tags if tag.casefold() not in gone), *add])
    if len(found) > MAX_TAGS:
        raise InputError(f"A run has at most {MAX_TAGS} tags; this one would have {len(found)}.", reason="many_tags")
    return found


def tags_in(row: Any) -> list[str]:
    """The tags in the record of a folder, as far as they are some: anybody may have written it."""
    tags = row.get("tags") if isinstance(row, dict) else None
    return distinct(filter(_is_tag, tags[:MAX_TAGS])) if isinstance(tags, list) else []


def _is_tag(value: Any) -> bool:
    try:
        _TAG.validate_python(value)
    except ValidationError:
        return False
    return True

"""Names of class folders that look alike, and how they differ: Unicode forms, case, blanks.

Called by `imagefolder`. Knows names alone, no files.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping


def look(name: str) -> str:
    """The same text for names that look the same or differ only in case."""
    plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
    seen = "".join(c for c in plain if unicodedata.category(c) != "Cf")  # of no width
    return " ".join(seen.split())


def twins(names: Mapping[str, Iterable[str]]) -> str | None:
    """A sentence about two names that look alike. names: place, such as train/ -> the names in it.

    Letters are told apart by case: “a” and “A” are two classes.
    """
    first: dict[str, tuple[str, str]] = {}
    for place, some in names.items():
        for name in some:
            known, where = first.setdefault(likeness(name), (name, place))
            if known != name:
                return _told(known, where, name, place)
    return None


def likeness(name: str) -> str:
    """How two names that look alike differ."""
    composed = unicodedata.normalize("NFC", name)
    return composed if len(composed) == 1 else look(name)


def blanks(names: Iterable[str]) -> list[str]:
    """Names that begin or end with a blank, or with a character of no width."""
    return [name for name in names if name != name.strip() or (name and _edge(name))]


def _edge(name: str) -> bool:
    return any(unicodedata.category(c) == "Cf" for c in (name[0], name[-1]))


def _told(one: str, place: str, other: str, its_place: str) -> str:
    where = f"both in {place}" if place == its_place else f"the one in {place}, the other in {its_place}"
    differ = _difference(one, other)
    written = spelled(one), spelled(other)
    hidden = f": they are spelled {written[0]} and {written[1]}" if written != (one, other) else ""
    return (
        f"The classes “{one}” and “{other}” ({where}) {differ}, so one class would become two{hidden}. Rename one to "
        "the other's name, or move the images into one folder."
    )


def _difference(one: str, other: str) -> str:
    if unicodedata.normalize("NFC", one) == unicodedata.normalize("NFC", other):
        return "look alike and differ in their Unicode form"
    if unicodedata.normalize("NFC", one).casefold() == unicodedata.normalize("NFC", other).casefold():
        return "differ in case alone"
    if one.strip() == other.strip():
        return "look alike and differ in blanks at an end"
    return "look alike"


def spelled(name: str) -> str:
    """The name with the code point of every character that is invisible or not ASCII: caf<U+00E9>."""
    ends = {0, len(name) - 1}
    return "".join(
        c if c.isascii() and c.isprintable() and not (c == " " and at in ends) else f"<U+{ord(c):04X}>"
        for at, c in enumerate(name)
    )

"""Names of runs for a legend: what all of them begin with stands once above, what sets them apart stays readable.

The legend of the compare page does the same: views/compare/short_names.ts. tests/short_names.json holds what both come
to.
"""

from __future__ import annotations

from collections.abc import Sequence

_LEAST = 3  # letters of a setting's name


def short_names(names: Sequence[str], most: int) -> tuple[str, list[str]]:
    """The words that all begin with, and what else each is called; nothing and the names, where all have room.

    most: the letters that there is room for.
    """
    if max(map(len, names), default=0) <= most:
        return "", [*names]
    words = [name.split(" ") for name in names]
    shared = 0
    while len(names) > 1 and shared < min(map(len, words)) - 1 and len({each[shared] for each in words}) == 1:
        shared += 1
    return " ".join(words[0][:shared]), [fitted(" ".join(each[shared:]), most) for each in words]


def fitted(name: str, most: int) -> str:
    """A name of at most so many letters: `batch_size=64` keeps its value and loses of its key; else the middle goes."""
    if len(name) <= most:
        return name
    words = name.split(" ")
    longest = max(len(word.partition("=")[0]) for word in words)
    for letters in range(longest, _LEAST - 1, -1):
        text = " ".join(_with_key(word, letters) for word in words)
        if len(text) <= most:
            return text
    return f"{name[: (most - 1) // 2]}…{name[-(most // 2) :]}"


def _with_key(word: str, letters: int) -> str:
    key, equals, value = word.partition("=")
    return f"{key[: letters - 1]}…={value}" if equals and len(key) > letters else word

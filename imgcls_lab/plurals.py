"""Numbers as sentences need them: "1 image", "1,797 images", "93.4 %", "98.0 MB". Called wherever a sentence counts."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """The count with its noun, or with noun and verb: `counted(n, "image lies", "images lie")`.

    many: what stands after any other count than 1; by default `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def percent(fraction: float, digits: int = 0) -> str:
    """A part of a whole, with the space before the sign that the panel has, too."""
    return f"{100 * fraction:.{digits}f} %"


def size_text(count: int) -> str:
    """A number of bytes."""
    for unit, bytes_of_it in (("GB", 1e9), ("MB", 1e6)):
        if count >= bytes_of_it:
            return f"{count / bytes_of_it:,.1f} {unit}"
    return f"{count / 1e3:,.0f} kB"

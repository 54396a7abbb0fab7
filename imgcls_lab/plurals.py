"""A number and what it counts, as sentences need it: "1 image", "1,797 images". Called wherever a sentence counts."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """The count with its noun, or with noun and verb: `counted(n, "image lies", "images lie")`.

    many: what stands after any other count than 1; by default `one` with an s.
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"

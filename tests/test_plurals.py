"""Sentences that count: one of a thing is not "1 things"."""

from __future__ import annotations

import re
from pathlib import Path

import imgcls_lab
from imgcls_lab.plurals import counted

# a count in braces, then a noun in the plural: what `counted` is for
BY_HAND = re.compile(
    r"\{(?:len\([^{}]*\)|[\w.]*(?:count|total|dropped|repeated|images|failed|done))(?::,)?\} "
    r"(?:\w+ )?(images|runs|trials|files|links|classes|epochs|groups|lines)\b"
)
ALWAYS_MORE = {
    "folders are the classes",
    "None of its {count} trials has",
    "images have these labels",
}  # where there is one it is said otherwise


def test_one_is_singular_and_thousands_are_marked() -> None:
    assert [counted(n, "image") for n in (0, 1, 2, 1797)] == ["0 images", "1 image", "2 images", "1,797 images"]
    assert counted(1, "class", "classes") == "1 class"
    assert counted(2, "image lies", "images lie") == "2 images lie"


def test_no_sentence_counts_by_hand() -> None:
    found = [
        f"{path.name}:{number}: {line.strip()}"
        for path in Path(imgcls_lab.__file__).parent.rglob("*.py")
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if BY_HAND.search(line) and not any(text in line for text in ALWAYS_MORE)
    ]
    assert found == []

"""The figures of the fault tests, as the table of docs/reliability.md, and how large each test is in this run."""

from __future__ import annotations

import os
from typing import TypeVar

T = TypeVar("T")

FULL = os.environ.get("CHAOS") == "full"  # `make chaos`; else the quick part, which `make test` runs
ROWS: list[tuple[str, str, str]] = []


def size(quick: T, full: T) -> T:
    """How large a test is."""
    return full if FULL else quick


def note(what: str, seen: object, target: str) -> None:
    """A row for the table at the end of the test run."""
    ROWS.append((what, str(seen), target))


def table() -> str:
    """All rows so far, as Markdown."""
    return "\n".join(["| test | result | target |", "|---|---|---|", *(f"| {' | '.join(row)} |" for row in ROWS)])

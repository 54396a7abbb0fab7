"""Fixtures of the executor's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stub_lab import StubLab


@pytest.fixture
def lab(home: Path) -> Iterator[StubLab]:
    """A home whose daemon (not started yet) trains with the stub."""
    lab = StubLab(home)
    yield lab
    lab.close()

"""Fixtures of the executor's tests."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from stub_lab import ROOT, StubLab


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that a daemon of this process starts find the package of this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


@pytest.fixture
def lab(home: Path) -> Iterator[StubLab]:
    """A home whose daemon (not started yet) trains with the stub."""
    lab = StubLab(home)
    yield lab
    lab.close()

"""Fixtures of the fault tests: a home with real daemons, on SQLite or on a PostgreSQL server of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for _room in ("executor", "store", "server", "chaos"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))

import figures  # noqa: E402
from stub_lab import ROOT, StubLab  # noqa: E402


@pytest.fixture(params=["sqlite", "postgresql"])
def lab(request: pytest.FixtureRequest, home: Path) -> Iterator[StubLab]:
    url = None if request.param == "sqlite" else request.getfixturevalue("postgres").url()
    lab = StubLab(home, url, cpu_slots=3, stop_grace=1.0)
    yield lab
    lab.close()


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes that a daemon of this process starts find the package of this checkout."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What docs/reliability.md shows."""
    if figures.ROWS:
        terminalreporter.write_sep("=", "figures of the fault tests")
        terminalreporter.write_line(figures.table())

"""Homes and the few digits of the notebook API's tests, small notebooks, and a home whose daemon trains with a stub."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from api.conftest import few, idle, own

import imgcls_lab as lab
from imgcls_lab import Sweep, TrainConfig, locks
from imgcls_lab.api import context
from imgcls_lab.events import RunKind
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.settings import Settings
from tests.waiting import until

__all__ = ["few", "idle", "own"]

Write = Callable[..., Path]
ROOT = Path(__file__).parents[2]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a notebook of these cells; the first one declares the parameters."""

    def write(*cells: str, name: str = "small.ipynb", kernel: str = "python3") -> Path:
        notebook = nbformat.v4.new_notebook()
        notebook.metadata["kernelspec"] = {"name": kernel, "display_name": kernel, "language": "python"}
        notebook.cells = [nbformat.v4.new_code_cell(source) for source in cells]
        notebook.cells[0].metadata["tags"] = ["parameters"]
        path = tmp_path / name
        nbformat.write(notebook, path)
        return path

    return write


class Stubs:
    """A home whose daemon trains with the stub."""

    def __init__(self, base: TrainConfig, folder: Path) -> None:
        self.base = base
        self.settings = Settings()
        self.fails = folder / "fails"
        self.luck = folder / "luck"
        self._pace = folder / "pace"
        self.epochs_take(0.05)
        self._daemon: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        context.store()
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "STUB_FAILS": str(self.fails)}
        environment |= {"STUB_PACE": str(self._pace), "STUB_LUCK": str(self.luck)}
        command = [sys.executable, str(Path(__file__).with_name("stub_daemon.py"))]
        log = self.settings.executor_dir / "daemon.log"
        with log.open("ab") as file:
            self._daemon = subprocess.Popen(command, env=environment, stdout=file, stderr=file, start_new_session=True)
        until(lambda: locks.is_locked(self.settings.executor_lock))

    def epochs_take(self, seconds: float) -> None:
        """From now on, also those of trials that run already."""
        made = self._pace.with_suffix(".new")
        made.write_text(str(seconds))
        made.replace(self._pace)

    def kill(self) -> None:
        if self._daemon is not None:
            self._daemon.kill()
            self._daemon.wait(10)

    def sweep(self, lrs: list[float] | Any, **more: Any) -> Sweep:
        return lab.sweep(self.base, {"lr": lrs}, **{"name": "it", **more})

    def runs(self) -> list[lab.Run]:
        return [run for run in lab.runs(limit=500) if run.view.kind is RunKind.TRAIN]

    def close(self) -> None:
        self.kill()
        for view in context.store().runs.list(limit=1000).items:
            for attempt in range(1, view.attempt + 1):
                LocalBackend(context.settings()).clear(view.id, attempt)
        context.close()


@pytest.fixture
def stubs(few: TrainConfig, home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Stubs]:
    for name, value in {"CPU_SLOTS": "3", "AUTOSTART": "0", "POLL_INTERVAL": "0.05", "STOP_GRACE": "10"}.items():
        monkeypatch.setenv(f"IMGCLS_{name}", value)
    stubs = Stubs(few, tmp_path)
    yield stubs
    stubs.close()

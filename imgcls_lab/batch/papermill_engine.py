"""papermill, made to save whole files, to tell where it stands and to keep secrets out. Called by `notebook.py` alone.

Imports papermill, which takes a second or two: only the process that executes a notebook does.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import nbformat
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from papermill.log import logger

from imgcls_lab import run_layout
from imgcls_lab.batch.secrets import hidden
from imgcls_lab.entry_points import KERNEL
from imgcls_lab.executor.forkserver_manager import SOCKET, same_python, warm_argv

if TYPE_CHECKING:
    from imgcls_lab.batch.notebook_runner import NotebookRun

ENGINE = "imgcls"
AUTOSAVE = 2.0  # seconds within which an output of a long cell is in the file
KERNEL_WITHIN = 100  # seconds a kernel has to start


class _Hiding:
    """A stream without secrets, as far as each is written in one piece."""

    def __init__(self, stream: TextIO, secrets: Sequence[str]) -> None:
        self._stream = stream
        self._secrets = secrets

    def write(self, text: str) -> int:
        return self._stream.write(hidden(text, self._secrets))

    def flush(self) -> None:
        self._stream.flush()


class _Manager(NotebookExecutionManager):  # type: ignore[misc]
    """Saves the notebook into the run's folder, and tells the run which cell it is at."""

    def __init__(self, nb: Any, run: NotebookRun, secrets: Sequence[str]) -> None:
        super().__init__(nb, progress_bar=False)
        self._run = run
        self._secrets = secrets
        self._planned: asyncio.TimerHandle | None = None

    def save(self, **_: Any) -> None:
        text = nbformat.writes(self.nb)  # type: ignore[no-untyped-call]
        run_layout.write_atomic(self._run.folder / run_layout.NOTEBOOK, hidden(text, self._secrets))

    def autosave_cell(self) -> None:
        """A message has come. Plan a save: papermill's own way leaves out what comes right after a save."""
        if self._planned is None:
            self._planned = asyncio.get_running_loop().call_later(AUTOSAVE, self._autosave)

    def _autosave(self) -> None:
        self._planned = None
        self.save()

    def cell_start(self, cell: Any, cell_index: int = 0, **kwargs: Any) -> None:
        if cell.cell_type == "code":
            code = [number for number, other in enumerate(self.nb.cells) if other.cell_type == "code"]
            if cell_index == code[0]:
                self._run.began()
            self._run.at_cell(code.index(cell_index) + 1, len(code))
            super().cell_start(cell, cell_index, **kwargs)

    def cell_complete(self, cell: Any, cell_index: int = 0, **kwargs: Any) -> None:
        if cell.cell_type == "code":
            super().cell_complete(cell, cell_index, **kwargs)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """papermill's client, whose kernel is forked from the process that has the imports done, where there is one."""

    def create_kernel_manager(self) -> Any:
        manager = super().create_kernel_manager()
        argv = manager.kernel_spec.argv
        warm = os.environ.get(SOCKET)
        # jupyter_client takes "python" for this very Python; a kernel of another one starts cold
        ours = argv[0] in {"python", "python3"} or same_python(argv[0])
        if warm and ours and argv[1:3] == ["-m", KERNEL.module]:
            manager.kernel_spec.argv = warm_argv(warm, [sys.executable, *argv[1:]])
        return manager


class _Engine(NBClientEngine):  # type: ignore[misc]
    """papermill's own engine with that manager."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, *, run: NotebookRun, secrets: Sequence[str], **_: Any) -> Any:
        run.manager = manager = _Manager(nb, run, secrets)
        manager.notebook_start()
        try:
            run.client = _Client(
                manager,
                timeout=None,
                startup_timeout=KERNEL_WITHIN,
                kernel_name=kernel_name,
                log=logger,
                stdout_file=_Hiding(sys.stdout, secrets),  # the run's log
                stderr_file=_Hiding(sys.stderr, secrets),
            )
            run.client.execute()
        finally:
            manager.notebook_complete()
        return manager.nb


def run_papermill(
    run: NotebookRun, source: Path, *, parameters: dict[str, Any], kernel: str, cwd: Path, secrets: Sequence[str]
) -> None:
    """Execute a notebook. Raises PapermillExecutionError when a cell failed, which is then marked in the notebook."""
    papermill_engines.register(ENGINE, _Engine)
    path = str(source).replace("{", "{{").replace("}", "}}")  # papermill fills in what stands in braces
    try:
        execute_notebook(
            path, None, parameters=parameters, engine_name=ENGINE, kernel_name=kernel, progress_bar=False, cwd=cwd,
            run=run, secrets=secrets,
        )  # fmt: skip
    except PapermillExecutionError:
        run.manager.save()  # with the marks papermill has put before the failed cell
        raise

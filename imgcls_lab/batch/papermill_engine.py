"""papermill with an engine of our own: it saves whole files, reports each cell, and keeps secrets out of the outputs.

Called by `notebook_runner.py` alone. It imports papermill, which takes a second or two; only the process that executes
a notebook imports this module.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TextIO

import nbformat
from papermill.clientwrap import PapermillNotebookClient
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError
from papermill.execute import execute_notebook
from papermill.log import logger

from imgcls_lab import run_layout
from imgcls_lab.batch.notebook_trust import NotebookSigner
from imgcls_lab.batch.secrets import hidden
from imgcls_lab.entry_points import KERNEL
from imgcls_lab.executor.forkserver_manager import SOCKET, same_python, warm_argv

ENGINE = "imgcls"
AUTOSAVE = 2.0  # seconds within which an output of a long cell is in the file
KERNEL_TIMEOUT = 100  # seconds that a kernel has to start


class Listener(Protocol):
    """What hears how an execution goes."""

    def on_client(self, client: Any) -> None:
        """nbclient's client was made. It starts the kernel next."""

    def on_first_cell(self) -> None: ...

    def on_cell(self, number: int, total: int) -> None:
        """A code cell begins. number: counted from 1."""


class NotebookFile:
    """The executed notebook on disk, whole at each moment, signed and without secrets."""

    def __init__(self, path: Path, secrets: Sequence[str]) -> None:
        self._path = path
        self._signer = NotebookSigner()
        self._secrets = secrets
        self._notebook: Any = None

    def save(self, notebook: Any) -> None:
        self._notebook = notebook
        text = hidden(nbformat.writes(notebook), self._secrets)  # type: ignore[no-untyped-call]
        self._signer.sign(text)
        run_layout.write_atomic(self._path, text)

    def save_again(self) -> None:
        """Save what was saved last, as it is now; nothing if nothing was."""
        if self._notebook is not None:
            self.save(self._notebook)


@dataclass(frozen=True)
class _Execution:
    """What our engine needs besides papermill's own arguments."""

    file: NotebookFile
    listener: Listener
    secrets: Sequence[str]


class _WithoutSecrets:
    """A stream without secrets, as far as each is written in one piece."""

    def __init__(self, stream: TextIO, secrets: Sequence[str]) -> None:
        self._stream = stream
        self._secrets = secrets

    def write(self, text: str) -> int:
        return self._stream.write(hidden(text, self._secrets))

    def flush(self) -> None:
        self._stream.flush()


class _Manager(NotebookExecutionManager):  # type: ignore[misc]
    """Saves the notebook as it changes, and reports which cell runs."""

    def __init__(self, nb: Any, execution: _Execution) -> None:
        super().__init__(nb, progress_bar=False)
        self._execution = execution
        self._planned: asyncio.TimerHandle | None = None

    def save(self, **_: Any) -> None:
        self._execution.file.save(self.nb)

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
                self._execution.listener.on_first_cell()
            self._execution.listener.on_cell(code.index(cell_index) + 1, len(code))
            super().cell_start(cell, cell_index, **kwargs)

    def cell_complete(self, cell: Any, cell_index: int = 0, **kwargs: Any) -> None:
        if cell.cell_type == "code":
            super().cell_complete(cell, cell_index, **kwargs)


class _Client(PapermillNotebookClient):  # type: ignore[misc]
    """papermill's client; its kernel is forked from the fork server, if there is one."""

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
    """papermill's own engine with that manager and that client."""

    @classmethod
    def execute_notebook(cls, nb: Any, kernel_name: str, *, execution: _Execution, **_: Any) -> Any:
        manager = _Manager(nb, execution)
        manager.notebook_start()
        try:
            client = _Client(
                manager,
                timeout=None,
                startup_timeout=KERNEL_TIMEOUT,
                kernel_name=kernel_name,
                log=logger,
                stdout_file=_WithoutSecrets(sys.stdout, execution.secrets),  # the run's log
                stderr_file=_WithoutSecrets(sys.stderr, execution.secrets),
            )
            execution.listener.on_client(client)
            client.execute()
        finally:
            manager.notebook_complete()
        return manager.nb


@dataclass(frozen=True)
class Job:
    """A notebook to execute. source: its text as it was queued; cwd: the folder that its relative paths start from."""

    source: Path
    parameters: dict[str, Any]
    kernel: str
    cwd: Path


def run_papermill(job: Job, file: NotebookFile, listener: Listener, secrets: Sequence[str]) -> None:
    """Execute a notebook. Raises PapermillExecutionError if a cell fails; the notebook then marks that cell."""
    papermill_engines.register(ENGINE, _Engine)
    path = str(job.source).replace("{", "{{").replace("}", "}}")  # papermill replaces what is in braces
    try:
        execute_notebook(
            path,
            None,
            parameters=job.parameters,
            engine_name=ENGINE,
            kernel_name=job.kernel,
            progress_bar=False,
            cwd=job.cwd,
            execution=_Execution(file, listener, secrets),
        )
    except PapermillExecutionError:
        file.save_again()  # with papermill's marks before the failed cell
        raise

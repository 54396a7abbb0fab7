"""`python -m imgcls_lab.batch.notebook_runner FOLDER --attempt N`: papermill executes a queued notebook.

Started by the executor. The executed notebook is saved whole after each cell and every few seconds within one; what
happens is written as the run's events. Training is done by `lab.train` in the notebook's kernel, never here.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout, run_paths, signing
from imgcls_lab.batch.event_forwarder import EventForwarder
from imgcls_lab.batch.notebook_source import queued, stored_text
from imgcls_lab.batch.secrets import hidden, known_secrets
from imgcls_lab.errors import ConflictError, ImgclsError
from imgcls_lab.events import Began, DesiredState, E, EventWriter, Failed, FailureKind, Phase, Stopped
from imgcls_lab.settings import Settings

POLL_INTERVAL = 0.25  # seconds between two reads of the trainings inside
INTERRUPT_AGAIN = 5.0  # seconds between two interrupts of a cell that must stop


class NotebookRun:
    """One attempt at a notebook. `execute` gives the exit code: 0 finished or stopped, 1 failed."""

    def __init__(self, folder: Path, attempt: int) -> None:
        self.folder = folder
        self._events = EventWriter(folder, attempt)
        self._writing = threading.Lock()
        self._ended = threading.Event()
        self._stopping = threading.Event()
        self._forwarder = EventForwarder(folder, self.say)
        self._secrets = [secret for _, secret in known_secrets()]
        self._client: Any = None  # nbclient's, of the kernel
        self._process: subprocess.Popen[bytes] | None = None  # the kernel's
        self._cell = ""  # the cell that runs, for the phase and the failure's sentence

    def say(self, event: E) -> E:
        """Write an event; returns it with its stamp."""
        with self._writing:
            return self._events.write(event)

    def execute(self) -> int:
        signal.signal(signal.SIGTERM, lambda *_: self._stopping.set())
        self.say(Phase(name="starting the kernel"))
        watcher = threading.Thread(target=self._watch, name="imgcls-forwarder", daemon=True)
        watcher.start()
        error: BaseException | None = None
        try:
            self._papermill()
        except (Exception, KeyboardInterrupt) as caught:
            error = caught
        self._ended.set()
        watcher.join()
        self._forwarder.look()
        code = self._conclude(error)
        self._events.close()
        return code

    def _papermill(self) -> None:
        from imgcls_lab.batch.papermill_engine import Job, NotebookFile, run_papermill

        for name in (run_layout.REPORTS, run_layout.TRAININGS):
            if (self.folder / name).is_symlink():
                raise ImgclsError(f"“{self.folder / name}” is a link, so nothing is written there. Remove it.")
        payload = self._payload()
        source = self.folder / run_layout.SOURCE
        if not source.exists():  # one text for all attempts
            run_layout.write_atomic(source, stored_text(payload, Settings()))
        notebook, parameters = queued(run_paths.read_plain(self.folder, run_layout.SOURCE), payload, source)
        job = Job(
            source,
            parameters=parameters,
            kernel=notebook.kernel,
            cwd=_folder_of(payload, self.folder),
        )
        file = NotebookFile(self.folder / run_layout.NOTEBOOK, self._secrets)
        run_papermill(job, file, self, self._secrets)

    def _payload(self) -> dict[str, Any]:
        info = signing.own_info(Settings().home_path, self.folder)
        if info is None:
            raise ConflictError(
                f"{self.folder / run_layout.RUN_INFO} was not written by this home, so the notebook is not executed. "
                f"If the run is yours, run `imgcls-lab db rebuild`, then `imgcls-lab claim {self.folder.name}`.",
                reason="view_only",
            )
        return dict(info.get("payload") or {})

    # ── while it runs ───────────────────────────────────────────────────────────────────────────────────────
    def on_client(self, client: Any) -> None:
        self._client = client

    def on_first_cell(self) -> None:
        self.say(Began())

    def on_cell(self, number: int, total: int) -> None:
        self._cell = f"cell {number} of {total}"
        self.say(Phase(name=self._cell, done=number - 1, total=total))

    def _watch(self) -> None:
        """Forward the events of trainings, and a request to stop."""
        waited = INTERRUPT_AGAIN
        while not self._ended.wait(POLL_INTERVAL):
            self._note_kernel()
            with _reported():
                self._forwarder.look()
            if self._stopping.is_set():
                with contextlib.suppress(OSError):  # the training inside looks there
                    if run_paths.read_plain(self.folder, run_layout.DESIRED) == DesiredState.RUN.value.encode():
                        run_layout.write_atomic(self.folder / run_layout.DESIRED, DesiredState.STOP.value)
                waited += POLL_INTERVAL
                if not self._forwarder.training and waited >= INTERRUPT_AGAIN:
                    waited = 0.0
                    self._interrupt()

    def _interrupt(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
        else:  # no kernel yet: nothing is lost
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _note_kernel(self) -> None:
        """Remember the kernel's process: the client forgets a dead one."""
        manager = getattr(self._client, "km", None)
        process = getattr(getattr(manager, "provisioner", None), "process", None)
        self._process = process or self._process

    # ── how it ended ────────────────────────────────────────────────────────────────────────────────────────
    def _conclude(self, error: BaseException | None) -> int:
        if error is None:
            self.say(self._forwarder.finished())
            return 0
        if self._stopping.is_set():
            print(f"Stopped at {self._cell or 'the start'}.", flush=True)
            self.say(Stopped(step=self._forwarder.step))
            return 0
        killed = self._killed_by(error)
        if killed:
            print(f"The kernel was killed from outside ({signal.Signals(killed).name}).", file=sys.stderr, flush=True)
            self._events.close()
            signal.raise_signal(killed)  # the machine's fault: the executor starts the run again
        kind, message = self._failure(error)
        print(self._hidden("".join(traceback.format_exception(error))), file=sys.stderr, flush=True)
        self.say(Failed(step=self._forwarder.step, kind=kind, message=self._hidden(message)))
        return 1

    def _hidden(self, text: str) -> str:
        return hidden(text, self._secrets)

    def _killed_by(self, error: BaseException) -> int | None:
        """The signal that killed the kernel from outside, as a machine short of memory does."""
        from nbclient.exceptions import DeadKernelError

        if isinstance(error, DeadKernelError) and self._process is not None:
            return signal.SIGKILL if self._process.poll() == -signal.SIGKILL else None
        return None

    def _failure(self, error: BaseException) -> tuple[FailureKind, str]:
        inside = self._forwarder.failure
        kind = inside.kind if inside is not None else FailureKind.APPLICATION
        name, text = getattr(error, "ename", None), str(getattr(error, "evalue", "") or "")
        if name is not None:
            first = text.strip().splitlines()[0] if text.strip() else ""
            what = first if inside is not None and first else f"{name}: {first}" if first else name
            where = self._cell[:1].upper() + self._cell[1:]
            return kind, f"{where} failed: {what.rstrip('.')}. The executed notebook shows where."
        if isinstance(error, ImgclsError):
            return kind, str(error)
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        return kind, f"The notebook could not be executed: {first.rstrip('.')}. Look at the log."


def _folder_of(payload: dict[str, Any], fallback: Path) -> Path:
    """The notebook's own folder, if it exists: relative paths mean the same as in JupyterLab."""
    folder = Path(str(payload.get("notebook", ""))).parent
    return folder if folder.is_absolute() and folder.is_dir() else fallback


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """Log a read that fails (a full disk, a damaged line); the next one tries again."""
    try:
        yield
    except (OSError, ValueError) as error:
        logging.warning("The training inside could not be read: %s", error)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m imgcls_lab.batch.notebook_runner", description="Execute a notebook run."
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(message)s", stream=sys.stderr)
    return NotebookRun(given.folder.absolute(), given.attempt).execute()


if __name__ == "__main__":
    sys.exit(main())

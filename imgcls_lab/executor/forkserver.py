"""One process with the imports done, which forks engines, papermill and kernels: a warm start.

`python -m imgcls_lab.executor.forkserver SOCKET FD`, started by the executor's daemon, asked by `fork_client.py`. It
runs no torch operation and touches no CUDA, and forks only while it has a single thread: anything else could hang the
child. What it cannot do safely it refuses, and whoever asked starts cold. It ends with the daemon, after its last
child.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import random
import runpy
import selectors
import signal
import socket
import sys
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import imgcls_lab
from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import RUN_TAG

MESSAGE = 2**18  # bytes of a request; the environment is most of it
# What is imported before a module is forked; `python -m MODULE` would import it after.
IMPORTS = {
    "imgcls_lab.engine": ("imgcls_lab.engine.training.run", "imgcls_lab.engine.reporting.console_log"),
    "imgcls_lab.batch.notebook_runner": (
        "imgcls_lab.batch.papermill_engine", "imgcls_lab.batch.event_forwarder", "imgcls_lab.batch.notebook_source",
    ),
    "ipykernel_launcher": (
        "ipykernel.kernelapp", "ipykernel.ipkernel", "imgcls_lab.engine.training.run", "imgcls_lab.api",
        "imgcls_lab.demo", "imgcls_lab.widgets.live", "pandas", "imgcls_lab.api.display",
    ),
}  # fmt: skip


@dataclass
class _Child:
    """A forked process, and the connection of whoever asked for it and lives as long."""

    pid: int
    connection: socket.socket


class ForkServer:
    """`serve` returns in each child, with what it is to do; in the fork server itself it returns None at the end."""

    def __init__(self, path: str, listener: socket.socket) -> None:
        self._listener = listener  # it listens already: who asks while the imports are done waits for them
        self._path = path
        self._parent = os.getppid()
        self._code = _newest_code()
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._tag_place = _tag_place()
        self._closing = False

    def serve(self) -> Callable[[], object] | None:
        wake, told = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(told)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._close())
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)
        while self._children or not self._closing:
            for key, _ in self._selector.select(1.0):
                if key.fileobj is self._listener:
                    work = self._accept()
                    if work is not None:
                        return work
                elif key.fileobj == wake:
                    os.read(wake, 4096)
                else:
                    self._hang_up(key.data)
            self._reap()
            if os.getppid() != self._parent:  # the daemon is gone; the next one has a fork server of its own
                self._close()
        return None

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────
    def _accept(self) -> Callable[[], object] | None:
        connection, _ = self._listener.accept()
        try:
            connection.settimeout(5)
            data, files, _flags, _address = socket.recv_fds(connection, MESSAGE, 3)
            request = json.loads(data)
            reason = self._unsafe(str(request["module"]))
        except (OSError, ValueError, KeyError) as error:
            reason, files, request = f"the request cannot be read: {error}", [], {}
        if reason is not None:
            for file in files:
                os.close(file)
            _send(connection, {"refused": reason})
            connection.close()
            return None
        # no child's collector need look at what the imports made: a full collection, as at a kernel's end, would take
        # half a second and copy the pages that are shared
        gc.freeze()
        pid = os.fork()
        if pid == 0:
            return self._become(request, files, connection)
        for file in files:
            os.close(file)
        self._children[pid] = child = _Child(pid, connection)
        self._selector.register(connection, selectors.EVENT_READ, child)
        _send(connection, {"pid": pid})
        return None

    def _unsafe(self, module: str) -> str | None:
        """Why this must not be forked; None where it may. The imports it needs are done by then."""
        if module not in IMPORTS:
            return f"{module} is none of what is started warm"
        if _newest_code() != self._code:
            self._close()
            return "the package's code has changed since the imports were done"
        try:
            for name in IMPORTS[module]:
                importlib.import_module(name)
        except Exception as error:
            return f"{name} cannot be imported ({error})"
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            return f"the imports have started {counted(threads - 1, 'thread')}"
        return None

    def _hang_up(self, child: _Child) -> None:
        """Whoever asked is gone: so is what it asked for."""
        self._selector.unregister(child.connection)
        if child.pid in self._children:
            os.kill(child.pid, signal.SIGKILL)

    def _reap(self) -> None:
        for pid, child in list(self._children.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._children[pid]
                if child.connection in self._selector.get_map():
                    self._selector.unregister(child.connection)
                _send(child.connection, {"status": os.waitstatus_to_exitcode(status)})
                child.connection.close()

    def _close(self) -> None:
        """Take no more requests; what was forked goes on."""
        if not self._closing:
            self._closing = True
            self._selector.unregister(self._listener)
            self._listener.close()
            Path(self._path).unlink(missing_ok=True)

    # ── in the child ────────────────────────────────────────────────────────────────────────────────────────
    def _become(self, request: dict[str, Any], files: list[int], connection: socket.socket) -> Callable[[], object]:
        """Leave everything of the fork server behind, and take the place of the process that was asked for."""
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        self._selector.close()
        self._listener.close()
        for other in (connection, *(child.connection for child in self._children.values())):
            other.close()
        os.setsid()
        for target, file in enumerate(files):
            os.dup2(file, target)
            os.close(file)
        environment: dict[str, str] = request["environment"]
        if "JPY_PARENT_PID" in environment:  # a kernel ends itself where its parent is not the one named there
            environment["JPY_PARENT_PID"] = str(os.getppid())
        os.environ.clear()
        os.environ.update(environment)
        self._wear(environment.get(RUN_TAG, ""))
        os.chdir(request["cwd"])
        _reseed()
        sys.argv = [request["module"], *request["arguments"]]
        return lambda: runpy.run_module(request["module"], run_name="__main__", alter_sys=True)

    def _wear(self, tag: str) -> None:
        """Write the run's tag where the system shows a process's environment, so that the run's processes are found."""
        address, room = self._tag_place
        ctypes.memmove(address, f"{RUN_TAG}={tag}".encode()[:room].ljust(room, b"\0"), room)


def _tag_place() -> tuple[int, int]:
    """Address and bytes of the room for a tag in the memory that /proc shows as this process's environment.

    The daemon has left that room, by a variable of dashes. Raises RuntimeError without.
    """
    variables = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    position = 0
    while (address := variables[position]) is not None:
        text = ctypes.string_at(address)
        if text.startswith(f"{RUN_TAG}=-".encode()):
            return int(address), len(text)
        position += 1
    raise RuntimeError("There is no room for a run's tag in the environment.")


def _newest_code() -> int:
    """Time of the last change of the package's code."""
    home = Path(imgcls_lab.__file__).parent
    return max(path.stat().st_mtime_ns for path in home.rglob("*.py"))


def _reseed() -> None:
    """Children must not draw the same random numbers; the engine seeds its own."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        connection.send(json.dumps(message).encode())


def _run(work: Callable[[], object]) -> NoReturn:
    """Do it and end as Python would, but for taking every module apart first: that takes a second, for nothing."""
    code: object = 0
    try:
        work()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are no daemons
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def main() -> None:
    os.umask(0o077)
    work = ForkServer(sys.argv[1], socket.socket(fileno=int(sys.argv[2]))).serve()
    if work is not None:
        _run(work)


if __name__ == "__main__":
    main()

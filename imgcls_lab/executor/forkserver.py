"""The fork server: a process that has done the slow imports and forks trainings, notebook runs and kernels from itself.

The daemon starts `python -m imgcls_lab.executor.forkserver SOCKET FD [MODULE=PRELOAD ...]`, and `fork_client.py` sends
the requests. The server may fork each MODULE, after it has imported PRELOAD. It runs no torch operation and touches no
CUDA, and it forks only while it has a single thread: anything else could hang the child. It refuses what it cannot do
safely, and the client then starts that process cold. It ends with the daemon, after its last child.
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
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from imgcls_lab import private_sockets
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.executor.processes import ProcessHandle
from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import RUN_TAG

MAX_REQUEST = 2**18  # bytes; the environment is most of it
PACKAGE = Path(__file__).parents[1]


@dataclass
class _Child:
    """A forked process, and the connection of its client, which lives as long."""

    pid: int
    connection: socket.socket


class ForkServer:
    """Forks the modules of `preloads` on request. `preloads`: module -> the module whose import does its slow imports.

    `serve` returns in each child, with what the child has to do. In the server itself it returns None at the end.
    """

    def __init__(self, path: str, listener: socket.socket, preloads: Mapping[str, str]) -> None:
        self._listener = listener  # it listens already: a client that asks during the imports waits for them
        self._path = path
        self._preloads = preloads
        self._parent = os.getppid()
        self._code_time = _newest_code()
        self._children: dict[int, _Child] = {}
        self._selector = selectors.DefaultSelector()
        self._tag_memory = _tag_memory()
        self._closing = False

    def serve(self) -> Callable[[], object] | None:
        wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, lambda *_: self._close())
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(wake_read, selectors.EVENT_READ)
        while self._children or not self._closing:
            for key, _ in self._selector.select(1.0):
                if key.fileobj is self._listener:
                    work = self._accept()
                    if work is not None:
                        return work
                elif key.fileobj == wake_read:
                    os.read(wake_read, 4096)
                else:
                    self._client_gone(key.data)
            self._reap()
            if os.getppid() != self._parent:  # the daemon has ended; the next one starts a fork server of its own
                self._close()
        return None

    # ── requests ────────────────────────────────────────────────────────────────────────────────────────────
    def _accept(self) -> Callable[[], object] | None:
        """Answer one request. Returns in the child with its work, and in the server with None."""
        connection, _ = self._listener.accept()
        files: list[int] = []
        request: dict[str, Any] = {}
        try:
            private_sockets.require_own_peer(connection)
            connection.settimeout(5)
            data, files, _flags, _address = socket.recv_fds(connection, MAX_REQUEST, 3)
            request = json.loads(data)
            refusal = self._refusal(str(request["module"]))
        except (OSError, ValueError, KeyError, TypeError, UnsafeFolderError) as error:
            refusal = f"the request cannot be read: {error}"
        if refusal is not None:
            for file in files:
                os.close(file)
            _send(connection, {"refused": refusal})
            connection.close()
            return None
        # The imported objects leave the garbage collector's care: a full collection, as at a kernel's end, would take
        # half a second in each child and copy the pages that the children share.
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

    def _refusal(self, module: str) -> str | None:
        """Why this module must not be forked; None if it may. Its slow imports are done by then."""
        if module not in self._preloads:
            return f"{module} is not a module that is started warm"
        if _newest_code() != self._code_time:
            self._close()
            return "the package's code has changed since the imports were done"
        try:
            importlib.import_module(self._preloads[module])
        except Exception as error:
            return f"{self._preloads[module]} cannot be imported ({error})"
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            return f"the imports have started {counted(threads - 1, 'thread')}"
        return None

    def _client_gone(self, child: _Child) -> None:
        """The client has ended, so its process must end too."""
        self._selector.unregister(child.connection)
        if child.pid in self._children:
            with ProcessHandle(child.pid) as process:  # not reaped yet, so it is there
                process.send(signal.SIGKILL)

    def _reap(self) -> None:
        """Report the exit code of each child that has ended to its client."""
        for pid, child in list(self._children.items()):
            done, status = os.waitpid(pid, os.WNOHANG)
            if done:
                del self._children[pid]
                if child.connection in self._selector.get_map():
                    self._selector.unregister(child.connection)
                _send(child.connection, {"status": os.waitstatus_to_exitcode(status)})
                child.connection.close()

    def _close(self) -> None:
        """Take no more requests. The forked processes go on."""
        if not self._closing:
            self._closing = True
            self._selector.unregister(self._listener)
            self._listener.close()
            Path(self._path).unlink(missing_ok=True)

    # ── in the child ────────────────────────────────────────────────────────────────────────────────────────
    def _become(self, request: dict[str, Any], files: list[int], connection: socket.socket) -> Callable[[], object]:
        """Drop everything of the server and take on what the requested process has; gives what it has to do."""
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
        if "JPY_PARENT_PID" in environment:  # a kernel ends itself if its parent is not the process named there
            environment["JPY_PARENT_PID"] = str(os.getppid())
        os.environ.clear()
        os.environ.update(environment)
        self._write_tag(environment.get(RUN_TAG, ""))
        os.chdir(request["cwd"])
        _reseed()
        sys.argv = [request["module"], *request["arguments"]]
        return lambda: runpy.run_module(request["module"], run_name="__main__", alter_sys=True)

    def _write_tag(self, tag: str) -> None:
        """Write the run's tag where the system shows a process's environment, so that the run's processes are found."""
        address, size = self._tag_memory
        ctypes.memmove(address, f"{RUN_TAG}={tag}".encode()[:size].ljust(size, b"\0"), size)


def _tag_memory() -> tuple[int, int]:
    """Address and size in bytes of the memory for a tag, in what /proc shows as this process's environment.

    The daemon reserved it with a variable of dashes. Raises RuntimeError without that variable.
    """
    variables = ctypes.POINTER(ctypes.c_void_p).in_dll(ctypes.CDLL(None), "environ")
    position = 0
    while (address := variables[position]) is not None:
        text = ctypes.string_at(address)
        if text.startswith(f"{RUN_TAG}=-".encode()):
            return int(address), len(text)
        position += 1
    raise RuntimeError(f"The environment reserves no memory for a run's tag: {RUN_TAG} must hold dashes.")


def _newest_code() -> int:
    """Time of the last change of the package's code, in nanoseconds."""
    return max(path.stat().st_mtime_ns for path in PACKAGE.rglob("*.py"))


def _reseed() -> None:
    """Children must not draw the same random numbers. The engine seeds its own generators."""
    random.seed()
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed()


def _send(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):  # the client has ended
        connection.send(json.dumps(message).encode())


def _run(work: Callable[[], object]) -> NoReturn:
    """Do a child's work and end as Python would, but without taking the modules apart, which takes a second."""
    code: object = 0
    try:
        work()
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads that are not daemons
    atexit._run_exitfuncs()
    if isinstance(code, str):
        print(code, file=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)


def main() -> None:
    path, descriptor, *pairs = sys.argv[1:]
    preloads = dict(pair.split("=", 1) for pair in pairs)
    os.umask(0o077)
    work = ForkServer(path, socket.socket(fileno=int(descriptor)), preloads).serve()
    if work is not None:
        _run(work)


if __name__ == "__main__":
    main()

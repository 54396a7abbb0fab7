"""The fork server's client: stands in the place of a process that the server forks.

`python -m imgcls_lab.executor.fork_client SOCKET MODULE ARGUMENTS...` does what `python -m MODULE ARGUMENTS...` does.
The executor and papermill start it. It passes signals on to the forked process, ends with its exit code, and takes it
along when it is killed. If the server does not answer or refuses, it becomes that process itself, cold.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
from pathlib import Path

from imgcls_lab import private_sockets
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.executor.processes import ProcessHandle

MAX_REPLY = 2**18  # bytes
FORWARDED_SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main() -> None:
    path, module, *arguments = sys.argv[1:]
    connection = _connect(path)
    pid = _request_fork(connection, module, arguments) if connection is not None else None
    if connection is None or pid is None:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
    with _handle(pid) as process:
        if process is not None:
            for number in FORWARDED_SIGNALS:
                signal.signal(number, lambda number, _frame: _forward(process, number))
        code = _wait(connection, process)
    _exit_as(code)


def _handle(pid: int) -> contextlib.AbstractContextManager[ProcessHandle | None]:
    """A handle on the forked process; None if it has ended already. The fork server reports how."""
    try:
        return ProcessHandle(pid)
    except OSError:
        return contextlib.nullcontext()


def _connect(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        private_sockets.connect(connection, Path(path))
    except (OSError, UnsafeFolderError) as error:
        connection.close()
        if isinstance(error, UnsafeFolderError) and error.reason != "gone":
            print(f"No warm start: {error}", flush=True)
        return None
    return connection


def _request_fork(connection: socket.socket, module: str, arguments: list[str]) -> int | None:
    """The pid of the forked process. None if the server refused; the reason is then in the log."""
    request = {"module": module, "arguments": arguments, "environment": dict(os.environ), "cwd": os.getcwd()}
    try:
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        reply = json.loads(connection.recv(MAX_REPLY) or b"{}")
    except (OSError, ValueError) as error:
        reply = {"refused": str(error)}
    if "pid" in reply:
        return int(reply["pid"])
    print(f"No warm start: {reply.get('refused', 'the fork server has ended')}.", flush=True)
    return None


def _wait(connection: socket.socket, process: ProcessHandle | None) -> int:
    """The exit code, negative for a signal. If the fork server has died and cannot report it: as if killed."""
    try:
        reply = json.loads(connection.recv(MAX_REPLY) or b"{}")
    except (OSError, ValueError):
        reply = {}
    if "status" in reply:
        return int(reply["status"])
    if process is not None:
        process.wait()
    return -signal.SIGKILL


def _forward(process: ProcessHandle, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        process.send(number)


def _exit_as(code: int) -> None:
    """End this process as that one ended: with its exit code, or by the same signal."""
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        signal.raise_signal(-code)
    os._exit(code)


if __name__ == "__main__":
    main()

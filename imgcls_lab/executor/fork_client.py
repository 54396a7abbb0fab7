"""`python -m imgcls_lab.executor.fork_client SOCKET MODULE ARGUMENTS...`: `python -m MODULE ...`, started warm.

Stands in the place of the process that the fork server forks: passes signals on, dies of what it died of, and takes it
along when it is killed. Where the fork server does not answer or refuses, it becomes that process itself, cold.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys

MESSAGE = 2**18
PASSED_ON = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def main() -> None:
    path, module, *arguments = sys.argv[1:]
    connection = _connect(path)
    pid = _ask(connection, module, arguments) if connection is not None else None
    if connection is None or pid is None:
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
    for number in PASSED_ON:
        signal.signal(number, lambda number, _frame: _signal(pid, number))
    _end(_wait(connection, pid))


def _connect(path: str) -> socket.socket | None:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        connection.connect(path)
    except OSError:
        connection.close()
        return None
    return connection


def _ask(connection: socket.socket, module: str, arguments: list[str]) -> int | None:
    """The pid of the forked process; None where it was refused, with the reason in the log."""
    request = {"module": module, "arguments": arguments, "environment": dict(os.environ), "cwd": os.getcwd()}
    try:
        socket.send_fds(connection, [json.dumps(request).encode()], [0, 1, 2])
        reply = json.loads(connection.recv(MESSAGE) or b"{}")
    except (OSError, ValueError) as error:
        reply = {"refused": str(error)}
    if "pid" in reply:
        return int(reply["pid"])
    print(f"No warm start: {reply.get('refused', 'the process with the imports has ended')}.", flush=True)
    return None


def _wait(connection: socket.socket, pid: int) -> int:
    """The exit code, negative for a signal; as if killed where the fork server died and cannot tell."""
    try:
        reply = json.loads(connection.recv(MESSAGE) or b"{}")
    except (OSError, ValueError):
        reply = {}
    if "status" in reply:
        return int(reply["status"])
    with contextlib.suppress(OSError):
        select.select([os.pidfd_open(pid)], [], [])
    return -signal.SIGKILL


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)


def _end(code: int) -> None:
    if code < 0:
        if -code != signal.SIGKILL:
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


if __name__ == "__main__":
    main()

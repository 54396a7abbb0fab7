"""What another user of the machine tries: run as that user, with the targets as JSON on stdin; prints what came of it.

Standard library only, and nothing of the package: it is the adversary. Each attempt is one line of the answer:
[what, target, null or the error that refused it].
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import socket
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

Attack = Callable[[str], object]
PTRACE_ATTACH, PTRACE_DETACH = 16, 17
own = tempfile.mkdtemp(prefix="second-", dir="/tmp")
tried: list[tuple[str, str, str | None]] = []


def attempt(what: str, target: str, attack: Attack) -> None:
    try:
        attack(target)
    except (OSError, ConnectionError) as error:
        tried.append((what, target, type(error).__name__))
    else:
        tried.append((what, target, None))


def mine(name: str = "mine") -> str:
    path = f"{own}/{name}-{len(tried)}"
    with open(path, "w") as file:
        file.write("planted")
    return path


def attach(pid: str) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.ptrace(PTRACE_ATTACH, int(pid), None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    library.ptrace(PTRACE_DETACH, int(pid), None, None)


def connect(kind: int) -> Attack:
    def attack(path: str) -> None:
        with socket.socket(socket.AF_UNIX, kind) as client:
            client.settimeout(2)
            client.connect(path)
            if not client.recv(1):
                raise ConnectionError("closed by the other side")

    return attack


def bind(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)


def swap(path: str) -> None:
    bind(f"{own}/socket-{len(tried)}")
    os.replace(f"{own}/socket-{len(tried)}", path)


def read(path: str) -> None:
    os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 1)


def beside(path: str, name: str = "planted") -> str:
    return os.path.join(path, name)


FILE: dict[str, Attack] = {
    "read it": read,
    "write to it": lambda path: os.open(path, os.O_WRONLY | os.O_NONBLOCK),
    "cut it": lambda path: os.truncate(path, 0),
    "open its mode": lambda path: os.chmod(path, 0o777),
    "take it over": lambda path: os.chown(path, os.getuid(), -1),
    "remove it": os.unlink,
    "rename it": lambda path: os.rename(path, path + ".gone"),
    "put a file in its place": lambda path: os.replace(mine(), path),
    "put a FIFO in its place": os.mkfifo,
    "put a link in its place": lambda path: os.symlink("/etc/passwd", path),
    "put a folder in its place": os.mkdir,
    "link to it": lambda path: os.link(path, f"{own}/link-{len(tried)}"),
}
FOLDER: dict[str, Attack] = {
    "list it": os.listdir,
    "make a file in it": lambda path: os.open(beside(path), os.O_WRONLY | os.O_CREAT, 0o666),
    "make a FIFO in it": lambda path: os.mkfifo(beside(path)),
    "make a link in it": lambda path: os.symlink("/etc", beside(path)),
    "make a socket in it": lambda path: bind(beside(path)),
    "open its mode": lambda path: os.chmod(path, 0o777),
    "remove it": os.rmdir,
    "rename it": lambda path: os.rename(path, path + ".gone"),
    "put another in its place": lambda path: os.rename(tempfile.mkdtemp(dir=own), path),
}
SOCKET: dict[str, Attack] = {
    "connect (stream)": connect(socket.SOCK_STREAM),
    "connect (packets)": connect(socket.SOCK_SEQPACKET),
    "bind in its place": bind,
    "remove it": os.unlink,
    "put a socket of its own in its place": swap,
}
LOCK = {name: attack for name, attack in FILE.items() if name not in ("read it", "put a folder in its place")}
PROCESS: dict[str, Attack] = {
    "read its environment": lambda pid: read(f"/proc/{pid}/environ"),
    "read its memory": lambda pid: read(f"/proc/{pid}/mem"),
    "read its map": lambda pid: read(f"/proc/{pid}/maps"),
    "list its files": lambda pid: os.listdir(f"/proc/{pid}/fd"),
    "follow its folder": lambda pid: os.listdir(f"/proc/{pid}/cwd"),
    "trace it": attach,
    "stop it": lambda pid: os.kill(int(pid), signal.SIGSTOP),
    "end it": lambda pid: os.kill(int(pid), signal.SIGKILL),
}
KINDS = {"file": FILE, "folder": FOLDER, "socket": SOCKET, "lock": LOCK, "process": PROCESS}


def targets(given: dict[str, list[str]]) -> Iterator[tuple[str, str]]:
    for kind, names in given.items():
        yield from ((kind, name) for name in names)


def main() -> None:
    given: dict[str, Any] = json.load(sys.stdin)
    for kind, target in targets(given):
        for what, attack in KINDS[kind].items():
            attempt(f"{kind}: {what}", target, attack)
    json.dump(tried, sys.stdout)


if __name__ == "__main__":
    assert stat.S_IMODE(os.stat(own).st_mode) == 0o700
    main()

"""What another Linux user tries on somebody's files and processes: `python stranger.py < targets.json`.

Runs as that other user. Prints, as JSON, how many things were tried and which of them worked. Standard library only.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from typing import Any

tried: dict[str, int] = {}
worked: list[str] = []


def attempt(kind: str, what: str, act: Callable[[], object]) -> None:
    """Act; an OSError is a refusal."""
    tried[kind] = tried.get(kind, 0) + 1
    try:
        act()
    except OSError:
        return
    worked.append(f"{kind}: {what}")


def opened(path: str, flags: int) -> None:
    os.close(os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC))


def connect(address: str) -> None:
    with socket.socket(socket.AF_UNIX) as peer:
        peer.settimeout(2)
        peer.connect(address)


def read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def attacks(targets: dict[str, Any]) -> Iterator[tuple[str, str, Callable[[], object]]]:
    for path in targets["files"]:
        yield "read a file", path, lambda path=path: opened(path, os.O_RDONLY)
        yield "write to a file", path, lambda path=path: opened(path, os.O_WRONLY | os.O_APPEND)
        yield "remove a file", path, lambda path=path: os.unlink(path)
        yield "move a file away", path, lambda path=path: os.rename(path, path + ".away")
    for path in targets["folders"]:
        yield "list a folder", path, lambda path=path: os.listdir(path)
        yield "add a file", path, lambda path=path: opened(f"{path}/planted", os.O_CREAT | os.O_WRONLY)
        yield "replace a folder", path, lambda path=path: os.rename(path, path + ".away")
    for path in targets["sockets"]:
        yield "connect to a socket", path, lambda path=path: connect(path.replace("@", "\0"))
        yield "replace a socket", path, lambda path=path: os.rename(path, path + ".away")
    for pid in targets["pids"]:
        for name in ("environ", "mem", "maps", "stack"):
            yield (
                f"read {name} of a process",
                str(pid),
                lambda pid=pid, name=name: read(f"/proc/{pid}/{name}"),
            )
        for name in ("cwd", "root", "exe"):
            yield f"follow {name} of a process", str(pid), lambda pid=pid, name=name: os.readlink(f"/proc/{pid}/{name}")
        yield "list open files of a process", str(pid), lambda pid=pid: os.listdir(f"/proc/{pid}/fd")
        yield "signal a process", str(pid), lambda pid=pid: os.kill(pid, signal.SIGCONT)


if __name__ == "__main__":
    for kind, what, act in attacks(json.load(sys.stdin)):
        attempt(kind, what, act)
    print(json.dumps({"tried": tried, "worked": worked}))

"""Where a board's process listens: a unix socket, which the system guards; where there are none, a secret path.

Used by both ends: `process.py` asks it, `serve.py` binds it. Without unix sockets (Windows) the process takes a port of
the loopback interface that it writes into a private file, and answers below a path alone that nobody can guess.
"""

from __future__ import annotations

import contextlib
import hmac
import os
import secrets
import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from imgcls_lab.run_layout import write_atomic

LOOPBACK = "127.0.0.1"
SECRET = "IMGCLS_TB_SECRET"  # noqa: S105 — the variable by which a process is told its secret path

Wsgi = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]


@dataclass(frozen=True)
class Target:
    """What a proxy connects to: a unix socket, or a port; `prefix` goes before each path."""

    socket: Path | None
    port: int = 0
    prefix: str = ""


@dataclass(frozen=True)
class UnixAddress:
    """A socket of mode 0600 in a folder of mode 0700."""

    path: Path

    @property
    def environment(self) -> dict[str, str]:
        return {}

    @property
    def target(self) -> Target:
        return Target(self.path)

    def connect(self) -> socket.socket:
        """A connection. Raises OSError if nobody listens."""
        connection = socket.socket(socket.AF_UNIX)
        return _connected(connection, str(self.path))

    def remove(self) -> None:
        with contextlib.suppress(OSError):  # gone, or a name no socket can have
            self.path.unlink()


@dataclass(frozen=True)
class LoopbackAddress:
    """A port that the process picks and writes to `path`, and a path that only it and we know."""

    path: Path
    secret: str = field(default_factory=lambda: secrets.token_urlsafe(32))

    @property
    def environment(self) -> dict[str, str]:
        return {SECRET: self.secret}

    @property
    def target(self) -> Target:
        return Target(None, int(self.path.read_text()), f"/{self.secret}")

    def connect(self) -> socket.socket:
        """A connection. Raises OSError if nobody listens."""
        return _connected(socket.socket(), (LOOPBACK, self.target.port))

    def remove(self) -> None:
        self.path.unlink(missing_ok=True)


Address = UnixAddress | LoopbackAddress


def address(path: Path, *, unix: bool = hasattr(socket, "AF_UNIX")) -> Address:
    """The address whose socket, or whose port's file, is `path`."""
    return UnixAddress(path) if unix else LoopbackAddress(path)


def answers(place: Address) -> bool:
    """Whether somebody listens there."""
    try:
        place.connect().close()
    except OSError:
        return False
    return True


def _connected(connection: socket.socket, place: Any) -> socket.socket:
    try:
        connection.connect(place)
    except BaseException:
        connection.close()
        raise
    return connection


# ── the process's end ───────────────────────────────────────────────────────────────────────────────────────────
class SecretPath:
    """WSGI middleware that answers below a secret path alone."""

    def __init__(self, app: Wsgi, secret: str) -> None:
        self._app = app
        self._secret = secret

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        first, _, rest = environ.get("PATH_INFO", "").removeprefix("/").partition("/")
        if not hmac.compare_digest(first.encode(), self._secret.encode()):
            start_response("404 Not Found", [("Content-Length", "0")])
            return []
        return self._app({**environ, "PATH_INFO": f"/{rest}"}, start_response)


def publish(path: Path, port: int) -> None:
    """Tell which port was taken; the file is private, as the socket would be."""
    write_atomic(path, str(port))


def secret_of_environment() -> str | None:
    """The secret path this process was given; None where it listens on a unix socket."""
    return os.environ.pop(SECRET, None)

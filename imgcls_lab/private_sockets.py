"""Unix sockets between the processes of one user. Standard library only: the fork server's client uses it too.

A socket lies in a `RuntimeFolder`. The folder is checked before each bind and connect, and each side checks the uid of
the other. So a socket that another user put there is never served, and never asked.
"""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import struct
from pathlib import Path

from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.private_folder import require_private, user_name

_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid: `struct ucred`


def bind(listener: socket.socket, path: Path) -> None:
    """Bind to a new socket file of mode 0600. Raises OSError, UnsafeFolderError."""
    require_private(path.parent)
    with contextlib.suppress(OSError):  # Linux makes the file with this mode from its first moment
        os.fchmod(listener.fileno(), 0o600)
    listener.bind(str(path))
    os.chmod(path, 0o600)


def require_socket(path: Path) -> None:
    """Raises OSError, UnsafeFolderError unless it is a socket of this user in a private folder."""
    require_private(path.parent)
    facts = path.lstat()
    if not stat.S_ISSOCK(facts.st_mode) or facts.st_uid != os.geteuid():
        text = f"{path} is no socket of yours; it belongs to {user_name(facts.st_uid)}. Remove it."
        raise UnsafeFolderError(text, reason="socket")


def require_own_peer(connection: socket.socket) -> None:
    """Raises UnsafeFolderError unless a process of this user is at the other end.

    Without SO_PEERCRED (macOS) the folder's check is all there is.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return
    _pid, uid, _gid = _CREDENTIALS.unpack(
        connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    )
    if uid != os.geteuid():
        text = f"The other end of the socket belongs to {user_name(uid)}; the connection was closed."
        raise UnsafeFolderError(text, reason="peer")


def connect(connection: socket.socket, path: Path) -> None:
    """Connect to a socket of this user. Raises OSError, UnsafeFolderError."""
    require_socket(path)
    connection.connect(str(path))
    require_own_peer(connection)

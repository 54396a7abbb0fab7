"""The HTTP client that asks a TensorBoard on its unix socket, after it has checked whose socket that is.

Used by `tensorboards.py` in the place of the client that jupyter-server-proxy makes, which checks nothing.
"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

from tornado.iostream import IOStream
from tornado.simple_httpclient import SimpleAsyncHTTPClient
from tornado.tcpclient import TCPClient

from imgcls_lab import private_sockets


class PrivateSocketConnector(TCPClient):
    """Connects to one unix socket of this user, whatever host it is asked for."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    async def connect(self, *_: Any, max_buffer_size: int | None = None, **__: Any) -> IOStream:
        """A connection whose other end is a process of this user. Raises OSError, UnsafeFolderError."""
        private_sockets.require_socket(self._path)
        stream = IOStream(socket.socket(socket.AF_UNIX), max_buffer_size=max_buffer_size)
        try:
            await stream.connect(str(self._path))
            private_sockets.require_own_peer(stream.socket)
        except BaseException:
            stream.close()
            raise
        return stream


def client(path: Path) -> SimpleAsyncHTTPClient:
    """A client of the process behind a socket; its connections raise UnsafeFolderError where it is not this user's."""
    made = SimpleAsyncHTTPClient(force_instance=True)
    made.tcp_client.close()
    made.tcp_client = PrivateSocketConnector(path)
    return made

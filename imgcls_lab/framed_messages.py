"""Messages between two processes over a stream socket: a JSON header and bytes, both bounded. Standard library only.

Used by `inference_client.py` and by the process that it asks. A descriptor of a file may go with a message.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any, NamedTuple

MAX_HEADER = 256 * 1024  # bytes
_LENGTHS = struct.Struct("<II")  # of header and body


class Message(NamedTuple):
    """file: a descriptor that the receiver closes; -1: none."""

    header: dict[str, Any]
    body: bytes = b""
    file: int = -1


def send(connection: socket.socket, message: Message) -> None:
    """Raises OSError where the other end does not read."""
    header = json.dumps(message.header).encode()
    lengths = _LENGTHS.pack(len(header), len(message.body))
    files = [message.file] if message.file >= 0 else []
    sent = socket.send_fds(connection, [lengths], files)
    connection.sendall(lengths[sent:] + header)
    if message.body:  # else the other end may have answered and closed by now
        connection.sendall(message.body)


def receive(connection: socket.socket, max_body: int) -> Message:
    """The next message. Raises EOFError where the other end has closed, ValueError where it is too long, OSError."""
    lengths, files, _flags, _address = socket.recv_fds(connection, _LENGTHS.size, 1)
    file = files[0] if files else -1
    try:
        lengths += _exactly(connection, _LENGTHS.size - len(lengths))
        header_length, body_length = _LENGTHS.unpack(lengths)
        if header_length > MAX_HEADER or body_length > max_body:
            raise ValueError(f"a message of {header_length} and {body_length} bytes is too long")
        header = json.loads(_exactly(connection, header_length))
        if not isinstance(header, dict):
            raise ValueError("a message without a header")
        return Message(header, _exactly(connection, body_length), file)
    except BaseException:
        if file >= 0:
            os.close(file)
        raise


def _exactly(connection: socket.socket, count: int) -> bytes:
    parts = []
    while count:
        part = connection.recv(min(count, 2**20))
        if not part:
            raise EOFError("the other end has closed the connection")
        parts.append(part)
        count -= len(part)
    return b"".join(parts)

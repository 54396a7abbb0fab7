"""Files that a client downloads: sent piece by piece, a few at once. Called by the handlers that have opened them."""

from __future__ import annotations

import re
from typing import IO

from tornado.iostream import StreamClosedError

from imgcls_lab.errors import BusyError
from imgcls_lab.server.handlers import ApiHandler

CHUNK = 2**20  # bytes of a file that are in memory
MAX_DOWNLOADS = 8  # at once, of all clients together
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]")  # in the name of a download


class Downloads:
    """How many files are sent now."""

    def __init__(self) -> None:
        self.count = 0

    def __enter__(self) -> None:
        if self.count >= MAX_DOWNLOADS:
            raise BusyError(
                f"{MAX_DOWNLOADS} files are downloaded from this server already. Try again when one is done.",
                reason="busy",
                waiting=self.count,
            )
        self.count += 1

    def __exit__(self, *_: object) -> None:
        self.count -= 1


async def send_file(handler: ApiHandler, file: IO[bytes], name: str, size: int, content_type: str) -> None:
    """Send `size` bytes of a file from where it stands. What it grows by meanwhile is not sent."""
    handler.set_header("Content-Type", content_type)
    handler.set_header("Content-Length", str(size))
    handler.set_header("Content-Disposition", f'attachment; filename="{_UNSAFE.sub("_", name)[-150:]}"')
    handler.set_header("X-Content-Type-Options", "nosniff")
    handler.set_header("Cache-Control", "no-store")
    left = size

    def read() -> bytes:
        return file.read(min(CHUNK, left))

    try:
        while left > 0:
            piece = await handler.backend.run(read, "slow")
            if not piece:  # the file was cut: the client sees that bytes are missing
                break
            left -= len(piece)
            handler.write(piece)
            await handler.flush()
    except StreamClosedError:
        return
    handler.finish(set_content_type=content_type)

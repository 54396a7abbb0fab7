"""Opens an image file of a data set by its relative path, never one outside of the data set. Torch-free.

Called by thumbnails, inference and export, which know an image by its id. What is opened is what is checked: the path
of the open descriptor, so that a link that is swapped in between leads nowhere.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from imgcls_lab.errors import DataError
from imgcls_lab.image_files import printable
from imgcls_lab.images import MAX_BYTES

_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_BLOCK = 2**20


class FoundImage(NamedTuple):
    """An image and where it lies. path: relative to the root; image: its id, the SHA-256 of the content, hex."""

    root: str
    path: str
    image: str


@contextlib.contextmanager
def open_image(root: str | os.PathLike[str], relative: str) -> Iterator[BinaryIO]:
    """A plain file below the root; links inside of it are followed, none leads out. Raises DataError with a sentence.

    The sentences name the path inside the data set alone: reason `gone`, `outside`, `not_plain` or `unreadable`.
    """
    name = printable(relative)
    parts = Path(relative).parts
    if not parts or os.path.isabs(relative) or ".." in parts or "\0" in relative:
        raise DataError(f"“{name}” is no path inside the data set.", reason="outside")
    try:
        home = os.path.realpath(root, strict=True)
        descriptor = os.open(os.path.join(home, relative), _READING)
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(f"“{name}” is not there any more. It was deleted or moved.", reason="gone") from None
    except OSError as error:
        raise DataError(f"“{name}” cannot be opened: {error.strerror or error}.", reason="unreadable") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise DataError(f"“{name}” is no plain file.", reason="not_plain")
    with os.fdopen(descriptor, "rb") as file:
        if not _is_below(descriptor, home, os.path.join(home, relative)):
            raise DataError(f"“{name}” leads out of the data set.", reason="outside")
        yield file


def read_image(root: str | os.PathLike[str], relative: str) -> bytes:
    """The whole content. Raises DataError as `open_image` does, and for a file that no run reads (`too_large`)."""
    with open_image(root, relative) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _too_large(relative)
    return content


def digest_of(root: str | os.PathLike[str], relative: str) -> str:
    """SHA-256 of the content, 64 hexadecimal digits. Raises DataError as `read_image` does."""
    found = hashlib.sha256()
    with open_image(root, relative) as file:
        if os.fstat(file.fileno()).st_size > MAX_BYTES:
            raise _too_large(relative)
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def _too_large(relative: str) -> DataError:
    return DataError(f"“{printable(relative)}” is larger than {MAX_BYTES // 2**20} MB.", reason="too_large")


def _is_below(descriptor: int, home: str, path: str) -> bool:
    """Whether the open file lies below the root: by the kernel's word where there is one, else by the path's links."""
    try:
        real = os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        real = os.path.realpath(path)
        with contextlib.suppress(OSError):
            now, opened = os.stat(real, follow_symlinks=False), os.fstat(descriptor)
            if (now.st_dev, now.st_ino) != (opened.st_dev, opened.st_ino):
                return False
    return real.startswith(os.path.join(home, ""))

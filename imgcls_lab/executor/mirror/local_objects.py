"""Objects as files below one folder, for `object_store.py`. Others may be able to write there, as on a shared disk.

So each folder on the way is opened from the one before it, no link is followed, and nothing but a plain file is read:
no link leads out, no pipe blocks, and no file elsewhere is written or deleted. The folder itself may be a link.
"""

from __future__ import annotations

import errno
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from imgcls_lab.run_paths import check_relative

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would block


class LocalObjects:
    """Names are relative, with `/`. Each method raises OSError: FileNotFoundError where the folder or a file is not."""

    def __init__(self, root: str) -> None:
        self._root = root

    # ── write ───────────────────────────────────────────────────────────────────────────────────────────────
    def put(self, name: str, data: bytes) -> None:
        with self._replacing(name) as file:
            file.write(data)

    def put_file(self, name: str, source: Path) -> None:
        with source.open("rb") as content, self._replacing(name) as file:
            shutil.copyfileobj(content, file, 2**20)

    def create(self, name: str, data: bytes) -> None:
        """Raises FileExistsError for a name that is taken."""
        with self._parent(name, make=True) as (folder, last), _new_file(folder, last) as file:
            file.write(data)

    @contextmanager
    def _replacing(self, name: str) -> Iterator[BinaryIO]:
        """A file that takes its name at the end of the block."""
        with self._parent(name, make=True) as (folder, last):
            temporary = f"{last}.{secrets.token_hex(4)}.tmp"
            with _new_file(folder, temporary) as file:
                yield file
                file.flush()
                os.replace(temporary, last, src_dir_fd=folder, dst_dir_fd=folder)

    # ── read ────────────────────────────────────────────────────────────────────────────────────────────────
    def read(self, name: str, start: int, end: int) -> bytes:
        with self._parent(name) as (folder, last):
            descriptor = os.open(last, _PLAIN, dir_fd=folder)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(errno.ELOOP, "It is no plain file", name)
            file.seek(start)
            return file.read(end - start)

    def listing(self, prefix: str) -> Iterator[tuple[str, int, str]]:
        """Name, size and version of the plain files below a folder; none where there is no such folder."""
        try:
            with self._parent(f"{prefix.strip('/')}/-".lstrip("/")) as (top, _):
                for folder, _, files, descriptor in os.fwalk(".", dir_fd=top):
                    for name in files:
                        with suppress(FileNotFoundError):  # replaced or deleted meanwhile
                            found = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                            if stat.S_ISREG(found.st_mode):
                                path = os.path.normpath(os.path.join(folder, name))
                                yield path, found.st_size, str(found.st_mtime_ns)
        except FileNotFoundError:
            os.stat(self._root)

    # ── delete ──────────────────────────────────────────────────────────────────────────────────────────────
    def delete(self, name: str) -> None:
        with self._parent(name) as (folder, last):
            os.unlink(last, dir_fd=folder)

    def remove_folder(self, prefix: str) -> None:
        """Remove a folder with what is left in it."""
        with self._parent(prefix.strip("/")) as (folder, last):
            shutil.rmtree(last, ignore_errors=True, dir_fd=folder)

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    @contextmanager
    def _parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """A descriptor of the folder that has a name, and the name in it. make: the folders that lack.

        The folder of the store itself is never made: its disk may not be mounted.
        """
        *parents, last = check_relative(name).split("/")
        here = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in parents:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, 0o700, dir_fd=here)
                below = os.open(part, _DIRECTORY, dir_fd=here)
                os.close(here)
                here = below
            yield here, last
        finally:
            os.close(here)


@contextmanager
def _new_file(folder: int, name: str) -> Iterator[BinaryIO]:
    """A file that is removed where it cannot be written whole: its disk may be full."""
    descriptor = os.open(name, _NEW, 0o600, dir_fd=folder)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=folder)
        raise

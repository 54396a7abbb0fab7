"""Pictures that were made once, on disk: `<home>/cache/thumbnails/ab/<image>-<size>.webp`. May be deleted at any time.

Read and filled by the server, listed and cleared by `imgcls-lab cache`. What it holds may be shown to nobody before the
image was found in a data set or a run that the user may read: the caller sees to that.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from imgcls_lab import private_folder, run_paths
from imgcls_lab.errors import UnsafeFolderError

FOLDER = "thumbnails"
LARGEST = 32 * 2**20  # bytes of a picture
USED = 3600.0  # seconds: a use that soon after another is not noted
LOW = 0.9  # part of the limit down to which is evicted


class Usage(NamedTuple):
    """How many pictures there are, their bytes, and when one was used last, seconds since 1970."""

    pictures: int
    size: int
    used: float


class ThumbnailCache:
    """The pictures of a home. limit: most bytes that they may take. Where others can write nothing is kept."""

    def __init__(self, cache: Path, limit: int) -> None:
        self._folder = cache / FOLDER
        self._limit = limit
        self._lock = threading.Lock()
        self._size: int | None = None  # as this process knows it; None: not counted yet

    def get(self, image: str, size: int) -> bytes | None:
        """The picture, or None."""
        try:
            private_folder.require_cache(self._folder)
            with run_paths.open_plain(self._folder, _name(image, size)) as file:
                status = os.fstat(file.fileno())
                content = file.read(min(status.st_size, LARGEST) + 1)
                if time.time() - status.st_mtime > USED:
                    os.utime(file.fileno())  # it was used now
        except (OSError, ValueError, UnsafeFolderError):
            return None
        return content if len(content) <= LARGEST and _is_whole(content) else None

    def put(self, image: str, size: int, content: bytes) -> None:
        """Keep a picture. Without a place for it nothing is lost: it is made anew."""
        path = self._folder / _name(image, size)
        with contextlib.suppress(OSError, UnsafeFolderError):
            for folder in (self._folder, path.parent):
                run_paths.make_folder(folder)  # a link in its place leads nowhere
            private_folder.require_cache(self._folder)
            temporary = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
            try:
                with open(temporary, "xb", opener=_private) as file:
                    file.write(content)
                os.replace(temporary, path)  # without fsync, which takes longer than the picture
            except OSError:
                temporary.unlink(missing_ok=True)
                raise
            self._make_room(len(content))

    def _make_room(self, added: int) -> None:
        with self._lock:
            self._size = usage(self._folder.parent).size if self._size is None else self._size + added
            if self._size <= self._limit:
                return
            there = sorted(_pictures(self._folder), key=lambda found: found[1].st_mtime)
            self._size = sum(status.st_size for _, status in there)
            for path, status in there:
                if self._size <= LOW * self._limit:
                    break
                path.unlink(missing_ok=True)
                self._size -= status.st_size


def usage(cache: Path) -> Usage:
    """What the pictures in a cache folder take."""
    found = [status for _, status in _pictures(cache / FOLDER)]
    return Usage(len(found), sum(s.st_size for s in found), max((s.st_mtime for s in found), default=0.0))


def clear(cache: Path, progress: Callable[[int, int], None] = lambda _done, _total: None) -> int:
    """Remove all pictures; returns the bytes that became free. progress: gets these, and all."""
    freed, there = 0, [*_pictures(cache / FOLDER)]
    total = sum(status.st_size for _, status in there)
    for path, status in there:
        progress(freed, total)
        with contextlib.suppress(OSError):
            path.unlink()
            freed += status.st_size
    return freed


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _is_whole(content: bytes) -> bool:
    """Whether the WebP has the length that its header names: after a power cut a file may be shorter than written."""
    return content[:4] == b"RIFF" and int.from_bytes(content[4:8], "little") + 8 == len(content)


def _name(image: str, size: int) -> str:
    return f"{image[:2]}/{image}-{size}.webp"


def _pictures(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """The files of the cache alone: behind a link would lie somebody's own pictures."""
    for group in _entries(folder):
        if len(group.name) == 2 and group.is_dir(follow_symlinks=False):
            for entry in _entries(group.path):
                if entry.name.endswith(".webp") and entry.is_file(follow_symlinks=False):
                    with contextlib.suppress(OSError):  # removed meanwhile
                        yield Path(entry.path), entry.stat(follow_symlinks=False)


def _entries(folder: str | Path) -> list[os.DirEntry[str]]:
    """None of a folder that is not there, or is a link."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.close(descriptor)
        with os.scandir(folder) as entries:
            return [*entries]
    except OSError:
        return []

"""Opens, measures and removes what lies in a run's folder, and never leaves that folder. Standard library only.

Events, run.json and reports name files of their run, and a run's folder may come from elsewhere. Each part of such a
name is opened from the folder before it, without following links by the system. So neither a name, nor a link, nor a
folder that is exchanged meanwhile leads out. A link that stays inside is followed. `elsewhere` are the folders outside
that the run's config names (`run_layout.elsewhere`); a caller takes the config from the database, never from an event.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

LARGEST = 64 * 2**20  # bytes of a file that is read whole
MAX_LINKS = 8  # links on the way to one file
MAX_FILES, MAX_DEPTH, MAX_SECONDS = 100_000, 16, 2.0  # of one measurement
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_PLAIN = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC  # a pipe would block


def check_relative(name: str) -> str:
    """The name, if it is a plain relative path: no `..`, no root, nothing empty. Raises ValueError."""
    parts = name.split("/")
    if "\0" in name or "\\" in name or len(name) > 1024 or any(part in ("", ".", "..") for part in parts):
        raise ValueError("is no path inside the run's folder")
    return name


def open_plain(folder: Path, name: str, elsewhere: Sequence[Path] = ()) -> BufferedReader:
    """Open a file of a folder to read. Raises OSError for all but files, and for whatever leads out of the folder."""
    descriptor = _open(folder, name, os.O_RDONLY, elsewhere)
    return os.fdopen(_checked(descriptor, folder / name), "rb")


def read_plain(folder: Path, name: str, elsewhere: Sequence[Path] = ()) -> bytes:
    """What a file of a folder holds. Raises OSError as `open_plain` does, and for a file of more than LARGEST bytes."""
    with open_plain(folder, name, elsewhere) as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(errno.EFBIG, "It is too large", os.fspath(folder / name))
    return data


def read_json(folder: Path, name: str) -> Any:
    """The JSON in a file of a folder. Raises OSError as `read_plain` does, and ValueError for what is no JSON."""
    try:
        return json.loads(read_plain(folder, name))
    except RecursionError:
        raise ValueError(f"{name} is nested too deep") from None


def open_to_write(folder: Path, name: str, flags: int) -> int:
    """A descriptor of a file of a folder, which is made (0600) if it is not there.

    flags: such as os.O_WRONLY | os.O_APPEND. Raises OSError where a link or anything but a file has the name.
    """
    descriptor = _open(folder, name, flags | os.O_CREAT, None)
    return _checked(descriptor, folder / name)


def make_folder(folder: Path) -> None:
    """Make a run's folder (0700) if it is not there. Raises OSError where a link has its name."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(folder, _DIRECTORY))


def is_folder(folder: Path, name: str, elsewhere: Sequence[Path] = ()) -> bool:
    """Whether a name inside a folder is a folder."""
    try:
        descriptor = _open(folder, name, _DIRECTORY, elsewhere)
    except (OSError, ValueError):
        return False
    os.close(descriptor)
    return True


def names_in(folder: Path, name: str, elsewhere: Sequence[Path] = ()) -> list[str]:
    """The names in a folder inside a folder, sorted; none where it is not there, or leads out."""
    try:
        descriptor = _open(folder, name, _DIRECTORY, elsewhere)
    except (OSError, ValueError):
        return []
    try:
        return sorted(os.listdir(descriptor))
    finally:
        os.close(descriptor)


def real_path(folder: Path, name: str, elsewhere: Sequence[Path] = ()) -> Path:
    """The path of a file or folder with links resolved, for libraries that open paths by themselves.

    Between this and their opening a link could be exchanged; so only a process of the run's own user may ask, for
    itself. Raises OSError where there is none, or where it leads out.
    """
    os.close(_open(folder, name, os.O_RDONLY, elsewhere))
    found = (folder / name).resolve()
    if not any(found.is_relative_to(place.resolve()) for place in (folder, *elsewhere)):
        raise _leads_out(folder / name)
    return found


def size(folder: Path, name: str, elsewhere: Sequence[Path] = ()) -> int:
    """Bytes of a file, or of the files below a folder; 0 for what is not there. Bounds as those of `files`."""
    return sum(found.st_size for found in files(folder, name, elsewhere))


def files(folder: Path, name: str, elsewhere: Sequence[Path] = ()) -> Iterator[os.stat_result]:
    """A file, or the files below a folder, without following links; none for what is not there.

    Counts MAX_FILES files of MAX_DEPTH folders in MAX_SECONDS at most: who makes more gets a number that is too small.
    """
    try:
        descriptor = _open(folder, name, os.O_RDONLY, elsewhere)
    except (OSError, ValueError):
        return
    try:
        found = os.fstat(descriptor)
        if stat.S_ISREG(found.st_mode):
            yield found
        if not stat.S_ISDIR(found.st_mode):
            return
        until = time.monotonic() + MAX_SECONDS
        for number, one in enumerate(_entries(descriptor, MAX_DEPTH)):
            if one is not None:
                yield one
            if number >= MAX_FILES or time.monotonic() > until:
                break
    finally:
        os.close(descriptor)


def remove(folder: Path) -> None:
    """Remove a folder with all in it. Of a link, in it or in its place, only the link itself is removed."""
    if folder.is_symlink():
        folder.unlink()
    else:
        shutil.rmtree(folder, ignore_errors=True)  # by descriptors: no exchanged folder leads out either


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _open(folder: Path, name: str, flags: int, elsewhere: Sequence[Path] | None) -> int:
    """A descriptor of what a name in a folder is. elsewhere: None follows no link at all.

    Raises OSError and, for a name that is none, ValueError.
    """
    left = check_relative(name).split("/")[::-1]
    links = 0
    with _stack(folder) as stack:
        while left:
            part = left.pop()
            if part in ("", "."):
                continue
            if part == "..":
                if len(stack) == 1:
                    raise _leads_out(folder / name)
                os.close(stack.pop())
                continue
            try:
                descriptor = os.open(part, _DIRECTORY if left else flags | _PLAIN, 0o600, dir_fd=stack[-1])
            except OSError as error:
                if elsewhere is None:
                    raise
                target = _target(part, stack[-1], error)
                links += 1
                if links > MAX_LINKS:
                    raise
                if target.startswith("/"):
                    target = _enter(target, elsewhere, stack) or _refuse(folder / name)
                left += target.split("/")[::-1]
                continue
            if not left:
                return descriptor
            stack.append(descriptor)
        return os.dup(stack[-1])  # a link to a folder ended with .. or /


@contextmanager
def _stack(folder: Path) -> Iterator[list[int]]:
    """Descriptors of the folders from a folder down to where the walk is."""
    stack = [os.open(folder, _DIRECTORY)]
    try:
        yield stack
    finally:
        for descriptor in stack:
            os.close(descriptor)


def _target(part: str, folder: int, error: OSError) -> str:
    """Where a link leads. Raises the error again for what is no link."""
    if error.errno not in (errno.ELOOP, errno.ENOTDIR, errno.EMLINK):
        raise error
    try:
        return os.readlink(part, dir_fd=folder)
    except OSError:
        raise error from None


def _enter(target: str, elsewhere: Sequence[Path], stack: list[int]) -> str | None:
    """Begin anew in the folder outside that a link leads to; the rest of its path. None: it leads to none of them."""
    path = Path(os.path.normpath(target))
    for place in elsewhere:
        if path.is_relative_to(place):
            descriptor = os.open(place, _DIRECTORY)
            while stack:
                os.close(stack.pop())
            stack.append(descriptor)
            return str(path.relative_to(place))
    return None


def _refuse(path: Path) -> str:
    raise _leads_out(path)


def _leads_out(path: Path) -> OSError:
    return OSError(errno.ELOOP, "It leads out of the run's folder", os.fspath(path))


def _checked(descriptor: int, path: Path) -> int:
    """The descriptor, if it is that of a plain file."""
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise OSError(errno.ELOOP, "It is no plain file", os.fspath(path))


def _entries(folder: int, depth: int) -> Iterator[os.stat_result | None]:
    """Each entry below a folder; None for what is no file."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.is_dir(follow_symlinks=False):
                yield entry.stat(follow_symlinks=False) if entry.is_file(follow_symlinks=False) else None
                continue
            yield None
            if depth > 1:
                try:
                    inner = os.open(entry.name, _DIRECTORY, dir_fd=folder)
                except OSError:  # it is gone, or closed to us
                    continue
                try:
                    yield from _entries(inner, depth - 1)
                finally:
                    os.close(inner)

"""`store.archives`: files of projects in the home's folder of exports: written there, uploaded, downloaded, deleted.

Each is a plain file of this user alone (0600), known by its name. While one is being written it has a hidden name and
a lock; what a process that died had begun is removed by the next one.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import stat
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from imgcls_lab import locks, project_archive, run_paths
from imgcls_lab.errors import ConflictError, DiskFullError, NotFoundError, StoreError
from imgcls_lab.schemas import ArchiveView
from imgcls_lab.settings import Settings

SUFFIX = ".imgcls.tar"
UPLOADED = "uploaded-"  # a file of a page: it is removed when it has been imported, or was refused
_NAME = re.compile(r"[\w][\w.-]{0,190}\.tar")
_UNSAFE = re.compile(r"[^\w-]+")
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class Archives:
    """The files of one home."""

    def __init__(self, settings: Settings) -> None:
        self._folder = settings.exports_dir

    def list(self) -> Sequence[ArchiveView]:
        """All files that are whole, the newest first."""
        found = []
        with contextlib.suppress(FileNotFoundError), os.scandir(self._folder) as entries:
            for entry in entries:
                if _NAME.fullmatch(entry.name) and entry.is_file(follow_symlinks=False):
                    facts = entry.stat(follow_symlinks=False)
                    found.append(ArchiveView(name=entry.name, size=facts.st_size, made_at=facts.st_mtime))
        return sorted(found, key=lambda file: (-file.made_at, file.name))

    def new(self, project: str) -> Path:
        """Where the file of a project can be written: a name that is free. What was left half written goes."""
        self.tidy()
        run_paths.make_folder(self._folder)
        name = f"{_plain(project)}-{time.strftime('%Y%m%d-%H%M%S')}"
        paths = (self._folder / f"{name}{'' if number == 0 else f'-{number}'}{SUFFIX}" for number in range(1000))
        return next(path for path in paths if not path.exists())

    def path(self, name: str) -> Path:
        """Where a file lies. Raises NotFoundError."""
        if _NAME.fullmatch(name) is not None:
            path = self._folder / name
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.lstat(path).st_mode):
                    return path
        raise NotFoundError(f"There is no file “{name[:80]}” of a project here any more.", reason="no_archive")

    def open(self, name: str) -> IO[bytes]:
        """A file, to read. Raises NotFoundError."""
        path = self.path(name)
        try:
            return run_paths.open_plain(path.parent.resolve(), name)
        except (OSError, ValueError):
            raise NotFoundError(f"The file “{name}” cannot be read any more.", reason="no_archive") from None

    def delete(self, name: str) -> None:
        """Raises NotFoundError, StoreError."""
        path = self.path(name)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise StoreError(f"{path} cannot be removed: {error.strerror}. Check its folder.") from error

    def upload(self, name: str, size: int) -> Upload:
        """Begin a file that a page sends. size: in bytes, 0 if it is not known. Raises DiskFullError, StoreError."""
        self.tidy()
        run_paths.make_folder(self._folder)
        project_archive.check_room(self._folder, size)
        stem = _plain(Path(name).name.split(".")[0])
        return Upload(self._folder / f"{UPLOADED}{stem}-{secrets.token_hex(4)}.tar")

    def tidy(self) -> None:
        """Remove what a process that died had begun to write, and uploads of which nobody has made anything."""
        with contextlib.suppress(FileNotFoundError):
            for path in [*self._folder.iterdir()]:
                old = path.name.startswith(UPLOADED) and time.time() - path.lstat().st_mtime > 86_400
                # one that is written is locked; what cannot be opened is gone by now, or a link that is none of ours
                if old or (path.name.startswith(".") and not locks.is_locked(path, unreadable=True)):
                    path.unlink(missing_ok=True)


class Upload:
    """A file that arrives piece by piece. It appears under its name when it is whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._alone = threading.Lock()  # the connection may break while a thread writes
        self._stack = contextlib.ExitStack()
        self._file = self._stack.enter_context(whole(path))

    def write(self, piece: bytes) -> None:
        """Raises DiskFullError, StoreError; then nothing of it is left."""
        try:
            with self._alone:
                if not self._file.closed:
                    self._file.write(piece)
        except OSError as error:
            self.drop()
            raise _unwritten(self.path, error) from error

    def keep(self) -> ArchiveView:
        """It is whole. Raises DiskFullError, StoreError."""
        self._stack.close()
        facts = self.path.stat()
        return ArchiveView(name=self.path.name, size=facts.st_size, made_at=facts.st_mtime)

    def drop(self) -> None:
        """Its rest does not come: remove it."""
        with contextlib.suppress(_GoneError), self._alone, self._stack:
            raise _GoneError


class _GoneError(Exception):
    pass


@contextlib.contextmanager
def whole(out: Path) -> Iterator[IO[bytes]]:
    """A file (0600) that appears under its name when the block has ended without an error.

    Raises ConflictError where something is there by then, DiskFullError, StoreError.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{out.name}.{secrets.token_hex(4)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)  # for as long as it is written
            yield file
            file.flush()
            os.fsync(file.fileno())
            os.link(temporary, out)  # refuses where something is there by now
    except FileExistsError as error:
        raise ConflictError(f"There is something at {out} already. Name another file.") from error
    except OSError as error:
        raise _unwritten(out, error) from error
    finally:
        temporary.unlink(missing_ok=True)


def _unwritten(out: Path, error: OSError) -> DiskFullError | StoreError:
    if error.errno in _FULL:
        return DiskFullError(f"The disk of {out} is full. Nothing was left there.")
    return StoreError(f"{out} could not be written: {error.strerror}.")


def _plain(text: str) -> str:
    """Part of a file's name."""
    return _UNSAFE.sub("-", text).strip("-")[:80] or "project"

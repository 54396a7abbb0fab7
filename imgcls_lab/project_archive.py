"""A project as one file: a plain tar of run folders, with `archive.json` that names each file, its size and SHA-256.

Written by an export, read by an import, which takes it for hostile: nothing in it is executed or unpickled, no name
leads out of the folder that it is unpacked into, links, devices and sparse files are refused, and counts and sizes are
checked before the first byte is written. It is not compressed, so that it unpacks to no more than itself. Knows no
database.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import shutil
import stat
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgcls_lab import run_paths
from imgcls_lab.errors import DiskFullError, InputError, StoreError
from imgcls_lab.run_layout import CHECKPOINTS, DESIRED, EDITS, HEARTBEAT, MIRRORED, OWNER, is_run_id
from imgcls_lab.schemas import ListView
from imgcls_lab.schemas.limits import MAX_ID, MAX_NAME, MAX_NOTE, MAX_TAGS, MAX_VERSIONS, MAX_VIEWS, Name, Note, Values

FORMAT = 1
CONTENTS = "archive.json"
RUNS = "runs"
MAX_RUNS = 10_000  # in one archive
MAX_FILES = 100_000
MAX_CONFIGS = 1000
MAX_BYTES = 2 * 10**12  # of all files together
MAX_CONTENTS = 64 * 2**20  # bytes of archive.json
MAX_PATH, MAX_DEPTH = 200, 12  # characters and folders of a name inside a run's folder
SPARE = 500_000_000  # bytes of the disk that an import leaves free
CHUNK = 2**20
# of a run that lives: a daemon would act on them; and what stands in `archive.json`
NEVER = frozenset({DESIRED, HEARTBEAT, OWNER, MIRRORED, EDITS})
# what headers make tarfile raise that are damaged, or nested on purpose
DAMAGE = (tarfile.TarError, EOFError, ValueError, OverflowError, RecursionError)
Progress = Callable[[int, int], None]  # bytes that are done, and all


class _Part(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class ArchivedFile(_Part):
    """path: inside the run's folder."""

    path: str = Field(max_length=MAX_PATH)
    size: int = Field(ge=0, le=MAX_BYTES)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class ArchivedRun(_Part):
    """links: of its checkpoints, such as best: a001-s00001234. archived: left out of lists.

    notes, tags: as the exporting home has them; None in a file of an earlier version, whose run.json has them.
    """

    id: str = Field(max_length=MAX_ID)
    name: str = Field(max_length=MAX_NAME)
    archived: bool = False
    notes: str | None = Field(None, max_length=MAX_NOTE)
    tags: tuple[str, ...] | None = Field(None, max_length=MAX_TAGS)
    files: tuple[ArchivedFile, ...] = Field(max_length=MAX_FILES)
    links: dict[str, str] = Field(default_factory=dict, max_length=MAX_FILES)


class ArchivedVersion(_Part):
    author: str = Field("", max_length=MAX_NAME)
    created_at: float
    config: Values


class ArchivedConfig(_Part):
    """versions: the oldest first."""

    name: Name
    description: Note = ""
    versions: tuple[ArchivedVersion, ...] = Field(min_length=1, max_length=MAX_VERSIONS)


class ArchivedView(_Part):
    name: Name
    view: ListView


class ArchivedProject(_Part):
    name: Name
    description: str = Field("", max_length=MAX_NOTE)


class Contents(_Part):
    """All that an archive holds. checkpoints: which of each run: all, best or none. runs: parents before children."""

    format: int
    version: str = Field("", max_length=MAX_ID)  # of the program that wrote it
    created_at: float
    checkpoints: str = Field("best", max_length=MAX_ID)
    project: ArchivedProject
    runs: tuple[ArchivedRun, ...] = Field(max_length=MAX_RUNS)
    configs: tuple[ArchivedConfig, ...] = Field((), max_length=MAX_CONFIGS)
    views: tuple[ArchivedView, ...] = Field((), max_length=MAX_VIEWS)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for run in self.runs for file in run.files)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────
class Writer:
    """Writes an archive, file by file. Nothing is compressed: weights hardly get smaller."""

    def __init__(self, file: IO[bytes]) -> None:
        self._tar = tarfile.open(fileobj=file, mode="w", format=tarfile.GNU_FORMAT)  # noqa: SIM115 (see `close`)

    def add(self, run_id: str, folder: Path, path: str, done: Callable[[int], None]) -> ArchivedFile | None:
        """Add a file of a run's folder as it is now. None: it is gone, or no plain file.

        done: called with the bytes of each piece.
        """
        try:
            file = run_paths.open_plain(folder, path)
        except (OSError, ValueError):
            return None
        with file:
            size = os.fstat(file.fileno()).st_size
            hashed = _Hashed(file, size, done)
            self._tar.addfile(_header(f"{RUNS}/{run_id}/{path}", size), hashed)
        return ArchivedFile(path=path, size=size, sha256=hashed.sha256)

    def close(self, contents: Contents) -> None:
        text = contents.model_dump_json().encode()
        if len(text) > MAX_CONTENTS:
            raise InputError("The project has too many files for one archive. Export it without checkpoints.")
        self._tar.addfile(_header(CONTENTS, len(text)), io.BytesIO(text))
        self._tar.close()


class _Hashed(io.RawIOBase):
    """So many bytes of a file, hashed on the way. A file that has become shorter is filled up: it is being cut."""

    def __init__(self, file: IO[bytes], size: int, done: Callable[[int], None]) -> None:
        self._file, self._left, self._done, self._digest = file, size, done, hashlib.sha256()

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        wanted = self._left if size < 0 else min(size, self._left)
        found = self._file.read(wanted)
        found += bytes(wanted - len(found))
        self._left -= wanted
        self._digest.update(found)
        self._done(len(found))
        return found

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()


def _header(name: str, size: int) -> tarfile.TarInfo:
    header = tarfile.TarInfo(name)
    header.size, header.mode = size, 0o600
    return header


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────
class Reader:
    """An archive whose headers are checked: `contents` names the very files that it holds."""

    def __init__(self, tar: tarfile.TarFile, name: str) -> None:
        self._tar, self._name = tar, name
        self._members = self._checked_members()
        self.contents = self._read_contents()
        _check_contents(self.contents, name)
        declared = {f"{RUNS}/{run.id}/{file.path}": file.size for run in self.contents.runs for file in run.files}
        held = {path: member.size for path, member in self._members.items() if path != CONTENTS}
        if declared != held:
            odd = sorted(declared.items() ^ held.items())[0][0]
            raise _refused(name, f"it does not hold what it says it holds (“{odd[:200]}”)")

    def unpack(self, run: ArchivedRun, folder: Path, done: Callable[[int], None]) -> None:
        """Write the files of a run into a new folder, and check their hashes. done: called with the bytes of a piece.

        Raises InputError for an archive that was changed, DiskFullError.
        """
        folder.mkdir(mode=0o700)
        for file in run.files:
            path = folder / file.path
            for parent in reversed([*_parents(file.path)]):
                (folder / parent).mkdir(mode=0o700, exist_ok=True)
            member = self._tar.extractfile(self._members[f"{RUNS}/{run.id}/{file.path}"])
            if member is None:
                raise _refused(self._name, f"“{file.path}” is no file")
            digest, left = hashlib.sha256(), file.size
            with _written(path) as out, member:
                while left:
                    piece = _piece(member, min(CHUNK, left))
                    if not piece:
                        raise _refused(self._name, "its end is missing")
                    out.write(piece)
                    digest.update(piece)
                    left -= len(piece)
                    done(len(piece))
            if digest.hexdigest() != file.sha256:
                raise _refused(self._name, f"“{file.path}” of the run “{run.name}” is not what was exported")
        for link, target in run.links.items():
            os.symlink(target, folder / CHECKPOINTS / link)

    def _checked_members(self) -> dict[str, tarfile.TarInfo]:
        found: dict[str, tarfile.TarInfo] = {}
        total = 0
        for member in self._tar:
            total += member.size
            # what an export writes has no such headers, and they can say any size
            if not member.isreg() or member.issparse() or member.pax_headers or self._tar.pax_headers:
                raise _refused(self._name, f"“{member.name[:200]}” is no plain file")
            if member.name in found:
                raise _refused(self._name, f"it holds “{member.name[:200]}” twice")
            if len(found) > MAX_FILES or total > MAX_BYTES:
                raise _refused(self._name, f"it holds more than {MAX_FILES:,} files or {MAX_BYTES // 10**12} TB")
            found[member.name] = member
        return found

    def _read_contents(self) -> Contents:
        member = self._members.get(CONTENTS)
        if member is None or member.size > MAX_CONTENTS:
            raise _refused(self._name, f"it has no {CONTENTS} that can be read")
        file = self._tar.extractfile(member)
        try:
            return Contents.model_validate_json(file.read(MAX_CONTENTS) if file is not None else b"")
        except (ValidationError, RecursionError) as error:
            first = error.errors()[0] if isinstance(error, ValidationError) else {"loc": (), "msg": "nested too deep"}
            place = ".".join(map(str, first["loc"]))[:200]
            raise _refused(self._name, f"{CONTENTS} cannot be read: {place}: {first['msg']}") from None


def _piece(member: IO[bytes], size: int) -> bytes:
    """A piece of a file; nothing where the archive ends before it should."""
    try:
        return member.read(size)
    except DAMAGE:
        return b""


@contextmanager
def opened(path: Path) -> Iterator[Reader]:
    """An archive, to read. Raises InputError for a file that is none, or one that could do harm."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise InputError(f"The archive {path} cannot be read: {error.strerror}.") from error
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise InputError(f"{path} is no file. Name an archive that `imgcls-lab projects export` wrote.")
    with os.fdopen(descriptor, "rb") as file:
        try:
            tar = tarfile.open(fileobj=_Bounded(file), mode="r:")  # noqa: SIM115  (closes with the file)
            reader = Reader(tar, path.name)
        except DAMAGE as error:
            raise _refused(path.name, str(error)[:200] or "it is damaged") from error
        yield reader


class _Bounded(io.RawIOBase):
    """A file of which no header can make anybody read much at once."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if size < 0 or size > CHUNK:
            raise tarfile.ReadError("a header is too long")
        return self._file.read(size)

    def readinto(self, buffer: Any) -> int:
        found = self.read(len(buffer))
        buffer[: len(found)] = found
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True


def _check_contents(contents: Contents, name: str) -> None:
    if contents.format != FORMAT:
        raise _refused(name, f"it has the format {contents.format}, and this version reads {FORMAT}. Update imgcls-lab")
    if sum(len(run.files) for run in contents.runs) > MAX_FILES or contents.size > MAX_BYTES:
        raise _refused(name, f"it holds more than {MAX_FILES:,} files or {MAX_BYTES // 10**12} TB")
    if len({run.id for run in contents.runs}) < len(contents.runs):
        raise _refused(name, "it holds a run twice")
    for run in contents.runs:
        if not is_run_id(run.id):
            raise _refused(name, f"“{run.id}” is no id of a run")
        for file in run.files:
            _check_path(file.path, name)
        paths = {file.path for file in run.files}
        folders = {parent for path in paths for parent in _parents(path)}
        if len(paths) < len(run.files) or paths & folders:
            raise _refused(name, f"a name in the run “{run.name}” is there twice")
        saved = {path.split("/")[1] for path in paths if path.startswith(f"{CHECKPOINTS}/") and path.count("/") > 1}
        for link, target in run.links.items():
            plain = link.isprintable() and "/" not in link and link not in ("", ".", "..") and len(link) <= MAX_PATH
            if not plain or target not in saved or link in saved or f"{CHECKPOINTS}/{link}" in paths:
                raise _refused(name, f"the link “{link[:100]}” leads to no checkpoint of its run")


def _check_path(path: str, name: str) -> None:
    try:
        parts = run_paths.check_relative(path).split("/")
    except ValueError:
        raise _refused(name, f"“{path[:200]}” leads out of a run's folder") from None
    if not path.isprintable() or len(parts) > MAX_DEPTH or parts[0] in NEVER:
        raise _refused(name, f"“{path[:200]}” is no name of a file that a run leaves")


def _parents(path: str) -> Iterator[str]:
    while "/" in path:
        path = path.rpartition("/")[0]
        yield path


def check_room(folder: Path, size: int) -> None:
    """Raises DiskFullError where a disk has no room for so many bytes."""
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise DiskFullError(
            f"The archive holds {size / 1e9:.1f} GB, and only {free / 1e9:.1f} GB are free in {folder}. Make room "
            "there, or export it without checkpoints."
        )


@contextmanager
def _written(path: Path) -> Iterator[IO[bytes]]:
    """A new file (0600). Raises DiskFullError, StoreError."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            yield file
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFullError(f"The disk is full; {path} could not be written. Nothing was imported.") from error
        raise StoreError(f"{path} could not be written: {error.strerror}. Nothing was imported.") from error


def _refused(name: str, why: str) -> InputError:
    return InputError(f"The archive {name} is refused: {why}.", reason="archive")

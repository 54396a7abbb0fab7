"""The locks by which all users of a machine share its GPUs, and of a home's CPU slots. Standard library only.

Each user has a file of its own for each device, in a folder where nobody can remove a file of another user. A device is
held while any of its files is locked. Names end at random, so nobody can put something in another's way; what is no
plain file is passed over. A lock ends with its process. Nothing here waits for another user.
"""

from __future__ import annotations

import contextlib
import fcntl
import heapq
import os
import random
import re
import secrets
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from imgcls_lab.entry_points import SUPERVISOR
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.private_folder import is_trusted, user_name, weaknesses
from imgcls_lab.terminal import shown

# The second where the first is closed to users. /dev/shm would not do: systemd empties it at a user's last logout.
SYSTEM_FOLDERS = (Path("/run/lock"), Path("/tmp"))  # noqa: S108
_PATIENCE = 1.0  # seconds in which a device is tried again: another process may look at a lock at this moment
MOST_FILES = 64  # of one user and device: the others lock nothing
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY


@dataclass(frozen=True)
class Holder:
    """Who holds a device: the owner of the lock's file, and the process that locked it, where the system shows it.

    program: its name. is_run: whether it says that it is the supervisor of a run.
    """

    owner: int  # uid
    path: str
    pid: int | None = None
    uid: int | None = None  # of the process
    program: str | None = None
    is_run: bool = False

    def __str__(self) -> str:
        """A part of a sentence. Other users choose the names in it, so it is one line of plain characters."""
        return shown(self._said())

    def _said(self) -> str:
        if self.pid is None or self.uid is None:
            return f"a run of {user_name(self.owner)}"
        if self.is_run:
            return f"a run of {user_name(self.uid)} (process {self.pid})"
        lock = "" if self.uid == self.owner else f", which locks {self.path} of {user_name(self.owner)},"
        return f"process {self.pid} ({self.program or '?'}, no run) of {user_name(self.uid)}{lock}"


@dataclass(frozen=True)
class DeviceLock:
    """The lock of one device. folder: as `shared_folder` gives it for a GPU, one of the home for a CPU slot."""

    folder: Path
    device: str

    @property
    def _prefix(self) -> str:
        return f"imgcls-lab-{re.sub(r'[^A-Za-z0-9-]', '_', self.device)}."

    def holder(self) -> Holder | None:
        """Who holds the device now. Raises OSError, UnsafeFolderError where the folder cannot be trusted."""
        require_folder(self.folder)
        return self._holder(except_for=None)

    def take(self) -> int | Holder:
        """A descriptor that holds the device until it is closed, or who holds it.

        Raises OSError, UnsafeFolderError where no lock can be made.
        """
        require_folder(self.folder)
        began = time.monotonic()
        while (passed := time.monotonic() - began) < _PATIENCE:
            free = self._holder(except_for=None) is None
            descriptor = self._take_own(anew=passed > _PATIENCE / 2) if free else None
            if descriptor is not None:
                if self._holder(except_for=os.fstat(descriptor).st_ino) is None:
                    return descriptor
                os.close(descriptor)  # two that try at once both give way, and try again
            time.sleep(random.uniform(0.02, 0.1))
        return self._holder(except_for=None) or Holder(os.geteuid(), str(self.folder))

    def _take_own(self, *, anew: bool) -> int | None:
        """The locked descriptor of a file of this user, whether or not others hold theirs.

        None where each is locked: a moment by somebody who looks. anew: then make another.
        """
        own = False
        for path in self._paths():
            descriptor = _open(path)
            if isinstance(descriptor, int):
                mine = os.fstat(descriptor).st_uid == os.geteuid()
                if mine and _lock(descriptor) and _is_at(path, descriptor):
                    return descriptor
                own = own or mine
                os.close(descriptor)
        if own and not anew:
            return None
        path = self.folder / f"{self._prefix}{secrets.token_hex(8)}.lock"
        descriptor = os.open(path, _FLAGS | os.O_CREAT | os.O_EXCL, 0o444)
        os.fchmod(descriptor, 0o444)  # whatever the umask is: others read it to see whether it is locked
        if _lock(descriptor) and _is_at(path, descriptor) and path in self._paths():
            return descriptor
        os.close(descriptor)
        if path not in self._paths():  # nobody would see that it is locked
            path.unlink(missing_ok=True)
        return None

    def _holder(self, except_for: int | None) -> Holder | None:
        for path in self._paths():
            descriptor = _open(path)
            if isinstance(descriptor, Holder):
                return descriptor
            if descriptor is None:
                continue
            try:
                facts = os.fstat(descriptor)
                if facts.st_ino != except_for:
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return _holder_of(path, facts)
            finally:
                os.close(descriptor)
        return None

    def _paths(self) -> list[Path]:
        """The files of this device: some of each user at most, so that nobody can keep the others busy with his."""
        found: dict[int, list[str]] = {}
        with os.scandir(self.folder) as entries:
            for entry in entries:
                if entry.name.startswith(self._prefix):
                    with contextlib.suppress(OSError):  # it was removed meanwhile
                        found.setdefault(entry.stat(follow_symlinks=False).st_uid, []).append(entry.path)
        return sorted(Path(path) for paths in found.values() for path in heapq.nsmallest(MOST_FILES, paths))


def _open(path: Path) -> int | Holder | None:
    """A descriptor of a plain file; None for anything else; its owner if a lease on the file keeps it closed."""
    try:
        descriptor = os.open(path, _FLAGS)
    except BlockingIOError:  # only its owner can have a lease: a lock by another name
        return Holder(path.lstat().st_uid, str(path))
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether a locked file still has its name: a system that clears /tmp may have removed it in between."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _holder_of(path: Path, facts: os.stat_result) -> Holder:
    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    for line in _lines(Path("/proc/locks")):
        fields = line.split()  # 1: FLOCK ADVISORY WRITE 1234 00:19:5678 0 EOF
        if len(fields) > 5 and fields[1] == "FLOCK" and fields[5] == place:
            process = Path("/proc") / fields[4]
            with contextlib.suppress(OSError):
                uid, program = process.stat().st_uid, " ".join(_lines(process / "comm"))
                is_run = SUPERVISOR.module in "".join(_lines(process / "cmdline")).split("\0")
                return Holder(facts.st_uid, str(path), int(fields[4]), uid, program, is_run)
    return Holder(facts.st_uid, str(path))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────
def shared_folder(setting: str) -> Path:
    """The folder of the GPUs' locks: what the administrator has set, else the first of the system's that is open.

    The same for all users, whatever each of them may do.
    """
    if setting:
        return Path(setting)
    return next((path for path in SYSTEM_FOLDERS if _is_open(path)), SYSTEM_FOLDERS[-1])


def _is_open(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return bool(mode & stat.S_ISVTX and mode & stat.S_IWOTH)


def require_folder(path: Path) -> None:
    """Raises UnsafeFolderError unless users can make files there and only their owners can remove them.

    It is a folder of root with the sticky bit, or one of this user alone, whose GPUs nobody else uses.
    """
    try:
        facts = path.stat()
        private = facts.st_uid == os.geteuid() and not facts.st_mode & 0o022
        above = next((found for found in weaknesses(path) if found.anybody or not private), None)
    except OSError as error:
        text = f"The folder {path} of the GPUs' locks cannot be used: {error.strerror}. {_REMEDY}"
        raise UnsafeFolderError(text, reason="gone") from error
    mode = stat.S_IMODE(facts.st_mode)
    if not stat.S_ISDIR(facts.st_mode):
        raise UnsafeFolderError(
            f"{path}, where the GPUs' locks should lie, is no folder. {_REMEDY}", reason="no_folder"
        )
    if not is_trusted(facts.st_uid) or (facts.st_uid == os.geteuid() != 0 and mode & 0o022):
        text = f"The folder {path} of the GPUs' locks belongs to {user_name(facts.st_uid)}, who could remove"
        raise UnsafeFolderError(f"{text} the locks of others. {_REMEDY}", reason="owner")
    if mode & 0o022 and not mode & stat.S_ISVTX:
        text = f"In the folder {path} of the GPUs' locks (mode {mode:o}) users can remove the locks of others"
        raise UnsafeFolderError(f"{text}. {_REMEDY}", reason="mode")
    if not os.access(path, os.W_OK | os.X_OK):
        text = f"You cannot make files in the folder {path} of the GPUs' locks. {_REMEDY}"
        raise UnsafeFolderError(text, reason="closed")
    if above is not None:
        text = f"The folder {path} of the GPUs' locks is not safe: {above}. {_REMEDY}"
        raise UnsafeFolderError(text, reason="replaceable")


_REMEDY = (
    "An administrator makes one by `install -d -m 1777 -o root /run/imgcls-lab` and sets IMGCLS_HOST_LOCKS to it for "
    "all users."
)


def foreign_entries(path: Path) -> Iterator[str]:
    """What stands among the locks and is none, with its owner, for a sentence."""
    with contextlib.suppress(OSError):
        for entry in sorted(path.iterdir()):
            if entry.name.startswith("imgcls-lab-") and entry.name.endswith(".lock"):
                with contextlib.suppress(OSError):
                    facts = entry.lstat()
                    if not stat.S_ISREG(facts.st_mode):
                        yield shown(f"{entry} of {user_name(facts.st_uid)}")

"""Which folders nobody but this user can change, and where this user's sockets lie. Standard library only.

Called when a home is opened, before each bind and connect of a unix socket, and by `imgcls-lab doctor`. It follows no
link that another user could have made, and repairs nothing that belongs to another user.
"""

from __future__ import annotations

import contextlib
import errno
import grp
import os
import pwd
import re
import socket
import stat
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple, get_args

from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.identity import ProcessIdentity

SOCKET_NAME = 12  # bytes that the name of a socket in a `RuntimeFolder` may have
SOCKET_PATH = 107 if sys.platform.startswith("linux") else 103  # bytes that the system takes
_SHARED = Path("/tmp")  # noqa: S108  (sticky, so that nobody renames a folder of another user)
_OWNER = "owner.json"  # in a `RuntimeFolder`: the process that made it
Purpose = Literal["fork", "tb", "cam"]  # of a `RuntimeFolder`: fork server, TensorBoards, inference process
_NAME = re.compile(rf"imgcls-({'|'.join(get_args(Purpose))})-\w{{8}}")  # nobody else's folder is ever removed
_MAX_LINKS = 40


class Weakness(NamedTuple):
    """A folder in which somebody else can replace what we use. by: who, for a sentence; anybody: every user can."""

    folder: Path
    by: str
    anybody: bool

    def __str__(self) -> str:
        return f"{self.by} can replace what is in {self.folder}"


# ── what others can do ──────────────────────────────────────────────────────────────────────────────────────────
def weaknesses(path: Path) -> Iterator[Weakness]:
    """The folders above a path, and above each link on the way, in which others could put another file in its place.

    Where the path does not exist, of the part that does. Raises OSError where a folder cannot be searched.
    """
    here, left, links = Path("/"), list(reversed(path.absolute().parts[1:])), 0
    while left:
        name = left.pop()
        if name in ("..", "."):
            here = here.parent if name == ".." else here
            continue
        try:
            child = (here / name).lstat()
        except FileNotFoundError:
            yield from _weakness(here, None)
            return
        yield from _weakness(here, child)
        if stat.S_ISLNK(child.st_mode):
            links += 1
            if links > _MAX_LINKS:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
            target = Path(os.readlink(here / name))
            here = Path("/") if target.is_absolute() else here
            left.extend(reversed(target.parts[target.is_absolute() :]))
        else:
            here = here / name


def _weakness(folder: Path, child: os.stat_result | None) -> Iterator[Weakness]:
    facts = folder.lstat()
    if not is_trusted(facts.st_uid):
        yield Weakness(folder, user_name(facts.st_uid), anybody=False)
    elif (writers := _other_writers(folder, facts)) is not None:
        kept = facts.st_mode & stat.S_ISVTX and (child is None or is_trusted(child.st_uid))  # sticky
        if not kept:
            yield Weakness(folder, writers, anybody=bool(facts.st_mode & stat.S_IWOTH))


def _other_writers(folder: Path, facts: os.stat_result) -> str | None:
    """Who but its owner can write to a folder, for a sentence."""
    if facts.st_mode & stat.S_IWOTH:
        return "every user"
    if facts.st_mode & stat.S_IWGRP and not _is_own_group(folder, facts.st_gid):
        with contextlib.suppress(KeyError):
            return f"the group “{grp.getgrgid(facts.st_gid).gr_name}”"
        return f"the group {facts.st_gid}"
    return None


def _is_own_group(folder: Path, gid: int) -> bool:
    """Whether a group is this user's private one, and its bits are no mask of an access list."""
    try:
        me, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    if me.pw_gid != gid or group.gr_name != me.pw_name or set(group.gr_mem) - {me.pw_name}:
        return False
    if hasattr(os, "getxattr"):
        with contextlib.suppress(OSError):
            return not os.getxattr(folder, "system.posix_acl_access")
    return True


def is_trusted(uid: int) -> bool:
    """Whether an owner is this user or root. Root has another number where this user namespace does not know it."""
    if uid in (0, os.geteuid()):
        return True
    try:
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text())
        maps = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    except (OSError, ValueError):
        return False
    return uid == overflow and not any(int(first) == 0 for first, _, _ in maps)


def user_name(uid: int) -> str:
    """A user for a sentence."""
    with contextlib.suppress(KeyError):
        return f"the user “{pwd.getpwuid(uid).pw_name}” (uid {uid})"
    return f"the user with uid {uid}"


# ── folders of this user alone ──────────────────────────────────────────────────────────────────────────────────
def make(folder: Path) -> None:
    """Make a folder and what lacks above it, each for this user alone whatever the umask is. Raises OSError."""
    missing = []
    here = folder.absolute()
    while not os.path.lexists(here):
        missing.append(here)
        here = here.parent
    for path in reversed(missing):
        with contextlib.suppress(FileExistsError):  # another process of ours was faster
            path.mkdir(mode=0o700)
    if not folder.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))


def require_private(folder: Path) -> None:
    """Raises UnsafeFolderError unless it is a real folder of this user, 0700, which nobody else can replace."""
    try:
        facts = folder.lstat()
        found = next(weaknesses(folder), None)
    except OSError as error:
        raise UnsafeFolderError(f"The folder {folder} cannot be used: {error.strerror}.", reason="gone") from error
    if not stat.S_ISDIR(facts.st_mode):
        raise UnsafeFolderError(f"{folder} is a link or a file, and no folder. Remove it.", reason="no_folder")
    if facts.st_uid != os.geteuid():
        raise UnsafeFolderError(f"The folder {folder} belongs to {user_name(facts.st_uid)}.", reason="owner")
    if stat.S_IMODE(facts.st_mode) & 0o077:
        mode = stat.S_IMODE(facts.st_mode)
        text = f"The folder {folder} is open to others (mode {mode:o}). Close it by `chmod 700 {folder}`."
        raise UnsafeFolderError(text, reason="mode")
    if found is not None:
        raise UnsafeFolderError(f"The folder {folder} is not safe: {found}.", reason="replaceable")


def require_own(folder: Path, what: str, variable: str) -> None:
    """Raises UnsafeFolderError if others can write to a folder of this user, or if every user can replace it.

    what, variable: what lies there, and the setting that names it, for the message. Raises OSError as `stat` does.
    """
    facts = folder.stat()
    if facts.st_uid != os.geteuid():
        text = f"{what} {folder} belongs to {user_name(facts.st_uid)}. Set {variable} to a folder of yours."
        raise UnsafeFolderError(text, reason="owner")
    if (writers := _other_writers(folder, facts)) is not None:
        text = f"{writers[0].upper()}{writers[1:]} can write to {folder}. Close it by `chmod 700 {folder}`."
        raise UnsafeFolderError(text, reason="mode")
    found = next((weakness for weakness in weaknesses(folder) if weakness.anybody), None)
    if found is not None:
        text = f"{what} {folder} is not safe: {found}. Close that by `chmod o-w {found.folder}`, or set {variable}."
        raise UnsafeFolderError(text, reason="replaceable")


def require_home(home: Path) -> None:
    """As `require_own`. What a home holds is executed (plugins, notebooks): who can write there is this user."""
    require_own(home, "The home", "IMGCLS_HOME")


def require_cache(folder: Path) -> None:
    """As `require_own`, for a folder of the cache: pictures and data in it are used without a look at their source."""
    require_own(folder, "The cache", "IMGCLS_CACHE_DIR")


# ── the folder of a process's sockets ───────────────────────────────────────────────────────────────────────────
class RuntimeFolder:
    """The folder of one process's sockets: private, made when it is first needed, and anew where it is gone.

    It lies in `$XDG_RUNTIME_DIR/imgcls-lab` if that is this user's alone, else in `<home>/run`. Where a socket's path
    would be too long there, or others can replace a folder above, it is made in /tmp, which is sticky.
    """

    def __init__(self, home: Path, purpose: Purpose) -> None:
        self._home = home
        self._prefix = f"imgcls-{purpose}-"
        self._path: Path | None = None
        self._identity: tuple[int, int] | None = None  # device and inode

    def ready(self) -> Path:
        """The folder, checked. Raises UnsafeFolderError where there is no safe place."""
        if self._path is not None and self._is_there(self._path):
            return self._path
        reasons = []
        for parent in runtime_parents(self._home):
            try:
                require_place(parent)
                self._path = self._make(parent)
            except (OSError, UnsafeFolderError) as error:
                reasons.append(str(error))
                continue
            return self._path
        text = "There is no safe folder for sockets. " + " ".join(reasons)
        raise UnsafeFolderError(text, reason="no_place")

    def socket(self, name: str) -> Path:
        """The path of a socket of this name in the folder. Raises UnsafeFolderError."""
        assert len(os.fsencode(name)) <= SOCKET_NAME, name  # noqa: S101
        return self.ready() / name

    def remove(self) -> None:
        """Remove the folder; at the end of its process."""
        if self._path is not None and self._is_there(self._path):
            with contextlib.suppress(OSError), _opened(self._path.parent) as above:
                with _opened(self._path.name, above) as folder:
                    _remove(self._path.name, folder, above)
        self._path = None

    def _make(self, parent: Path) -> Path:
        if parent != _SHARED:
            make(parent)
            require_private(parent)
        for place in runtime_parents(self._home):
            remove_stale(place)
        path = Path(tempfile.mkdtemp(prefix=self._prefix, dir=parent))
        try:
            require_private(path)
            _try_socket(path / "try")
        except BaseException:
            path.rmdir()
            raise
        with open(os.open(path / _OWNER, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(ProcessIdentity.current().to_json())
        facts = path.lstat()
        self._identity = (facts.st_dev, facts.st_ino)
        return path

    def _is_there(self, path: Path) -> bool:
        """Whether it is the folder that this process made, still closed to others."""
        try:
            facts = path.lstat()
            require_private(path)
        except (OSError, UnsafeFolderError):
            return False
        return (facts.st_dev, facts.st_ino) == self._identity


def _try_socket(path: Path) -> None:
    """Raises OSError where the file system can hold no socket, as some of the network cannot."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
    path.unlink()


def runtime_parents(home: Path) -> list[Path]:
    """Where a `RuntimeFolder` may lie, the best first."""
    given = os.environ.get("XDG_RUNTIME_DIR", "")
    parents = [home / "run", _SHARED]
    if given.startswith("/"):
        with contextlib.suppress(UnsafeFolderError):  # as after `sudo`: it belongs to another user
            require_private(Path(given))
            parents.insert(0, Path(given) / "imgcls-lab")
    return parents


def require_place(parent: Path) -> None:
    """Raises UnsafeFolderError unless a `RuntimeFolder` can be made there. Makes nothing."""
    if len(os.fsencode(parent)) + len("/imgcls-fork-01234567/") + SOCKET_NAME > SOCKET_PATH:
        raise UnsafeFolderError(f"A socket's path in {parent} would be too long.", reason="too_long")
    try:
        found = next(weaknesses(parent / "imgcls-fork-01234567"), None)
    except OSError as error:
        raise UnsafeFolderError(f"The folder {parent} cannot be used: {error.strerror}.", reason="gone") from error
    if found is not None:
        raise UnsafeFolderError(f"The folder {parent} is not safe: {found}.", reason="replaceable")


def runtime_place(home: Path) -> Path:
    """Where a `RuntimeFolder` is made. Makes nothing. Raises UnsafeFolderError where there is no safe place."""
    *better, last = runtime_parents(home)
    for parent in better:
        with contextlib.suppress(UnsafeFolderError):
            require_place(parent)
            return parent
    require_place(last)
    return last


def remove_stale(parent: Path) -> None:
    """Remove the folders of sockets that dead processes of this user have left. Follows no link.

    A folder must name its dead process, and nothing but sockets is removed: others make folders in /tmp, too.
    """
    with contextlib.suppress(OSError), _opened(parent) as above:
        for name in filter(_NAME.fullmatch, os.listdir(above)):
            with contextlib.suppress(OSError, ValueError), _opened(name, above) as folder:
                if os.fstat(folder).st_uid == os.geteuid() and _is_dead(folder):
                    _remove(name, folder, above)


def _is_dead(folder: int) -> bool:
    """Whether the process that made a folder is dead. Raises OSError, ValueError where the folder does not say it."""
    file = os.open(_OWNER, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    with open(file, "rb") as owner:
        return ProcessIdentity.from_json(owner.read(4096)).status() == "dead"


def _remove(name: str, folder: int, above: int) -> None:
    """Remove a folder with its sockets; the owner's name goes last. Raises OSError if something else is in it."""
    for each in os.listdir(folder):
        if stat.S_ISSOCK(os.stat(each, dir_fd=folder, follow_symlinks=False).st_mode):
            os.unlink(each, dir_fd=folder)
    if os.listdir(folder) == [_OWNER]:
        os.unlink(_OWNER, dir_fd=folder)
    os.rmdir(name, dir_fd=above)


@contextlib.contextmanager
def _opened(folder: Path | str, above: int | None = None) -> Iterator[int]:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(folder, flags, dir_fd=above)
    try:
        yield descriptor
    finally:
        os.close(descriptor)

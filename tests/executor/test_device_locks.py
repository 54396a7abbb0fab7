"""Two runs never get one GPU, whatever another user does in the folder of the locks; and who holds one is named."""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from imgcls_lab import locks
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.executor import device_locks
from imgcls_lab.executor.device_locks import DeviceLock, Holder, shared_folder

root_only = pytest.mark.skipif(os.getuid() != 0, reason="only root can become another user")
OTHER, THIRD = 61234, 61235


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "locks"
    made.mkdir()
    made.chmod(0o1777 if os.getuid() == 0 else 0o700)
    return made


@pytest.fixture
def lock(folder: Path) -> DeviceLock:
    return DeviceLock(folder, "GPU-1234")


def as_user(uid: int, lock: DeviceLock, code: str) -> subprocess.Popen[str]:
    """A process of another user with `lock`; the test waits for its first line."""
    words = f"""
import fcntl, os, sys, time
from pathlib import Path
from imgcls_lab.executor.device_locks import DeviceLock
os.setgroups([]); os.setgid({uid}); os.setuid({uid})
lock = DeviceLock(Path({str(lock.folder)!r}), {lock.device!r})
{code}
print("done", flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "done\n"
    return process


@pytest.fixture
def opened(folder: Path) -> None:
    """The folders above the locks can be searched by other users, as those above /run/lock can."""
    for path in folder.parents[: len(folder.parents) - 2]:
        if path.stat().st_uid == os.getuid() and str(path) != "/tmp":
            path.chmod(path.stat().st_mode | 0o055)


def test_a_device_is_held_until_the_descriptor_is_closed(lock: DeviceLock) -> None:
    assert lock.holder() is None
    held = lock.take()
    assert isinstance(held, int)
    holder = lock.holder()
    assert (holder.owner, holder.pid) == (os.getuid(), os.getpid())
    assert isinstance(lock.take(), Holder)
    assert DeviceLock(lock.folder, "GPU-12345").holder() is None
    os.close(held)
    assert lock.holder() is None
    assert len(list(lock.folder.iterdir())) == 1, "the file is used again"


def test_of_many_that_try_at_once_one_gets_it(lock: DeviceLock) -> None:
    got: list[int | Holder] = []
    threads = [threading.Thread(target=lambda: got.append(lock.take())) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(isinstance(each, int) for each in got) <= 1
    for each in got:
        if isinstance(each, int):
            os.close(each)


@pytest.mark.parametrize("kind", ["fifo", "folder", "link", "lease", "socket"])
def test_what_is_no_lock_is_in_nobodys_way(lock: DeviceLock, tmp_path: Path, kind: str) -> None:
    path = lock.folder / f"{lock._prefix}0000.lock"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "target").touch()
        path.symlink_to(tmp_path / "target")
    elif kind == "socket":
        os.mknod(path, stat.S_IFSOCK | 0o600)  # not bound: a path of pytest can be too long for that
    else:
        path.touch()
        signal.signal(signal.SIGIO, signal.SIG_IGN)  # the system reports that somebody opens the file
        descriptor = os.open(path, os.O_RDWR)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    began = time.monotonic()
    if kind == "lease":  # its owner keeps it from being looked at: it counts as held
        assert lock.holder() is not None
        os.close(descriptor)
    held = lock.take()
    assert isinstance(held, int)
    assert time.monotonic() - began < 2
    os.close(held)
    if kind not in ("lease",):
        assert len(list(device_locks.foreign_entries(lock.folder))) == 1


def test_a_file_that_is_removed_while_it_is_locked_is_not_the_lock(
    lock: DeviceLock, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.close(lock.take())
    (file,) = lock.folder.iterdir()
    really, removed = device_locks._lock, []

    def remove_once(descriptor: int) -> bool:
        if not removed:
            removed.append(file.unlink())
        return really(descriptor)

    monkeypatch.setattr(device_locks, "_lock", remove_once)
    held = lock.take()
    assert isinstance(held, int)
    assert lock.holder() is not None, "others see it"
    os.close(held)


def test_who_only_shares_a_lock_keeps_nobody_from_it(lock: DeviceLock) -> None:
    os.close(lock.take())
    (file,) = lock.folder.iterdir()
    with file.open() as other:
        fcntl.flock(other, fcntl.LOCK_SH)
        held = lock.take()
        assert isinstance(held, int)
        assert isinstance(lock.take(), Holder)
        os.close(held)


@root_only
@pytest.mark.usefixtures("opened")
def test_another_user_who_holds_a_device_is_named_with_its_process(lock: DeviceLock) -> None:
    other = as_user(OTHER, lock, "assert isinstance(lock.take(), int)")
    holder = lock.holder()
    assert (holder.owner, holder.uid, holder.pid, holder.is_run) == (OTHER, OTHER, other.pid, False)
    assert str(OTHER) in str(holder)
    assert str(other.pid) in str(holder)
    assert isinstance(lock.take(), Holder)
    other.kill()
    other.wait()
    held = lock.take()
    assert isinstance(held, int)
    os.close(held)


@root_only
@pytest.mark.usefixtures("opened")
def test_another_user_can_neither_remove_nor_replace_a_lock_that_is_held(lock: DeviceLock) -> None:
    first = as_user(THIRD, lock, "held = lock.take()")
    tried = """
for path in lock.folder.iterdir():
    move, write, close = lambda p: os.rename(p, f"{p}x"), lambda p: os.open(p, os.O_WRONLY), lambda p: os.chmod(p, 0)
    for attack in (os.unlink, move, write, close):
        try:
            attack(path)
        except OSError:
            continue
        sys.exit("it could")
"""
    second = as_user(OTHER, lock, tried)
    assert lock.holder().pid == first.pid
    for process in (first, second):
        process.kill()
        process.wait()


@root_only
@pytest.mark.usefixtures("opened")
def test_who_locks_the_file_of_another_is_named(lock: DeviceLock) -> None:
    os.close(lock.take())
    (file,) = lock.folder.iterdir()
    other = as_user(OTHER, lock, f"fcntl.flock(os.open({str(file)!r}, os.O_RDONLY), fcntl.LOCK_EX)")
    holder = lock.take()
    assert (holder.owner, holder.uid, holder.pid) == (0, OTHER, other.pid)
    assert str(file) in str(holder)
    other.kill()
    other.wait()


# ── the folder ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_folder_is_the_one_that_is_set_else_one_of_the_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert shared_folder("/srv/locks") == Path("/srv/locks")
    (tmp_path / "closed").mkdir()
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o1777)
    monkeypatch.setattr(device_locks, "SYSTEM_FOLDERS", (tmp_path / "closed", tmp_path / "open"))
    assert shared_folder("") == tmp_path / "open"


@pytest.mark.parametrize(("mode", "reason"), [(0o777, "mode"), (0o775, "mode")])
@root_only
def test_a_folder_in_which_users_can_remove_the_locks_of_others_is_refused(
    folder: Path, lock: DeviceLock, mode: int, reason: str
) -> None:
    folder.chmod(mode)
    for ask in (lock.holder, lock.take):
        with pytest.raises(UnsafeFolderError) as refused:
            ask()
        assert refused.value.reason == reason


@root_only
def test_a_folder_of_another_user_is_refused(folder: Path, lock: DeviceLock) -> None:
    os.chown(folder, OTHER, OTHER)
    with pytest.raises(UnsafeFolderError) as refused:
        lock.take()
    assert refused.value.reason == "owner"


def test_a_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, reason in (("nothing", "gone"), ("file", "no_folder")):
        with pytest.raises(UnsafeFolderError) as refused:
            DeviceLock(tmp_path / name, "GPU-1").take()
        assert refused.value.reason == reason


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_the_lock_of_a_home_is_a_plain_file(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a.lock"
    os.mkfifo(path) if kind == "fifo" else path.mkdir()
    with pytest.raises(OSError):
        locks.try_lock(path)
    assert not locks.is_locked(path)


@root_only
@pytest.mark.usefixtures("opened")
def test_what_another_user_names_is_said_in_one_plain_line(lock: DeviceLock, folder: Path) -> None:
    """The daemon stores that line in its database: half a character would end each of its rounds."""
    path = os.path.join(os.fsencode(folder), b"imgcls-lab-GPU-1234.\xff\x1b[2J\n" + b"x" * 200)
    os.close(os.open(path, os.O_RDONLY | os.O_CREAT, 0o444))
    os.mkfifo(os.path.join(os.fsencode(folder), b"imgcls-lab-\xff\n.lock"))
    process = as_user(OTHER, lock, f"fcntl.flock(os.open({path!r}, os.O_RDONLY), fcntl.LOCK_EX)")
    try:
        said = [str(lock.holder()), *device_locks.foreign_entries(folder)]
    finally:
        process.kill()
        process.wait()
    assert len(said) == 2
    for text in said:
        assert text.encode().decode().isprintable()
        assert len(text) < 600


@root_only
def test_files_of_one_user_keep_nobody_busy(lock: DeviceLock, folder: Path) -> None:
    for number in range(3 * device_locks.MOST_FILES):
        path = folder / f"{lock._prefix}{number:06d}.lock"
        path.touch()
        os.chown(path, OTHER, OTHER)
    assert len(lock._paths()) == device_locks.MOST_FILES
    held = lock.take()
    assert isinstance(held, int)
    assert lock.holder() is not None
    os.close(held)


def test_no_device_is_held_by_a_file_that_others_do_not_look_at(lock: DeviceLock, folder: Path) -> None:
    """Another user may keep a shared lock on each file that one makes."""
    shared = []
    for number in range(device_locks.MOST_FILES):
        path = folder / f"{lock._prefix}{'0' * 10}{number:06d}.lock"
        shared.append(os.open(path, os.O_RDONLY | os.O_CREAT, 0o444))
        fcntl.flock(shared[-1], fcntl.LOCK_SH)
    assert isinstance(lock.take(), Holder)
    assert len(list(folder.iterdir())) == device_locks.MOST_FILES
    for descriptor in shared:
        os.close(descriptor)
    held = lock.take()
    assert isinstance(held, int)
    os.close(held)

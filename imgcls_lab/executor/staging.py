"""Copies a run's data set to the local disk of its node, once for all runs there, and then becomes the engine.

Started in the place of the engine where `IMGCLS_DATA_URL` is set, so that the supervisor stops, kills and logs it like
the engine; its progress is a phase of the run. A copy is found by the fingerprint of its content, and appears whole. It
is verified by digests, bounded in space, and never removed while a run reads it.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import fcntl
import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from imgcls_lab import locks, private_folder, run_layout, run_paths, staged_data
from imgcls_lab.errors import DataError, DiskFullError, ImgclsError
from imgcls_lab.events import EventWriter, Failed, FailureKind, Phase
from imgcls_lab.executor.mirror.object_store import ObjectStore
from imgcls_lab.planning.fingerprint import data_fingerprint
from imgcls_lab.plurals import counted
from imgcls_lab.settings import Settings

STAGED = "staged"  # in the cache folder
DATA, INDEX, USED = "data", "index.json", "used"  # of one copy: files, what they are, whose lock its readers share
LOCK = ".lock"  # held by the one process of the node that makes, checks or removes copies
SOURCES = "sources"  # what was copied last from each URL
THREADS = 8
VERIFY_EVERY = 86_400.0  # seconds after which all digests of a copy are computed again
PROGRESS_EVERY = 0.5  # seconds
CHUNK = 64  # files after which the progress is reported
MAX_FILES, MAX_DEPTH, LARGEST = 20_000_000, 16, 2**34
SEPARATOR = "--"
Progress = Callable[[str, int, int], None]


class StoppedError(Exception):
    """The run is to end; nothing has begun."""


class _File(NamedTuple):
    name: str
    size: int
    version: str


class StagedCopy(NamedTuple):
    """folder: of the files; descriptor: its lock, which a process keeps for as long as it reads them."""

    folder: Path
    fingerprint: str
    descriptor: int


class Stager:
    """The copies of one node. limit: bytes that they may take; progress: gets what is done, files, and their total."""

    def __init__(self, place: Path, limit: int, progress: Progress, stop: Callable[[], bool] = lambda: False) -> None:
        self._place = place
        self._limit = limit
        self._progress = progress
        self._stop = stop

    def stage(self, url: str) -> StagedCopy:
        """A verified copy of the data set at a URL, made now if there is none.

        Raises ObjectStoreError, DataError, DiskFullError, UnsafeFolderError, StoppedError, OSError.
        """
        private_folder.make(self._place / SOURCES)
        private_folder.require_cache(self._place)
        with self._alone():
            store = ObjectStore(url)
            files = _checked([_File(*one) for one in store.listing("")], url)
            listing = hashlib.sha256(json.dumps(files).encode()).hexdigest()
            source = self._place / SOURCES / f"{hashlib.sha256(url.encode()).hexdigest()}.json"
            known = _read_json(source)
            fingerprint = known.get("fingerprint") if known.get("listing") == listing else None
            if not (isinstance(fingerprint, str) and self._is_whole(fingerprint, store)):
                fingerprint = self._copy(store, files, listing)
                run_layout.write_atomic(source, json.dumps({"listing": listing, "fingerprint": fingerprint}))
            return self._use(fingerprint)

    # ── copies ──────────────────────────────────────────────────────────────────────────────────────────────
    def _copy(self, store: ObjectStore, files: Sequence[_File], listing: str) -> str:
        """Fetch all files; the fingerprint of the copy. What a killed process has fetched of this listing is kept."""
        self._make_room(sum(file.size for file in files), store.url)
        partial = self._place / f".partial-{listing}"
        for old in self._place.glob(".partial-*"):
            if old != partial:
                run_paths.remove(old)
        data = partial / DATA
        for folder in sorted({os.path.dirname(file.name) for file in files}):
            (data / folder).mkdir(mode=0o700, parents=True, exist_ok=True)
        digests: dict[str, str] = {}

        def bring(file: _File) -> None:
            target = data / file.name
            digests[file.name] = _digest(target) if target.exists() else _fetch(store, file.name, file.size, target)

        self._each("copying images", bring, files)
        names = np.array([os.fsencode(file.name) for file in files])
        content = b"".join(bytes.fromhex(digests[file.name]) for file in files)
        fingerprint = data_fingerprint(names, np.frombuffer(content, np.uint64).reshape(-1, 4))
        index = {file.name: [file.size, digests[file.name], (data / file.name).stat().st_mtime_ns] for file in files}
        run_layout.write_atomic(partial / INDEX, json.dumps({"files": index, "verified": time.time()}))
        final = self._place / fingerprint
        if final.exists() and self._is_whole(fingerprint, store):  # the same content from elsewhere
            run_paths.remove(partial)
            return fingerprint
        doomed = self._place / f".partial-{fingerprint}"
        if final.exists():  # nobody knows what it holds; its readers keep their lock, and find the same names
            with contextlib.suppress(FileNotFoundError):
                os.rename(final / USED, partial / USED)
            os.rename(final, doomed)
        os.rename(partial, final)
        run_paths.remove(doomed)
        run_layout.fsync_folder(self._place)
        return fingerprint

    def _is_whole(self, fingerprint: str, store: ObjectStore) -> bool:
        """Whether a copy is as it was made. A file that has changed is fetched again, alone."""
        folder = self._place / fingerprint
        found = _read_json(folder / INDEX)
        index, verified = found.get("files"), found.get("verified")
        if not isinstance(index, dict) or not isinstance(verified, int | float):
            return False
        thorough = not 0 <= time.time() - verified < VERIFY_EVERY
        repaired: list[str] = []

        def check(name: str) -> None:
            size, digest, mtime = index[name]
            path = folder / DATA / name
            with contextlib.suppress(OSError):
                stat = path.lstat()
                if (stat.st_size, stat.st_mtime_ns) == (size, mtime) and not (thorough and _digest(path) != digest):
                    return
            if _fetch(store, name, size, path) != digest:
                raise DataError(f"“{name}” in {store.url} is not what it was. Start the run again.", reason="changed")
            index[name] = [size, digest, path.stat().st_mtime_ns]
            repaired.append(name)

        self._each("checking the copied images", check, list(index))
        if repaired or thorough:
            run_layout.write_atomic(folder / INDEX, json.dumps({"files": index, "verified": time.time()}))
        return True

    def _use(self, fingerprint: str) -> StagedCopy:
        folder = self._place / fingerprint
        descriptor = os.open(folder / USED, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_SH)
        os.utime(descriptor)
        return StagedCopy(folder / DATA, fingerprint, descriptor)

    def _make_room(self, needed: int, url: str) -> None:
        """Remove the copies that were not used for longest, until a new one fits. Raises DataError, DiskFullError."""
        if needed > self._limit:
            raise DataError(
                f"The data set at {url} takes {needed / 1e9:.1f} GB, and copies may take {self._limit / 1e9:.1f} GB on "
                f"this node. Raise IMGCLS_STAGED_GB.",
                reason="too_large",
            )
        copies = sorted(self._copies(), key=lambda copy: copy[0])
        taken = sum(size for _, size, _ in copies)
        for _, size, folder in copies:
            if taken + needed <= self._limit and needed <= _free(self._place):
                return
            if (lock := locks.try_lock(folder / USED)) is not None:  # nobody shares it
                run_paths.remove(folder)
                os.close(lock)
                taken -= size
        if taken + needed > self._limit or needed > _free(self._place):
            raise DiskFullError(
                f"There is no space for the data set at {url} ({needed / 1e9:.1f} GB) in {self._place}: other runs "
                "read the copies there. Raise IMGCLS_STAGED_GB, or free some space."
            )

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        """When each copy was used last, and its size."""
        for folder in self._place.iterdir():
            if len(folder.name) == 64 and folder.is_dir() and not folder.is_symlink():
                index = _read_json(folder / INDEX).get("files")
                size = sum(int(facts[0]) for facts in index.values()) if isinstance(index, dict) else 0
                with contextlib.suppress(OSError):
                    used = folder / USED if (folder / USED).exists() else folder
                    yield used.stat().st_mtime, size, folder

    # ── one process at a time ───────────────────────────────────────────────────────────────────────────────
    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        while (lock := locks.try_lock(self._place / LOCK)) is None:
            self._progress("waiting for another run that copies images", 0, 0)
            self._check_stop()
            time.sleep(PROGRESS_EVERY)
        try:
            yield
        finally:
            os.close(lock)

    def _each(self, what: str, work: Callable[[Any], None], items: Sequence[Any]) -> None:
        """Do it for each, several at once. The first error ends it."""
        self._progress(what, 0, len(items))
        last = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            for start in range(0, len(items), CHUNK):
                for _ in pool.map(work, items[start : start + CHUNK]):
                    self._check_stop()
                done = min(start + CHUNK, len(items))
                if time.monotonic() - last >= PROGRESS_EVERY or done == len(items):
                    last = time.monotonic()
                    self._progress(what, done, len(items))

    def _check_stop(self) -> None:
        if self._stop():
            raise StoppedError


# ── private ─────────────────────────────────────────────────────────────────────────────────────────────────────
def _checked(files: list[_File], url: str) -> list[_File]:
    """The files that are copied: without hidden ones. Raises DataError for names that lead elsewhere."""
    found = []
    for file in files:
        try:
            parts = run_paths.check_relative(file.name).split("/")
        except ValueError:
            text = f"{url} has a file whose name leads out of it: {file.name[:200]!r}."
            raise DataError(text, reason="name") from None
        if any(part.startswith(".") for part in parts):
            continue
        if len(parts) > MAX_DEPTH or file.size > LARGEST:
            raise DataError(f"“{file.name[:200]}” in {url} lies too deep or is too large for an image.", reason="bound")
        found.append(file)
    if not found or len(found) > MAX_FILES:
        have = counted(len(found), "file")
        raise DataError(f"{url} has {have}, so it is no data set. Check IMGCLS_DATA_URL.", reason="empty")
    return found


def _fetch(store: ObjectStore, name: str, size: int, target: Path) -> str:
    """Fetch one file, whole or not at all; its digest."""
    digest = hashlib.sha256()
    temporary = target.with_name(f".{target.name[:180]}.{os.getpid()}")
    try:
        with open(temporary, "wb", opener=lambda path, flags: os.open(path, flags | os.O_NOFOLLOW, 0o600)) as file:
            for block in store.blocks(name, size):
                digest.update(block)
                file.write(block)
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with run_paths.open_plain(path.parent, path.name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _free(place: Path) -> int:
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize


# ── in the place of the engine ──────────────────────────────────────────────────────────────────────────────────
def main(arguments: list[str]) -> int:
    """Stage the data of a run, then become the command after `--`."""
    own, argv = arguments[: arguments.index(SEPARATOR)], arguments[arguments.index(SEPARATOR) + 1 :]
    parser = argparse.ArgumentParser(prog="imgcls_lab.executor.staging")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, required=True)
    parser.add_argument("--url", required=True)
    given = parser.parse_args(own)
    root = staged_data.absolute(run_paths.read_json(given.folder, run_layout.CONFIG)["root"])
    tells = "--node" not in argv or argv[argv.index("--node") + 1] == "0"
    copy = stage_for(given.folder, given.attempt, given.url, tells=tells)
    if not isinstance(copy, StagedCopy):
        return 0 if copy is None else 1
    os.set_inheritable(copy.descriptor, True)  # the engine holds the copy until its end, and never knows
    os.environ[staged_data.ROOT], os.environ[staged_data.COPY] = str(root), str(copy.folder)
    print(f"The data set is read from {copy.folder}, a copy of {given.url}.", flush=True)
    return os.execv(argv[0], argv)  # noqa: S606


def stage_for(folder: Path, attempt: int, url: str, *, tells: bool) -> StagedCopy | Failed | None:
    """Stage the data of an attempt, and report to its events: the first node of several does (`tells`).

    None: the run was stopped meanwhile.
    """
    settings = Settings()
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _: stopping.append(number))
    with contextlib.ExitStack() as stack:
        events = stack.enter_context(EventWriter(folder, attempt)) if tells else None

        def progress(what: str, done: int, total: int) -> None:
            if events is not None:
                events.write(Phase(name=what, done=done or None, total=total or None))

        stager = Stager(settings.cache_path / STAGED, int(settings.staged_gb * 1e9), progress, lambda: bool(stopping))
        try:
            copy = stager.stage(url)
        except StoppedError:
            return None
        except (ImgclsError, OSError) as error:
            print(error, file=sys.stderr, flush=True)
            failed = _failed(error, url)
            return events.write(failed) if events is not None else failed
    return None if stopping else copy


def _failed(error: ImgclsError | OSError, url: str) -> Failed:
    if isinstance(error, ImgclsError):
        return Failed(step=0, kind=FailureKind(error.kind), message=str(error))
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    kind = FailureKind.DISK_FULL if full else FailureKind.APPLICATION
    return Failed(step=0, kind=kind, message=f"The data set at {url} could not be copied to this node: {error}.")


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))

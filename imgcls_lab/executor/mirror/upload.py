"""Sends what is new in a run's folder to the object store, and says as a manifest what is there. Called by both sides.

A file that only grows is sent in parts; any other is sent whole when it has changed. A checkpoint is named when all its
files are there. Nothing of the folder is changed, and no link is followed.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from imgcls_lab import run_layout, run_paths
from imgcls_lab.executor.mirror import index
from imgcls_lab.executor.mirror.index import Manifest, Part, Parts, RunObjects, Tail
from imgcls_lab.executor.mirror.object_store import WHOLE

PART = 2**18  # bytes of a growing file from which on they become a part of their own
TRIES = 20  # to read a file that is written just now, where all files must be sent
BYTES_A_SECOND = 2**20  # at which a file is sent again at most, while it changes
_GROWS = re.compile(rf"(.*/)?(events-\d{{3,}}\.jsonl|events\.out\.tfevents\.[^/]*|{re.escape(run_layout.OUTPUT_LOG)})")


class Stamp(NamedTuple):
    """By what a file is known to be unchanged."""

    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, found: os.stat_result) -> Stamp:
        return cls(found.st_size, found.st_mtime_ns, found.st_ino)


class _ChangedError(Exception):
    """A file changed while it was read, or is gone; the next round sees what is there then."""


class Uploader:
    """The files of one folder in the store. Not for two threads at once.

    manifest: what is there already; stamps: of the files that are known to be as the manifest says; wanted: which names
    are this side's; live: the files that grow all the time, whose newest bytes the caller sends (`tails`).
    """

    def __init__(
        self,
        objects: RunObjects,
        folder: Path,
        attempt: int,
        *,
        manifest: Manifest,
        stamps: dict[str, Stamp],
        wanted: Callable[[str], bool],
        live: tuple[str, ...] = (),
    ) -> None:
        self._objects = objects
        self._folder = folder
        self._attempt = attempt
        self._wanted = wanted
        self._live = live
        self._sent_at: dict[str, float] = {}  # monotonic time of the last sending
        self._parts: dict[str, Parts] = dict(manifest.files)
        self._links: dict[str, str] = dict(manifest.links)
        self.stamps = {name: stamp for name, stamp in stamps.items() if name in self._parts}

    def round(self, *, everything: bool) -> Manifest:
        """Send what is new; the manifest of what is there then. Raises ObjectStoreError, OSError.

        everything: also what changed a moment ago, and would be sent again soon. A file that somebody writes just now
        is then tried again, and OSError says that it does not come to rest.
        """
        for _ in range(TRIES - 1 if everything else 0):
            manifest, changed = self._try_round(everything=True)
            if not changed:
                return manifest
            time.sleep(0.1)
        manifest, changed = self._try_round(everything=everything)
        if changed and everything:
            name = min(changed)
            raise OSError(errno.EBUSY, "It changes all the time while it is read", os.fspath(self._folder / name))
        return manifest

    def _try_round(self, *, everything: bool) -> tuple[Manifest, set[str]]:
        """Also: the files that changed while they were read, of which the manifest names what was sent before."""
        changed = set()
        links = self._read_links()
        found = dict(self._files())
        for name, stamp in found.items():
            if self.stamps.get(name) != stamp and (everything or name in self._live or self._is_due(name, stamp)):
                try:
                    self._parts[name] = self._seal(name, stamp) if name in self._live else self._send(name, stamp)
                except _ChangedError:
                    changed.add(name)
                    continue
                self.stamps[name] = stamp
                self._sent_at[name] = time.monotonic()
        self._forget({name for name in self._parts if name not in found})
        self._forget_torn(found)
        self._links = {
            link: target for link, target in links.items() if self._has_checkpoint(f"{os.path.dirname(link)}/{target}")
        }
        return Manifest(files=dict(sorted(self._parts.items())), links=dict(sorted(self._links.items()))), changed

    def tails(self, goals: dict[str, int]) -> dict[str, Tail]:
        """The bytes of the live files from their last part up to the goals; as far as one object takes them."""
        found = {}
        for name, goal in goals.items():
            start = sum(part.size for part in self._parts.get(name, ()))
            try:
                with run_paths.open_plain(self._folder, name) as file:
                    file.seek(start)
                    data = file.read(max(0, min(goal - start, 2 * PART)))
            except FileNotFoundError:
                continue
            if data and len(data) == 2 * PART and name != run_layout.OUTPUT_LOG:
                data = data[: data.rfind(b"\n") + 1]
            found[name] = Tail(offset=start, text=data.decode("latin-1"))
        return found

    # ── what is there ───────────────────────────────────────────────────────────────────────────────────────
    def _files(self) -> Iterator[tuple[str, Stamp]]:
        """All files of this side, by their names. A link is left out, and what lies behind it."""
        yield from _walk(self._folder, "", index.MAX_DEPTH, self._wanted)

    def _read_links(self) -> dict[str, str]:
        """Links to checkpoints, read before the files: a checkpoint is there before its link."""
        found = {}
        for place in (self._folder, *(self._folder / run_layout.TRAININGS).glob("*")):
            folder = place / run_layout.CHECKPOINTS
            if place.is_symlink() or folder.is_symlink() or not folder.is_dir():
                continue
            for path in folder.iterdir():
                name = str(path.relative_to(self._folder))
                if path.is_symlink() and index.is_link(name) and index.is_checkpoint(target := os.readlink(path)):
                    found[name] = target
        return found

    def _has_checkpoint(self, folder: str) -> bool:
        return any(name.startswith(f"{folder}/") for name in self._parts)

    def _is_due(self, name: str, stamp: Stamp) -> bool:
        last = self._sent_at.get(name)
        return last is None or time.monotonic() - last >= stamp.size / BYTES_A_SECOND

    def _forget(self, names: set[str]) -> None:
        for name in names:
            del self._parts[name]
            self.stamps.pop(name, None)

    def _forget_torn(self, found: dict[str, Stamp]) -> None:
        """Leave out checkpoints of which a file could not be sent, or that were pruned meanwhile."""
        torn = {folder for name in found if (folder := index.checkpoint_of(name)) and name not in self._parts}
        named = {folder for name in self._parts if (folder := index.checkpoint_of(name))}
        gone = {folder for folder in named if not (self._folder / folder).is_dir()}
        self._forget({name for name in self._parts if index.checkpoint_of(name) in torn | gone})

    # ── send ────────────────────────────────────────────────────────────────────────────────────────────────
    def _send(self, name: str, stamp: Stamp) -> Parts:
        if stamp.size == 0:
            return ()
        if _GROWS.fullmatch(name):
            return self._send_growing(name, stamp)
        if stamp.size <= WHOLE:
            data = self._read(name, 0, stamp.size, whole=stamp)
            return (self._objects.write_content(self._attempt, data),)
        return (self._send_large(name, stamp),)

    def _send_large(self, name: str, stamp: Stamp) -> Part:
        path = self._folder / name
        try:
            with run_paths.open_plain(self._folder, name) as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            part = Part(key=index.new_key(self._attempt), size=stamp.size, sha256=digest)
            self._objects.store.put_file(self._objects.content(part.key), path)
            if Stamp.of(path.lstat()) != stamp:
                raise _ChangedError
        except FileNotFoundError:
            raise _ChangedError from None
        return part

    def _send_growing(self, name: str, stamp: Stamp) -> Parts:
        """The last part grows until it is a whole one; what is behind it becomes the next."""
        kept = self._unchanged(name, self._parts.get(name, ()), stamp.size)
        if kept and kept[-1].size < PART:
            kept = kept[:-1]
        start = sum(part.size for part in kept)
        while start < stamp.size:
            size = min(WHOLE, stamp.size - start)
            kept = (*kept, self._objects.write_content(self._attempt, self._read(name, start, size)))
            start += size
        return kept

    def _seal(self, name: str, stamp: Stamp) -> Parts:
        """Make parts of a live file's bytes once there are enough of them."""
        kept = self._unchanged(name, self._parts.get(name, ()), stamp.size)
        start = sum(part.size for part in kept)
        while stamp.size - start >= PART:
            taken = min(WHOLE, stamp.size - start)
            kept = (*kept, self._objects.write_content(self._attempt, self._read(name, start, taken)))
            start += taken
        return kept

    def _unchanged(self, name: str, parts: Parts, size: int) -> Parts:
        """The parts if the file still begins with them: the middle of a log is cut out when it gets too large."""
        if not parts:
            return ()
        start = sum(part.size for part in parts[:-1])
        try:
            if start + parts[-1].size <= size:
                data = self._read(name, start, parts[-1].size)
                return parts if hashlib.sha256(data).hexdigest() == parts[-1].sha256 else ()
        except _ChangedError:
            pass
        return ()

    def _read(self, name: str, start: int, size: int, *, whole: Stamp | None = None) -> bytes:
        """Exactly these bytes of a file. whole: of this very file, where a larger one may take its place.

        Raises _ChangedError where it has none of them any more.
        """
        try:
            with run_paths.open_plain(self._folder, name) as file:
                file.seek(start)
                data = file.read(size)
                is_another = whole is not None and Stamp.of(os.fstat(file.fileno())) != whole
        except FileNotFoundError:
            raise _ChangedError from None
        if is_another or len(data) != size:
            raise _ChangedError
        return data


def whole_lines(folder: Path, name: str) -> int:
    """Bytes of a file up to the end of its last whole line."""
    try:
        with run_paths.open_plain(folder, name) as file:
            end = file.seek(0, os.SEEK_END)
            while end > 0:
                start = max(0, end - 65_536)
                file.seek(start)
                found = file.read(end - start).rfind(b"\n")
                if found >= 0:
                    return start + found + 1
                end = start
    except OSError:
        return 0
    return 0


def _walk(folder: Path, inside: str, depth: int, wanted: Callable[[str], bool]) -> Iterator[tuple[str, Stamp]]:
    try:
        entries = sorted(os.scandir(folder / inside), key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in entries:
        name = f"{inside}/{entry.name}" if inside else entry.name
        if not index.travels(name):
            continue
        try:
            found = entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if stat.S_ISDIR(found.st_mode) and depth > 1:
            yield from _walk(folder, name, depth - 1, wanted)
        elif stat.S_ISREG(found.st_mode) and wanted(name):
            yield name, Stamp.of(found)

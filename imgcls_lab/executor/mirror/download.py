"""Brings a run's folder up to what the object store names. Called by the head for live runs, and by a starting node.

All is checked before it gets its name: sizes, digests, and that no name leads out of the folder. A checkpoint appears
whole, events are appended, any other file is replaced at once. The exit of an attempt is written after all the others.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import ValidationError

from imgcls_lab import run_layout, run_paths
from imgcls_lab.errors import ObjectStoreError
from imgcls_lab.executor.mirror import index
from imgcls_lab.executor.mirror.index import Manifest, Part, Parts, RunObjects, Tail
from imgcls_lab.executor.mirror.upload import Stamp

SPARE = 64 * 2**20  # bytes of the disk that stay free
_TEMPORARY = ".pull-"


class Folder:
    """A run's folder on this machine, and what of the store it holds. Not for two threads at once.

    manifest: what it holds; stamps: of its files, as they were then; seen: attempt and number of the newest state.
    """

    def __init__(self, objects: RunObjects, path: Path) -> None:
        self._objects = objects
        self.path = path
        self.manifest, self.stamps, self.seen = self._read_known()
        self._extended: dict[str, Parts] = {}  # parts of the live files, as this process has brought them

    # ── what it is known to hold ────────────────────────────────────────────────────────────────────────────
    def _read_known(self) -> tuple[Manifest, dict[str, Stamp], tuple[int, int]]:
        try:
            data = run_paths.read_json(self.path, run_layout.MIRRORED)
            if data["store"] != self._objects.store.url:  # what another store has is sent and brought anew
                return Manifest(), {}, (0, 0)
            stamps = {str(name): Stamp(*map(int, values)) for name, values in data["stamps"].items()}
            attempt, number = map(int, data["seen"])
            return Manifest.model_validate(data["manifest"]), stamps, (attempt, number)
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
            return Manifest(), {}, (0, 0)

    def sweep(self) -> None:
        """Remove what a killed process of this side left behind."""
        for folder in (self.path, self.path / run_layout.CHECKPOINTS):
            for path in folder.glob(f"{_TEMPORARY}*") if folder.is_dir() and not folder.is_symlink() else ():
                if path.is_dir() and not path.is_symlink():
                    run_paths.remove(path)
                else:
                    path.unlink(missing_ok=True)

    def save_known(self) -> None:
        """Write down what the folder holds. Raises OSError."""
        held = {"manifest": self.manifest.model_dump(mode="json"), "stamps": self.stamps, "seen": self.seen}
        text = json.dumps({"store": self._objects.store.url, **held})
        run_layout.write_atomic(self.path / run_layout.MIRRORED, text, settle=False)

    def is_as_known(self, name: str) -> bool:
        """Whether nobody has changed a file since it was mirrored."""
        try:
            return self.stamps.get(name) == Stamp.of((self.path / name).lstat())
        except OSError:
            return False

    # ── bring it up to date ─────────────────────────────────────────────────────────────────────────────────
    def apply(self, manifest: Manifest, *, except_for: frozenset[str], wanted: Callable[[str], bool]) -> set[str]:
        """Fetch what a manifest names; the keys of the objects that nothing names any more.

        except_for: names that the caller brings. wanted: which names are the other side's: of these, those that the
        manifest does not name any more are removed. Raises ObjectStoreError, OSError.
        """
        new = {
            name: parts
            for name, parts in manifest.files.items()
            if wanted(name) and name not in except_for and not self._holds(name, parts)
        }
        self._check_space(new)
        for folder in sorted({folder for name in new if (folder := index.checkpoint_of(name))}):
            inside = {name: parts for name, parts in manifest.files.items() if index.checkpoint_of(name) == folder}
            self._fetch_checkpoint(folder, inside)
        for name, parts in new.items():
            if index.checkpoint_of(name) is None:
                self._fetch_file(name, parts)
        self._make_links(manifest)
        self._remove({name for name in self.manifest.files if name not in manifest.files and wanted(name)})
        unnamed = self.manifest.keys() - manifest.keys()
        self.manifest = manifest
        self.save_known()
        return unnamed

    def _holds(self, name: str, parts: Parts) -> bool:
        return self.manifest.files.get(name) == parts and self.is_as_known(name)

    def _check_space(self, files: dict[str, Parts]) -> None:
        needed = sum(part.size for parts in files.values() for part in parts)
        if needed and needed + SPARE > shutil.disk_usage(self.path).free:
            raise OSError(errno.ENOSPC, f"No space for {needed} bytes", os.fspath(self.path))

    def _fetch_checkpoint(self, name: str, files: dict[str, Parts]) -> None:
        """All files of a checkpoint, under another name until the last one is there."""
        final = self.path / name
        temporary = final.with_name(f"{_TEMPORARY}{final.name}")
        self._make_folder(os.path.dirname(name))
        run_paths.remove(temporary)
        temporary.mkdir(mode=0o700)
        for inner, parts in files.items():
            target = temporary / os.path.relpath(inner, name)
            target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(target, self._content(parts))
        run_layout.fsync_folder(temporary)
        run_paths.remove(final)
        os.rename(temporary, final)
        run_layout.fsync_folder(final.parent)
        self.stamps |= {inner: Stamp.of((self.path / inner).lstat()) for inner in files}

    def _fetch_file(self, name: str, parts: Parts) -> None:
        """Append to a file that holds the first parts already, else replace it."""
        held = self.manifest.files.get(name, ())
        if held and parts[: len(held)] == held and self.is_as_known(name):
            self._append(name, self._content(parts[len(held) :]))
        else:
            self._make_folder(os.path.dirname(name))
            path = self.path / name
            temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}")
            try:
                self._write(temporary, self._content(parts))
                os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        self.stamps[name] = Stamp.of((self.path / name).lstat())

    def extend(self, name: str, parts: Parts, tail: Tail, *, may_shrink: bool) -> None:
        """Bring a live file up to its parts and its tail.

        may_shrink: its middle may be cut out, so that it is written anew where it does not begin with these parts;
        another file only grows.
        """
        sealed = sum(part.size for part in parts)
        if tail.offset != sealed:
            raise ObjectStoreError(f"The newest bytes of {name} do not follow its parts.", reason="damaged")
        size = run_paths.size(self.path, name)
        held = self._extended.get(name)
        self._extended[name] = parts
        if may_shrink and (size > tail.end or held is None or parts[: len(held)] != held):
            data = b"".join(self._content(parts)) + tail.data
            run_layout.write_atomic(self.path / name, data, settle=False)
            return
        if size >= tail.end:
            return
        start = 0
        for part in parts:  # only those that are not here yet
            if size < start + part.size:
                data = b"".join(self._content((part,)))
                self._append(name, iter((data[max(0, size - start) :],)))
                size = start + part.size
            start += part.size
        self._append(name, iter((tail.data[max(0, size - sealed) :],)))

    def read(self, parts: Parts) -> bytes:
        """The content of a small file. Raises ObjectStoreError, also for one that is not small (`too_large`)."""
        if sum(part.size for part in parts) > run_paths.LARGEST:
            raise ObjectStoreError("A small file of the store is too large.", reason="too_large")
        return b"".join(self._content(parts))

    # ── private ─────────────────────────────────────────────────────────────────────────────────────────────
    def _content(self, parts: Parts) -> Iterator[bytes]:
        """The bytes of the parts, each part checked at its end."""
        for part in parts:
            digest = hashlib.sha256()
            for block in self._objects.store.blocks(self._objects.content(part.key), part.size):
                digest.update(block)
                yield block
            if digest.hexdigest() != part.sha256:
                raise _damaged(part)

    def _write(self, path: Path, content: Iterator[bytes]) -> None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "wb") as file:
            for block in content:
                file.write(block)
            file.flush()
            os.fsync(file.fileno())

    def _append(self, name: str, content: Iterator[bytes]) -> None:
        """Append bytes, or leave the file as it was: a part that turns out to be damaged is taken back."""
        self._make_folder(os.path.dirname(name))
        with os.fdopen(run_paths.open_to_write(self.path, name, os.O_WRONLY), "wb", buffering=0) as file:
            start = file.seek(0, os.SEEK_END)
            try:
                for block in content:
                    view = memoryview(block)
                    while view:
                        view = view[file.write(view) :]
            except BaseException:
                os.ftruncate(file.fileno(), start)
                raise

    def _make_folder(self, name: str) -> None:
        """Make a folder inside, part by part: where a link has the name of one, nothing is written behind it."""
        path = self.path
        for part in filter(None, name.split("/")):
            path = path / part
            run_paths.make_folder(path)

    def _make_links(self, manifest: Manifest) -> None:
        for name, target in manifest.links.items():
            path = self.path / name
            if not (path.parent / target).is_dir() or (path.is_symlink() and os.readlink(path) == target):
                continue
            temporary = path.with_name(f"{_TEMPORARY}{secrets.token_hex(4)}")
            os.symlink(target, temporary)
            os.replace(temporary, path)
        for name in self.manifest.links.keys() - manifest.links.keys():
            path = self.path / name
            if path.is_symlink():
                path.unlink()

    def _remove(self, names: set[str]) -> None:
        """Remove files that the other side has removed; a checkpoint never by halves."""
        for folder in {found for name in names if (found := index.checkpoint_of(name))}:
            doomed = self.path / os.path.dirname(folder) / f"{_TEMPORARY}{secrets.token_hex(4)}"
            if (self.path / folder).is_dir():
                os.rename(self.path / folder, doomed)
                run_paths.remove(doomed)
        for name in names:
            if index.checkpoint_of(name) is None:
                (self.path / name).unlink(missing_ok=True)
            self.stamps.pop(name, None)


def _damaged(part: Part) -> ObjectStoreError:
    return ObjectStoreError(f"The object {part.key} was changed or damaged.", reason="damaged", key=part.key)

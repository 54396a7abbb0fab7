"""Writes a data set under its corrections as a real folder of images: hard links where the disk can, copies elsewhere.

Called by the command line and Python. It never writes over anything. The folder appears whole under its name; a failure
removes what was written. Torch-free; decodes nothing.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import shutil
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from imgcls_lab.data_files import open_image
from imgcls_lab.data_revision import Overlay
from imgcls_lab.errors import ConflictError, DataError, DiskFullError, InputError
from imgcls_lab.export_names import export_names
from imgcls_lab.image_files import named
from imgcls_lab.imagefolder import FolderSummary, inspect_folder, list_images
from imgcls_lab.planning.fingerprint import file_digest

Progress = Callable[[int, int], None]
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _File(NamedTuple):
    source: str  # relative to the root
    target: str  # relative to the exported folder


@dataclass
class ExportedFolder:
    """What was written. images: by split; linked, copied: files; notes: sentences worth knowing."""

    folder: Path
    images: dict[str, int] = field(default_factory=dict)
    relabelled: int = 0
    excluded: int = 0
    linked: int = 0
    copied: int = 0
    notes: list[str] = field(default_factory=list)


def export_folder(root: Path, overlay: Overlay, out: Path, progress: Progress | None = None) -> ExportedFolder:
    """Write the images of a data set into `out`/SPLIT/CLASS, as the corrections say.

    out: a new or empty folder. progress: gets the files done and their total, twice each: looked at, written. Raises
    ConflictError where `out` holds something, InputError where it lies inside the data set, DataError for a data set
    that cannot be trained on, DiskFullError.
    """
    root, out = root.expanduser().absolute(), out.expanduser().absolute()
    summary = inspect_folder(root)
    if summary.problem:
        raise DataError(summary.problem)
    if Path(os.path.realpath(out)).is_relative_to(os.path.realpath(root)):
        raise InputError(f"“{out}” lies inside the data set. Name a folder outside of it.", reason="inside")
    if os.path.lexists(out) and (out.is_symlink() or not out.is_dir() or any(out.iterdir())):
        raise ConflictError(f"“{out}” exists already and is not empty. Name a new folder.", reason="exists")
    done = ExportedFolder(out)
    try:
        files = _plan(summary, overlay, done, progress or (lambda _done, _total: None))
    except OSError as error:
        text = f"The data set “{root}” changed while it was read ({error.strerror}). Repeat the export."
        raise DataError(text, reason="changed") from None
    with _new_folder(out) as folder:
        for number, file in enumerate(files):
            _put(root, file.source, folder / file.target, done)
            if progress:
                progress(len(files) + number + 1, 2 * len(files))
    return done


def _plan(summary: FolderSummary, overlay: Overlay, done: ExportedFolder, progress: Progress) -> list[_File]:
    """Where each file goes; notes what is changed."""
    listed = {split: list_images(summary, split, summary.classes) for split in summary.splits}
    total = sum(len(paths) for paths, _ in listed.values())
    looked_at, files = 0, []
    for split, (paths, labels) in listed.items():
        start = 0 if summary.folder(split) == summary.root else len(split) + 1
        changes = overlay.in_split(split)
        left: list[int] = []
        moved: dict[int, tuple[str, str]] = {}
        for number, path in enumerate(paths):
            change = changes.get(file_digest(summary.root / path).hex()) if changes else None
            looked_at += 1
            progress(looked_at, 2 * total)
            if change is not None and change.excluded:
                done.excluded += 1
                continue
            if change is not None and change.label is not None and change.label != summary.classes[labels[number]]:
                if change.label not in summary.classes:
                    raise DataError(
                        f"The corrections give “{path}” the label “{change.label}”, which is no class of the data set.",
                        reason="unknown_class",
                    )
                moved[len(left)] = (change.label, change.image)
            left.append(number)
        names = export_names([paths[number][start:] for number in left], moved)
        files += [_File(paths[number], os.path.join(split, name)) for number, name in zip(left, names, strict=True)]
        done.relabelled += len(moved)
        done.images[split] = len(left)
        _note_empty(summary, split, names, done)
    return files


def _note_empty(summary: FolderSummary, split: str, names: list[str], done: ExportedFolder) -> None:
    there = {name.split(os.sep)[0] for name in names}
    before = [name for name, count in summary.splits[split].items() if count]
    if empty := [name for name in before if name not in there]:
        done.notes.append(f"No image of the class {named(empty)} is left in {split}/.")


@contextlib.contextmanager
def _new_folder(out: Path) -> Iterator[Path]:
    """A folder beside `out` that gets its name when the block has ended, and is removed if it fails."""
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        folder = out.with_name(f".{out.name}-{secrets.token_hex(4)}")
        folder.mkdir()
    except OSError as error:
        raise InputError(f"“{out}” cannot be written: {error.strerror}. Name another folder.") from None
    try:
        yield folder
        os.rename(folder, out)  # an empty folder is replaced; one that was filled meanwhile is not
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFullError(
                f"The disk of “{out.parent}” is full, so the export was removed again. Free some space and repeat it.",
                reason="disk_full",
            ) from None
        if error.errno in (errno.EEXIST, errno.ENOTEMPTY):
            raise ConflictError(f"“{out}” was filled meanwhile. Name a new folder.", reason="exists") from None
        raise InputError(
            f"The export to “{out}” failed at “{error.filename or out}”: {error.strerror}. It was removed again."
        ) from None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(root: Path, source: str, target: Path, done: ExportedFolder) -> None:
    """Link or copy a file of the data set; a link becomes a file. Raises DataError for one that leads out by now."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with open_image(root, source) as file:
        found = os.fstat(file.fileno())
        try:
            os.link(os.path.realpath(root / source), target)
            linked = os.lstat(target)
            if (linked.st_dev, linked.st_ino) == (found.st_dev, found.st_ino):
                done.linked += 1
                return
            target.unlink()  # the path was exchanged after it was opened
        except OSError as error:
            if error.errno in (*_FULL, errno.EEXIST):
                raise
        with open(target, "xb") as copy:
            shutil.copyfileobj(file, copy)
        os.chmod(target, stat.S_IMODE(found.st_mode))
        os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
        done.copied += 1

"""The image table of a data set: every file with its class, split, digest and size. An image is found by its id.

Written by each scan (of a training and of an audit) beside the scan index of the home; read by server, store and api.
A table is a cache: it may be deleted at any time, and a damaged or foreign one counts as none. Torch-free; opens no
image.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.image_files import printable
from imgcls_lab.memory_cache import CACHE
from imgcls_lab.settings import Settings

SPLITS = ("train", "val", "test")
VERSION = 1  # raise it where a column comes to mean something else
_MAGIC = b"imgcls-lab image table\n"
_MAX_BYTES = 2**31  # of a file that is read; about 20 million images

# digest: SHA-256 of the content, zero for a file that cannot be read; size: bytes; changed: nanoseconds since 1970;
# label: place in `classes`, by the folder; split: place in SPLITS; width, height: upright pixels, 0 for a file that
# cannot be read
ROW = np.dtype(
    [
        ("digest", "u1", (32,)),
        ("size", "<i8"),
        ("changed", "<i8"),
        ("label", "<i4"),
        ("width", "<u4"),
        ("height", "<u4"),
        ("split", "u1"),
    ]
)
Rows = npt.NDArray[np.void]
Places = npt.NDArray[np.int64]
Order = Literal["name", "size", "pixels", "label"]


class ImageRow(NamedTuple):
    """One image as a page shows it. path: bytes that `os.fsdecode` makes a path; problem: why it cannot be read."""

    image: str  # SHA-256, hex; empty for a file that cannot be read
    path: str
    split: str
    label: str
    width: int
    height: int
    size: int
    changed: int
    problem: str | None

    @property
    def name(self) -> str:
        """The path as text that can be shown."""
        return printable(self.path)


def table_path(scans: Path, root: str | os.PathLike[str]) -> Path:
    """Where the table of a data set lies. scans: `Settings.scans_dir`."""
    key = hashlib.sha256(os.fsencode(os.path.realpath(root))).hexdigest()[:32]
    return scans / f"{key}-images-{VERSION}"


@dataclass(frozen=True, eq=False)
class ImageTable:
    """The images of one data set, in the order of their paths' bytes.

    rows: `ROW` (n,); classes: names, which `label` numbers; problems: why a file cannot be read, by row; written_at:
    seconds since 1970.
    """

    root: str
    classes: list[str]
    rows: Rows
    problems: dict[int, str]
    written_at: float
    _paths: bytes = field(repr=False)
    _ends: npt.NDArray[np.int64] = field(repr=False)

    @staticmethod
    def read(settings: Settings, root: str | os.PathLike[str]) -> ImageTable | None:
        """The table of a data set; None where no scan has written one, or it cannot be read."""
        return _read(table_path(settings.scans_dir, root))

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def nbytes(self) -> int:
        """Of memory."""
        return self.rows.nbytes + len(self._paths) + self._ends.nbytes + 12 * len(self.rows)

    def path(self, row: int) -> str:
        """Path relative to the root, as the system takes it."""
        start = int(self._ends[row - 1]) if row else 0
        return os.fsdecode(self._paths[start : int(self._ends[row])])

    def image(self, row: int) -> str:
        """Id of an image: the SHA-256 of its content, hex; empty for a file that cannot be read."""
        digest = self.rows["digest"][row]
        return digest.tobytes().hex() if digest.any() else ""

    def __getitem__(self, row: int) -> ImageRow:
        found = self.rows[row]
        return ImageRow(
            image=self.image(row),
            path=self.path(row),
            split=SPLITS[found["split"]],
            label=self.classes[found["label"]],
            **{name: int(found[name]) for name in ("width", "height", "size", "changed")},
            problem=self.problems.get(row),
        )

    def find(self, image: str) -> list[int]:
        """The rows with this content, copies included; none for an id that is not in the table, or is malformed."""
        try:
            digest = bytes.fromhex(image)
        except ValueError:
            return []
        if len(digest) != hashlib.sha256().digest_size or not any(digest):
            return []
        keys, order = self._by_digest
        key = np.frombuffer(digest[:8], "<u8")[0]
        first, last = np.searchsorted(keys, key, "left"), np.searchsorted(keys, key, "right")
        rows = order[first:last]
        return sorted(rows[(self.rows["digest"][rows] == np.frombuffer(digest, np.uint8)).all(1)].tolist())

    def find_path(self, path: str) -> int | None:
        """The row of a path relative to the root."""
        wanted, low, high = os.fsencode(path), 0, len(self)
        while low < high:
            middle = (low + high) // 2
            if os.fsencode(self.path(middle)) < wanted:
                low = middle + 1
            else:
                high = middle
        return low if low < len(self) and os.fsencode(self.path(low)) == wanted else None

    def select(
        self,
        *,
        split: str | None = None,
        label: str | None = None,
        text: str | None = None,
        sort: Order = "name",
        descending: bool = False,
    ) -> Places:
        """Rows of a split, of a class, with a text in the path (whatever its case), sorted; equal ones by path."""
        chosen = np.ones(len(self), bool)
        if split is not None:
            chosen &= self.rows["split"] == (SPLITS.index(split) if split in SPLITS else -1)
        if label is not None:
            chosen &= self.rows["label"] == (self.classes.index(label) if label in self.classes else -1)
        if text:
            chosen &= self._with_text(text)
        found = np.flatnonzero(chosen)
        if sort != "name":
            found = found[np.argsort(self._sort_keys(sort)[found], kind="stable")]
        return found[::-1] if descending else found

    def _sort_keys(self, sort: Order) -> npt.NDArray[Any]:
        if sort == "pixels":
            pixels: Places = self.rows["width"].astype(np.int64) * self.rows["height"]
            return pixels
        return np.ascontiguousarray(self.rows[sort])

    def _with_text(self, text: str) -> npt.NDArray[np.bool_]:
        found, wanted, paths = np.zeros(len(self), bool), os.fsencode(text).lower(), self._lowered
        position = paths.find(wanted)
        while position >= 0:
            row = int(np.searchsorted(self._ends, position, "right"))
            end = int(self._ends[row])
            if position + len(wanted) <= end:
                found[row] = True
                position = paths.find(wanted, end)
            else:  # it lies across two paths
                position = paths.find(wanted, position + 1)
        return found

    @property
    def _lowered(self) -> bytes:
        """The paths for a search; another length than `_paths` would misplace what is found, so ASCII alone folds."""
        return self._paths.lower()  # of bytes: only ASCII letters change

    @cached_property
    def _by_digest(self) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32]]:
        """The first 64 bits of each digest, sorted, and their rows."""
        keys = np.ascontiguousarray(self.rows["digest"][:, :8]).view("<u8")[:, 0]
        order = np.argsort(keys, kind="stable").astype(np.int32)
        return keys[order], order


def write(
    path: Path,
    root: str | os.PathLike[str],
    classes: list[str],
    rows: Rows,
    paths: npt.NDArray[np.bytes_],
    *,
    problems: Mapping[int, str],
) -> None:
    """Replace the table of a data set, for this user alone. Raises OSError.

    path: by `table_path`; rows: `ROW` (n,) in any order; paths: relative to the root, in the same order, as `problems`.
    """
    order = np.argsort(paths, kind="stable")
    place = {int(row): number for number, row in enumerate(order)} if problems else {}
    names = [bytes(paths[row]) for row in order]
    header = json.dumps(
        {
            "root": os.fsencode(root).decode("utf-8", "surrogateescape"),
            "classes": classes,
            "problems": {place[row]: reason for row, reason in problems.items()},
            "written_at": time.time(),
            "images": len(names),
        }
    ).encode()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(_MAGIC + len(header).to_bytes(8, "little") + header)
            file.write(np.ascontiguousarray(rows[order]).tobytes())
            file.write(np.cumsum([len(name) for name in names], dtype="<i8").tobytes())
            file.write(b"".join(names))
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def _read(path: Path) -> ImageTable | None:
    """The table in a file, from memory where this process has read it; None where it is none of ours."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode) or facts.st_size > _MAX_BYTES:
                return None
            key = ("table", os.fspath(path), facts.st_ino, facts.st_mtime_ns, facts.st_size)
            return CACHE.get(key, lambda: _parsed(file.read()), lambda table: table.nbytes)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _parsed(content: bytes) -> ImageTable:
    """Raises one of what `_read` catches for what `write` has not written."""
    start = len(_MAGIC) + 8
    if not content.startswith(_MAGIC):
        raise ValueError("no image table")
    body = start + int.from_bytes(content[len(_MAGIC) : start], "little")
    header = json.loads(content[start:body])
    count, classes = int(header["images"]), [str(name) for name in header["classes"]]
    if count < 0:
        raise ValueError("a damaged image table")
    "".join(classes).encode()  # no answer can hold half of a pair of surrogates
    rows = np.frombuffer(content, ROW, count, body)
    ends = np.frombuffer(content, "<i8", count, body + rows.nbytes)
    paths = content[body + rows.nbytes + ends.nbytes :]
    whole = (np.diff(ends, prepend=0) > 0).all() and len(paths) == (int(ends[-1]) if count else 0)
    if not whole or (count and (int(rows["label"].max()) >= len(classes) or int(rows["label"].min()) < 0)):
        raise ValueError("a damaged image table")
    if count and int(rows["split"].max()) >= len(SPLITS):
        raise ValueError("a damaged image table")
    problems = {int(row): str(reason) for row, reason in header["problems"].items()}
    return ImageTable(str(header["root"]), classes, rows, problems, float(header["written_at"]), paths, ends)

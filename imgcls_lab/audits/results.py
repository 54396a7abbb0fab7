"""The results of an audit in its run's folder: problems by stage, the summary and the map.

Written by the audit's process, a whole file at once when a stage is done, so that the first problems show while the
rest is computed. Read by the store: a page of problems costs a page of memory.

audit/
  summary.json            what the page shows at first
  problems-STAGE.jsonl    a problem a line, as `ProblemView` without `settled`
  problems-STAGE.npy      the index of that file: `ENTRY` a problem, in the same order
  map.npz                 x, y, label, split and digest of each image on the map, and the marked positions
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from imgcls_lab import bounded_arrays, run_layout, run_paths
from imgcls_lab.errors import DataError, InputError
from imgcls_lab.image_files import printable
from imgcls_lab.schemas.audits import ProblemKind, ProblemView
from imgcls_lab.schemas.images import ImageView, SizeBin

FOLDER = "audit"
SUMMARY, MAP = f"{FOLDER}/summary.json", f"{FOLDER}/map.npz"
STAGES = ("files", "labels", "neighbours")  # those that find problems, in their order
KINDS: tuple[ProblemKind, ...] = get_args(ProblemKind)
LEAKING = ("copy", "look_alike", "near_duplicate")
MOST = 20_000  # problems of one kind that are kept; the summary counts all
MEMBERS = 100  # images of a group that are kept
MAX_LINE, MAX_PAGE = 2**21, 2**26  # bytes of a problem, and of those of one answer
ENTRY = np.dtype([("offset", "u8"), ("length", "u4"), ("kind", "u1"), ("leak", "?"), ("score", "f4")])


@dataclass(frozen=True)
class Problem:
    """A problem as a stage finds it. images: in the order of the splits; key: what the id is made of."""

    kind: ProblemKind
    images: Sequence[ImageView]
    score: float | None = None
    suggested: str | None = None
    confidence: float | None = None
    reason: str = ""

    @property
    def id(self) -> str:
        """The same in every audit in which the same files have this problem."""
        names = sorted(image.image or image.name for image in self.images)
        return hashlib.sha256("\n".join([self.kind, *names]).encode()).hexdigest()[:16]

    @property
    def leak(self) -> bool:
        return self.kind in LEAKING and len({image.split for image in self.images}) > 1

    def view(self) -> ProblemView:
        shown = list(self.images[:MEMBERS])
        more = len(self.images) - len(shown)
        return ProblemView(
            id=self.id,
            kind=self.kind,
            images=shown,
            leak=self.leak,
            across_classes=self.kind in LEAKING and len({image.label for image in self.images}) > 1,
            **{name: getattr(self, name) for name in ("score", "suggested", "confidence")},
            reason=f"{self.reason}; and {more:,} more images" if more else self.reason,
        )


class Summary(BaseModel):
    """What an audit found, as far as it has come."""

    model_config = ConfigDict(extra="ignore", protected_namespaces=())

    root: str
    model: str = ""
    revision: int = 0
    fingerprint: str = ""
    classes: list[str] = Field(default_factory=list)
    images: dict[str, list[int]] = Field(default_factory=dict)  # split -> readable images of each class
    stages: list[str] = Field(default_factory=list)  # that are done
    counts: dict[str, int] = Field(default_factory=dict)  # problems by kind
    leaks: int = 0
    bytes: int = 0
    formats: dict[str, int] = Field(default_factory=dict)
    sizes: list[SizeBin] = Field(default_factory=list)
    folders: dict[str, int] = Field(default_factory=dict)  # below the root -> when it changed, ns
    notes: list[str] = Field(default_factory=list)


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def write_summary(folder: Path, summary: Summary) -> None:
    run_paths.make_folder(folder / FOLDER)
    run_layout.write_atomic(folder / SUMMARY, summary.model_dump_json())


def write_problems(folder: Path, stage: str, problems: Iterable[Problem]) -> Counter[str]:
    """Replace the problems of a stage. Returns how many there are of each kind, those that are not kept included."""
    counts: Counter[str] = Counter()
    entries: list[tuple[int, int, int, bool, float]] = []
    lines = io.BytesIO()
    for problem in problems:
        counts[problem.kind] += 1
        if counts[problem.kind] > MOST:
            continue
        line = problem.view().model_dump_json().encode() + b"\n"
        score = float("nan") if problem.score is None else problem.score
        entries.append((lines.tell(), len(line), KINDS.index(problem.kind), problem.leak, score))
        lines.write(line)
    run_paths.make_folder(folder / FOLDER)
    run_layout.write_atomic(folder / _lines(stage), lines.getvalue())
    index = io.BytesIO()
    np.save(index, np.array(entries, ENTRY))
    run_layout.write_atomic(folder / _index(stage), index.getvalue())
    return counts


def leaking(problems: Iterable[Problem]) -> int:
    """How many images of train val or test has, too. Images that are only alike to a model do not count."""
    leaks = [found for found in problems if found.leak and found.kind != "near_duplicate"]
    return len({image.name for found in leaks for image in found.images if image.split == "train"})


def write_map(folder: Path, **arrays: npt.NDArray[Any]) -> None:
    """Arrays as `MapView` describes them: x, y uint16; label, split uint16; digest uint8 (n, 32); mark_KIND int64."""
    content = io.BytesIO()
    np.savez(content, allow_pickle=False, **arrays)
    run_paths.make_folder(folder / FOLDER)
    run_layout.write_atomic(folder / MAP, content.getvalue())


def _lines(stage: str) -> str:
    return f"{FOLDER}/problems-{stage}.jsonl"


def _index(stage: str) -> str:
    return f"{FOLDER}/problems-{stage}.npy"


# ── reading ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def read_summary(folder: Path) -> Summary | None:
    """None while there is none, or only nonsense."""
    try:
        return Summary.model_validate_json(run_paths.read_plain(folder, SUMMARY))
    except (OSError, ValueError):
        return None


def read_problems(
    folder: Path, kind: str | None = None, *, leak: bool | None = None, offset: int = 0, limit: int = 200
) -> tuple[list[ProblemView], int]:
    """A page of the problems of all stages that are done, and how many the filter leaves. By kind, the worst first.

    Raises InputError for a kind that there is not, DataError for damaged results.
    """
    if kind is not None and kind not in KINDS:
        raise InputError(f"There is no kind of problem “{kind}”. There are {', '.join(KINDS)}.", reason="kind")
    chosen: list[tuple[int, str, int, int]] = []  # kind, stage, offset, length
    for stage in STAGES:
        index = _read_index(folder, stage)
        kept = np.ones(len(index), bool)
        if kind is not None:
            kept &= index["kind"] == KINDS.index(kind)
        if leak is not None:
            kept &= index["leak"] == leak
        chosen += [(int(e["kind"]), stage, int(e["offset"]), int(e["length"])) for e in index[kept]]
    chosen.sort(key=lambda entry: entry[0])
    page = chosen[offset : offset + limit]
    if sum(entry[3] for entry in page) > MAX_PAGE:
        raise _damaged()
    return [_read_line(folder, *entry[1:]) for entry in page], len(chosen)


def _read_index(folder: Path, stage: str) -> npt.NDArray[np.void]:
    """The entries of a stage; none where it is not done, or what is there was not written by an audit."""
    try:
        with run_paths.open_plain(folder, _index(stage)) as file:
            return bounded_arrays.records(file, ENTRY)
    except (OSError, ValueError):
        return np.empty(0, ENTRY)


def _read_line(folder: Path, stage: str, offset: int, length: int) -> ProblemView:
    """Raises DataError for a line that is not there, or is no problem."""
    try:
        with run_paths.open_plain(folder, _lines(stage)) as file:
            if length > MAX_LINE or offset + length > os.fstat(file.fileno()).st_size:
                raise ValueError
            file.seek(offset)
            return ProblemView.model_validate_json(file.read(length))
    except (OSError, ValueError):
        raise _damaged() from None


def _damaged() -> DataError:
    return DataError("The results of this audit are damaged. Start the audit again.", reason="damaged_audit")


def read_map(folder: Path) -> dict[str, npt.NDArray[Any]] | None:
    """The arrays of `write_map` and `method`; None where there is no map, or what is there is none."""
    try:
        with run_paths.open_plain(folder, MAP) as file:
            found = bounded_arrays.load(file)
        images = len(found["x"])
        for name in ("x", "y", "label", "split"):
            bounded_arrays.check(found[name], "u", (images,))
        bounded_arrays.check(found["digest"], "u", (images, hashlib.sha256().digest_size))
        bounded_arrays.check(found["method"], "U", ())
        for name in set(found) - {"x", "y", "label", "split", "digest", "method"}:
            bounded_arrays.check(found[name], "i", found[name].shape[:1])
        return found
    except (OSError, ValueError, KeyError, TypeError):  # the last: of an array without a length
        return None


def changed_since(root: Path, summary: Summary) -> bool:
    """Whether files were added, renamed or removed since the audit: the times of their folders tell.

    A file that was written anew in its place is seen by the next audit alone.
    """
    for name, changed in summary.folders.items():
        try:
            if os.stat(root / name).st_mtime_ns != changed:
                return True
        except (OSError, ValueError):  # the latter: no name of a folder
            return True
    return False


def relative_reason(reason: str, root: Path) -> str:
    """A sentence about a file without the path of the data set."""
    return reason.replace(os.path.join(printable(root), ""), "")

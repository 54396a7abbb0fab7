"""The stages of an audit in their order; each leaves its results in the run's folder as soon as it has them.

Called by the process of a task run. An audit that was killed does again only what was not finished: files by their
index, features by their cache, the rest by what lies in the folder.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np

from imgcls_lab.audits import results
from imgcls_lab.audits.results import Problem, Summary
from imgcls_lab.audits.task import AuditTask, FeatureModel
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine.audit import learned
from imgcls_lab.engine.audit.events import AuditEvents
from imgcls_lab.engine.audit.file_problems import find_problems
from imgcls_lab.engine.audit.files import Files, folder_times, inspect, list_files
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.data.image_set import class_counts
from imgcls_lab.engine.data.scan_table import keep_table
from imgcls_lab.engine.inference.features import FeatureCache
from imgcls_lab.imagefolder import SPLITS
from imgcls_lab.planning.fingerprint import data_fingerprint
from imgcls_lab.plurals import counted
from imgcls_lab.schemas.images import SizeBin

FIRST_LOOK, LOOK_AGAIN = 1.0, 20.0  # seconds; how many times longer than a look the next one waits
HOLD_OUT = "There is no val/: of copies inside train/ a training may hold out one and train on the other."


@dataclasses.dataclass
class Audit:
    """One attempt at an audit. folder: of the run; stop: whether to give up."""

    task: AuditTask
    folder: Path
    locations: CacheLocations
    events: AuditEvents
    stop: Callable[[], bool]

    def execute(self) -> bool:
        """Do all stages. False: it was stopped. Raises DataError, ModelError, OSError."""
        files = list_files(Path(self.task.root))
        summary = self._begin(files)
        publish = _Publisher(self.folder, files, summary)

        def watch(done: int, total: int) -> None:
            self.events.progress("files", done, total)
            publish.now_and_then()

        if not inspect(files, self.locations, watch, self.stop):
            return False
        for note in keep_table(self.locations.scans, files.sets, files.classes, files.entries, files.errors):
            self.events.note(note)
        _describe(files, summary)
        publish.all()
        summary.stages.append("files")
        results.write_summary(self.folder, summary)
        return self.task.model is None or self._learn(self.task.model, files, summary, publish.problems)

    def _learn(self, model: FeatureModel, files: Files, summary: Summary, known: list[Problem]) -> bool:
        """The stages that need a model. False: stopped."""
        overlay = Overlay.model_validate(self.task.overlay) if self.task.overlay else None
        images = learned.labelled(files, overlay)
        if len(images.rows) < learned.LEAST_IMAGES:
            return self._end(summary, learned.FEW)
        self.events.progress("features", 0, len(images.rows))
        loaded = learned.open_model(model, learned.device_of(self.task.device), self.events.note)
        cache = FeatureCache(self.locations.cache, self.locations.cache_bytes, model.title)
        found = learned.features(images, loaded, cache, self.events, self.stop)
        if found is None:
            return False
        summary.stages.append("features")
        images, rows = found
        if len(np.unique(images.labels)) < 2:
            summary.notes.append(learned.ONE_CLASS)
        findings, marked = learned.Findings(images, rows, self.locations.scans, self.events), [*known]
        groups = [problem for problem in known if problem.kind in results.LEAKING]
        for stage in findings.compute(self.stop):
            if stage == "map":
                results.write_map(self.folder, **findings.map(marked))
            else:
                problems = [*(findings.label_errors() if stage == "labels" else findings.neighbours(groups))]
                marked += problems
                summary.counts |= results.write_problems(self.folder, stage, problems)
                summary.leaks = results.leaking(marked)
            summary.stages.append(stage)
            results.write_summary(self.folder, summary)
        return "map" in summary.stages

    def _end(self, summary: Summary, note: str) -> bool:
        summary.notes.append(note)
        results.write_summary(self.folder, summary)
        return True

    def _begin(self, files: Files) -> Summary:
        summary = Summary(root=self.task.root, revision=self.task.revision, classes=files.classes)
        summary.model = self.task.model.title if self.task.model else ""
        summary.folders = folder_times(files)
        found = files.summary
        summary.notes = [found.problem] if found.problem else [*found.notes]
        if "val" not in found.splits:
            summary.notes.append(HOLD_OUT)
        more = sum(found.skipped_files.values()) - len(found.skipped)
        if more > 0:
            summary.notes.append(f"{counted(more, 'more file is', 'more files are')} not taken and not listed.")
        return summary


class _Publisher:
    """Writes the problems of the files: all at the end, and what there is so far now and then."""

    def __init__(self, folder: Path, files: Files, summary: Summary) -> None:
        self._folder, self._files, self._summary = folder, files, summary
        self._next = time.monotonic() + FIRST_LOOK
        self.problems: list[Problem] = []

    def now_and_then(self) -> None:
        began = time.monotonic()
        if began >= self._next:
            self.all()
            now = time.monotonic()
            self._next = now + max(FIRST_LOOK, LOOK_AGAIN * (now - began))

    def all(self) -> None:
        self.problems = list(find_problems(self._files))
        self._summary.counts = dict(results.write_problems(self._folder, "files", self.problems))
        self._summary.leaks = results.leaking(self.problems)
        results.write_summary(self._folder, self._summary)


def _describe(files: Files, summary: Summary) -> None:
    """What the page shows of the readable files: how many by class, formats, sizes, bytes; and their fingerprint."""
    rows = files.readable
    for images in files.sets:
        of_split = rows[files.splits[rows] == SPLITS.index(images.split)]
        summary.images[images.split] = class_counts(files.labels[of_split], len(files.classes)).tolist()
    summary.bytes = int(files.entries["size"].sum())
    summary.formats = _formats(files)
    summary.sizes = _size_bins(files)
    digest = hashlib.sha256(data_fingerprint(files.paths, files.entries["digest"]).encode())
    summary.fingerprint = digest.hexdigest()


def _formats(files: Files) -> dict[str, int]:
    names = Counter(os.path.splitext(bytes(path))[1].lower() for path in files.paths[files.readable])
    return {name.decode("ascii", "replace").lstrip(".").upper(): count for name, count in names.most_common(20)}


def _size_bins(files: Files) -> list[SizeBin]:
    """By the longer edge, in powers of two."""
    entries = files.entries[files.readable]
    if not len(entries):
        return []
    powers = np.floor(np.log2(np.maximum(np.maximum(entries["width"], entries["height"]), 1))).astype(int)
    values, counts = np.unique(powers, return_counts=True)
    return [
        SizeBin(low=2**power, high=2 ** (power + 1), images=count)
        for power, count in zip(values.tolist(), counts.tolist(), strict=True)
    ]

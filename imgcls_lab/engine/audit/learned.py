"""The stages of an audit that need a model: features, label errors, outliers and near-duplicates, and the map.

Called by the pipeline when the files are known. Features are kept by the cache of the home; what follows from them is
kept beside the scan index of the data set, so that an audit of unchanged data repeats nothing.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab import run_layout
from imgcls_lab.audits.copies import Pairs, groups
from imgcls_lab.audits.label_errors import find_label_errors
from imgcls_lab.audits.linear_heads import OutOfSample
from imgcls_lab.audits.near_duplicates import find_near_duplicates
from imgcls_lab.audits.neighbours import Floats, nearest, unit_rows
from imgcls_lab.audits.outliers import find_outliers
from imgcls_lab.audits.projection import project
from imgcls_lab.audits.results import Problem
from imgcls_lab.audits.task import FeatureModel
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine.audit.events import AuditEvents
from imgcls_lab.engine.audit.files import Files
from imgcls_lab.engine.data import scan_index
from imgcls_lab.engine.data.image_set import Indices
from imgcls_lab.engine.inference.features import FeatureCache, ImageFiles, Watch, compute_features
from imgcls_lab.engine.inference.predict import Classifier, load
from imgcls_lab.engine.model.classifier import build, read_flavour
from imgcls_lab.imagefolder import SPLITS
from imgcls_lab.plurals import counted
from imgcls_lab.schemas.images import ImageView

VERSION = 2  # raise it where the same features give other results
NEIGHBOURS = 20
LEAST_IMAGES = 10  # fewer teach no head anything
FEW = f"Label errors, outliers and a map need at least {LEAST_IMAGES} images that can be read."
ONE_CLASS = "All images are of one class, so no label can be wrong."
Arrays = dict[str, npt.NDArray[Any]]
Stop = Callable[[], bool]


@dataclass(frozen=True)
class Labelled:
    """The images that the stages see. rows: of `Files`, (n,); labels: (n,) after the revision."""

    files: Files
    rows: Indices
    labels: Indices

    def view(self, place: int) -> ImageView:
        found = self.files.view(int(self.rows[place]))
        found.label = self.files.classes[self.labels[place]]
        return found

    def name(self, place: int) -> str:
        return self.files.name(int(self.rows[place]))

    def digests(self) -> npt.NDArray[np.uint8]:
        """(n, 32)."""
        entries = np.ascontiguousarray(self.files.entries["digest"][self.rows])
        return entries.view(np.uint8).reshape(len(self.rows), -1)


def labelled(files: Files, overlay: Overlay | None) -> Labelled:
    """The readable images with their labels after a revision, without those that it excludes."""
    rows, labels = files.readable, files.labels.copy()
    numbers = {name: number for number, name in enumerate(files.classes)}
    changes = {split: overlay.in_split(split) for split in SPLITS} if overlay is not None else {}
    left = np.ones(len(rows), bool)
    for place, row in enumerate(rows.tolist() if changes else ()):
        change = changes[SPLITS[files.splits[row]]].get(files.entries["digest"][row].tobytes().hex())
        if change is None:
            continue
        left[place] = not change.excluded
        labels[row] = numbers.get(change.label or "", labels[row])
    return Labelled(files, rows[left], labels[rows[left]])


def open_model(model: FeatureModel, device: str, notify: Callable[[str], None]) -> Classifier:
    """Raises ModelError, InputError, with a sentence that says what is wrong with the model."""
    if model.checkpoint is not None:
        return load(model.checkpoint, device, notify)
    flavour = read_flavour(model.flavour, model.revision, None)
    flavour.warn_if_no_processor(notify)
    # the head is a new one for any two classes: features are what it is given
    built = build(flavour, ["one", "other"], model.load_pretrained, 0, lambda _sentence: None).eval()
    where = torch.device(device)
    return Classifier(built.to(where), flavour.spec, flavour.labels.names, flavour.labels, where)


def features(
    images: Labelled, model: Classifier, cache: FeatureCache, events: AuditEvents, stop: Stop
) -> tuple[Labelled, Floats] | None:
    """The images that have features, and these as rows of length 1, (n, width). None if stopped."""
    watch = Watch(lambda done, total: events.progress("features", done, total), stop, events.note)
    files = ImageFiles(images.files.root, images.files.paths[images.rows], images.digests())
    found = compute_features(model, files, cache, watch)
    if found is None:
        return None
    values = found.values
    if found.errors:
        events.note(
            f"{counted(len(found.errors), 'image')} changed meanwhile, without features: {min(found.errors.values())}"
        )
        kept = np.setdiff1d(np.arange(len(values)), list(found.errors))
        images, values = Labelled(images.files, images.rows[kept], images.labels[kept]), values[kept]
    return images, unit_rows(values)


class Findings:
    """What follows from the features of some images; computed once for the same features, labels and splits."""

    def __init__(self, images: Labelled, rows: Floats, scans: Path, events: AuditEvents) -> None:
        self._images, self._rows, self._events = images, rows, events
        root = images.files.root
        self._path = scan_index.index_path(scans, root).with_suffix(f".learned-{VERSION}.npz")
        self._arrays = self._read()
        self.is_known = bool(self._arrays)

    @property
    def _key(self) -> str:
        parts = (self._rows, self._images.labels, self._images.rows, self._images.files.splits[self._images.rows])
        digest = hashlib.sha256(self._images.digests().tobytes())
        for part in parts:
            digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()

    def _read(self) -> Arrays:
        try:
            with np.load(self._path, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
        except (OSError, ValueError, EOFError, KeyError):
            return {}
        return arrays if str(arrays.get("key")) == self._key else {}

    def compute(self, stop: Stop) -> Iterator[str]:
        """Give each stage as soon as it is done: labels, neighbours, map. Ends early if stopped."""
        if self.is_known:
            yield from ("labels", "neighbours", "map")
            return
        count, labels = len(self._rows), self._images.labels
        near = nearest(self._rows, NEIGHBOURS, lambda done, total: self._events.progress("labels", done, 2 * total))
        if stop():
            return
        contents = np.unique(self._images.digests(), axis=0, return_inverse=True)[1].reshape(-1)
        heads = OutOfSample(self._rows, labels, len(self._images.files.classes), near, groups=contents)
        if len(np.unique(labels)) > 1:
            errors = find_label_errors(heads.blocks, labels, len(self._images.files.classes))
            self._arrays |= {f"label_{name}": value for name, value in errors._asdict().items()}
        self._events.progress("labels", 2 * count, 2 * count)
        yield "labels"
        if stop():
            return
        self._events.progress("neighbours", 0, count)
        far, pairs = find_outliers(heads.distances(), near), find_near_duplicates(near, labels)
        self._arrays |= {"outlier_rows": far.rows, "outlier_scores": far.scores}
        self._arrays |= {"near_rows": pairs.rows, "near_scores": pairs.scores}
        self._events.progress("neighbours", count, count)
        yield "neighbours"
        if stop():
            return
        self._events.progress("map", 0, count)
        drawn = project(self._rows, near)
        self._arrays |= {"x": drawn.x, "y": drawn.y, "method": np.array(drawn.method)}
        for note in drawn.notes:
            self._events.note(note)
        self._events.progress("map", count, count)
        self._keep()
        yield "map"

    def _keep(self) -> None:
        content = io.BytesIO()
        np.savez(content, allow_pickle=False, key=np.array(self._key), **self._arrays)
        try:
            run_layout.write_atomic(self._path, content.getvalue())
        except OSError as error:
            self._events.note(f"What the features tell cannot be kept, and is computed again: {error.strerror}.")

    # ── as problems ─────────────────────────────────────────────────────────────────────────────────────────
    def label_errors(self) -> Iterator[Problem]:
        classes = self._images.files.classes
        names = ("rows", "suggested", "confidence", "scores")
        columns = [self._arrays.get(f"label_{name}", np.zeros(0)).tolist() for name in names]
        for row, suggested, confidence, score in zip(*columns, strict=True):
            yield Problem(
                "label_error", [self._images.view(int(row))], round(score, 4), classes[int(suggested)],
                round(confidence, 4), f"It looks more like {classes[int(suggested)]}.",
            )  # fmt: skip

    def neighbours(self, known: Iterable[Problem]) -> Iterator[Problem]:
        """Near-duplicates that hashes did not find, and outliers. known: the groups of the files."""
        groups_of: dict[str, set[int]] = {}
        for number, problem in enumerate(known):
            for image in problem.images:
                groups_of.setdefault(image.name, set()).add(number)
        rows, scores = self._arrays["near_rows"], self._arrays["near_scores"]
        name_of = {place: self._images.name(place) for place in np.unique(rows).tolist()}
        new = [
            number
            for number, (one, other) in enumerate(rows.tolist())
            if not groups_of.get(name_of[one], set()) & groups_of.get(name_of[other], set())
        ]
        pairs = Pairs(rows[new], ["alike by features"] * len(new), scores[new])
        found = [
            Problem(
                "near_duplicate",
                [self._images.view(int(place)) for place in group.rows],
                round(group.score, 4),
                reason=", ".join(group.reasons),
            )
            for group in groups([pairs], len(self._images.rows))
        ]
        yield from sorted(found, key=lambda problem: (not problem.leak, -(problem.score or 0)))
        for place, score in zip(
            self._arrays["outlier_rows"].tolist(), self._arrays["outlier_scores"].tolist(), strict=True
        ):
            yield Problem(
                "outlier", [self._images.view(int(place))], round(score, 4), reason="It is unlike all classes."
            )

    def map(self, marked: Iterable[Problem]) -> Arrays:
        """The arrays of `results.write_map`. marked: problems whose images are marked."""
        images = self._images
        place_of = {images.name(place): place for place in range(len(images.rows))}
        marks: dict[str, set[int]] = {}
        for problem in marked:
            there = (place_of.get(image.name) for image in problem.images)
            marks.setdefault(problem.kind, set()).update(place for place in there if place is not None)
        return {
            **{name: self._arrays[name] for name in ("x", "y", "method")},
            "label": images.labels.astype(np.uint16),
            "split": images.files.splits[images.rows].astype(np.uint8),
            "digest": images.digests(),
            **{f"mark_{kind}": np.array(sorted(places), np.int64) for kind, places in marks.items()},
        }


def device_of(asked: str) -> str:
    """The device that was given to the run: a GPU that the executor shows it, else the CPU."""
    return "cuda" if asked not in ("cpu", "none") and torch.cuda.is_available() else "cpu"

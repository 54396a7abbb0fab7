"""The audit of a data set: its progress, the problems it found as lists of images, and the map of the features."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from imgcls_lab.events import RunState
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.images import ImageView
from imgcls_lab.schemas.limits import MAX_NAME, Device, Whole

# unreadable, not_taken: files that no run reads; copy, look_alike: the same or a similar image, within a split or
# across splits (leak); dark ... greyscale: quality; label_error, outlier: by a model's features; near: neighbours by
# features that hashes do not find
ProblemKind = Literal[
    "unreadable", "not_taken", "copy", "look_alike", "near_duplicate", "dark", "bright", "blurred", "low_information",
    "odd_size", "odd_shape", "greyscale", "label_error", "outlier",
]  # fmt: skip
QualityKind = Literal["dark", "bright", "blurred", "low_information", "odd_size", "odd_shape", "greyscale"]


class ProblemView(Wire):
    """One problem: one image, or the images of a group, those of train first.

    id: stable over audits of the same files; leak: the images lie in different splits; score: 0..1, 1 the worst or
    the surest; suggested: the likelier class of a label error, with `confidence`.
    """

    id: str
    kind: ProblemKind
    images: list[ImageView]
    leak: bool = False
    across_classes: bool = False
    score: float | None = None
    suggested: str | None = None
    confidence: float | None = None
    reason: str = ""  # a sentence, or what makes two images a pair: same bytes, re-encoded, mirrored ...
    settled: bool = False  # a newer revision relabels or excludes an image of it


class ProblemPage(Wire):
    items: list[ProblemView]
    offset: int
    total: int


class AuditRequest(Wire):
    """Start an audit. model: id of a registered model, or a run whose best checkpoint gives the features; without
    either only files, copies and quality are looked at.
    """

    model_id: Whole | None = None
    run_id: str | None = Field(None, max_length=MAX_NAME)
    revision: Whole | None = None
    device: Device | None = None


class AuditView(Wire):
    """The newest audit of a data set, running or done. counts: problems by kind, of what is done so far."""

    run_id: str | None  # None: there was none
    state: RunState | None
    phase: str  # files, features, labels, neighbours, map, done
    done: int
    total: int
    seconds_left: float | None
    message: str | None
    model: str  # that gave the features; empty: none did
    revision: int
    fingerprint: str
    ended_at: float | None
    stale: bool  # files changed since
    counts: dict[str, int]
    leaks: int  # images of train that val or test has, too
    has_map: bool
    notes: list[str]


class MapView(Wire):
    """Features in two dimensions. All lists have one length; x and y: 0..65535; label: number in `classes`."""

    method: str  # umap or pca
    model: str
    classes: list[str]
    x: list[int]
    y: list[int]
    label: list[int]
    split: list[int]  # number in `splits`
    splits: list[str]
    image: list[str]
    marked: dict[str, list[int]]  # label_error, outlier, copy ... -> positions in these lists

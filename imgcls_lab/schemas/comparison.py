"""Several runs beside each other: in what they differ, and in what they do not."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.batches import Scalar
from imgcls_lab.schemas.runs import RunView

ComparedPart = Literal["config", "data", "environment", "code", "hardware"]


class ComparedField(Wire):
    """One fact about each run, in the order of the runs. Null: it is not known, or the run has none.

    name: the field of TrainConfig, the package, or what else the fact is called in the run's manifest; title: as the
    form calls it; labels: what the form calls its values, by their text.
    """

    part: ComparedPart
    name: str
    title: str
    unit: str | None = None
    labels: dict[str, str] = {}
    values: list[Scalar]


class ChangedImage(Wire):
    """An image that one of two runs has otherwise. Of one that only one has, both splits and labels are that one's."""

    image: str
    name: str
    split: str
    label: str
    before_split: str
    before_label: str


class ImageChanges(Wire):
    """Which images `run_id` has otherwise than `against`, by their content; at most 100 of each kind are listed.

    moved: to another split, with the same label; shared: images of both.
    """

    run_id: str
    against: str
    shared: int
    added: list[ChangedImage]
    removed: list[ChangedImage]
    relabelled: list[ChangedImage]
    moved: list[ChangedImage]
    added_total: int
    removed_total: int
    relabelled_total: int
    moved_total: int
    sentence: str


class ComparisonView(Wire):
    """Runs beside each other, in the order in which they were named.

    missing: ids that no run has (any more). unrecorded: runs that have recorded no environment yet, or whose folder
    cannot be read from here. other_images: not all of them are judged on the same validation images. Packages in which
    they differ may be more than are listed: unlisted says how many.
    """

    runs: list[RunView]
    missing: list[str]
    unrecorded: list[str]
    differs: list[ComparedField]
    same: list[ComparedField]  # the settings that stand unfolded in the form, device and data, where all runs agree
    same_settings: int  # fields of the config in which all agree, of those that any of them has
    unlisted: int
    other_images: bool
    sizes: list[int | None]  # bytes of the newest checkpoint of each run
    tags: list[str]  # of the series that at least one of them has

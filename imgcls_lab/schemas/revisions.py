"""Revisions of a data set: corrections of labels and exclusions, over files that are never touched."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from imgcls_lab.plurals import counted
from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.images import SplitName
from imgcls_lab.schemas.limits import MAX_NAME, Note, Whole

MAX_CHANGES = 5000  # of one request; more make several revisions
MAX_LISTED = 1000  # changes in one answer
Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$", max_length=64)]


class ChangeEdit(Wire):
    """A correction of an image: a new label, or excluded, or (both empty) as its folder says again."""

    image: Digest
    split: SplitName | None = None  # its files of this split alone, so that a copy stays in val; empty: all
    label: str | None = Field(None, min_length=1, max_length=MAX_NAME)
    excluded: bool = False
    why: str = Field("", max_length=MAX_NAME)  # such as label_error, copy, by hand


class RevisionEdit(Wire):
    """A new revision on top of `parent`, by default the newest. 409 where a newer one exists than the parent named."""

    changes: list[ChangeEdit] = Field(min_length=1, max_length=MAX_CHANGES)
    parent: Whole | None = None
    message: Note = ""


class ChangeView(Wire):
    """A correction as a revision holds it. before: what the parent said."""

    image: str
    name: str  # path inside the data set, at the time
    split: str
    before: str | None  # label; None: it was excluded
    label: str | None  # None: excluded
    why: str
    found: bool  # the file is still there, with this content


class ChangeCounts(Wire):
    """How many corrections there are of each kind. restored: images that are again as their folders say."""

    relabelled: int
    excluded: int
    restored: int

    @property
    def summary(self) -> str:
        """Such as "12 relabelled, 3 excluded"; "no change" without any."""
        kinds = [(getattr(self, kind), kind) for kind in ("relabelled", "excluded", "restored")]
        return ", ".join(f"{count:,} {kind}" for count, kind in kinds if count) or "no change"


class RevisionView(ChangeCounts):
    """A revision. Number 0, the folders as they are, is never listed.

    files: that its changes concern, more than images where there are copies; notes: sentences about it, in the answer
    to the request that made it.
    """

    number: int
    parent: int
    digest: str  # SHA-256 over parent and changes: part of a run's identity
    author: str
    created_at: float
    message: str
    files: int
    total: int  # images that differ from their folders, after it
    runs: int  # that trained on it
    notes: list[str] = Field(default_factory=list)

    def sentence(self, dataset: str) -> str:
        """What it did to the data set of this name."""
        return f"Revision {self.number} of {dataset}: {self.summary} ({counted(self.files, 'file')})."


class RevisionDiff(ChangeCounts):
    """What differs between a revision and its parent, another revision, or the corrections that a run trained with."""

    revision: RevisionView | None  # None: number 0
    against: int | None  # None: corrections from a file
    changes: list[ChangeView]
    total: int  # changes
    more: int = 0  # changes that are not listed

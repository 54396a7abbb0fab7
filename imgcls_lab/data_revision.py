"""Corrections of a data set: a change of one image, the digest of a revision, and the overlay that a run applies.

A revision holds changes on top of its parent. An overlay is the sum of a chain of revisions. The store keeps revisions;
a run's folder keeps the overlay. Nothing here opens an image or changes one. Torch-free.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import fields
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from imgcls_lab.errors import DataError
from imgcls_lab.input_file import read_given
from imgcls_lab.run_layout import DATA_REVISION
from imgcls_lab.run_paths import read_plain
from imgcls_lab.schemas.limits import MAX_NAME, MAX_PATH
from imgcls_lab.validation_errors import problems

_CHANGE_BYTES = 500  # 330 of its own, the rest of its key
MAX_FILE = 256_000_000  # bytes of an overlay, about a million changes
ImageId = Annotated[str, Field(pattern="^[0-9a-f]{64}$", max_length=64)]  # SHA-256 of a file's content
Word = Annotated[str, Field(max_length=MAX_NAME), AfterValidator(sys.intern)]

Key = tuple[str, str]  # an image, and the split whose files are meant; empty: its files in all splits


@dataclass(frozen=True, slots=True, config=ConfigDict(extra="forbid"))
class Change:
    """A correction of one image, and so of all files with this content, or of those in one split.

    only: the split whose files it changes; empty: all. A copy that val/ has, too, can so be excluded from train/ alone.
    label: its class; None with `excluded`: the image is excluded; None without: it is again as its folder says.
    name, split, folder_label: of its first file at the time; files: how many there were.
    A server holds a hundred thousand of them, so they are small: slots, and one copy of each word.
    """

    image: ImageId
    label: Annotated[Word, Field(min_length=1)] | None = None
    excluded: bool = False
    only: Word = ""
    name: Annotated[str, Field(max_length=MAX_PATH)] = ""
    split: Word = ""
    folder_label: Word = ""
    files: Annotated[int, Field(ge=0)] = 1
    why: Word = ""
    by: Word = ""
    at: float = 0.0  # Unix seconds

    @model_validator(mode="after")
    def _is_one_thing(self) -> Self:
        if self.excluded and self.label is not None:
            raise ValueError("An image is either excluded or has a label.")
        return self

    @property
    def restores(self) -> bool:
        """Whether the image is again as its folder says."""
        return self.label is None and not self.excluded

    @property
    def key(self) -> Key:
        """What it is about: a revision holds one change of each."""
        return self.image, self.only

    def applies(self, split: str) -> bool:
        """Whether it changes the files of a split."""
        return self.only in ("", split)

    @property
    def state(self) -> str | None:
        """The class of the image after this change; None: it is excluded."""
        return None if self.excluded else self.label or self.folder_label

    def facts(self) -> dict[str, Any]:
        """All fields, as a row and a digest have them."""
        return {name: getattr(self, name) for name in FIELDS}


FIELDS = tuple(field.name for field in fields(Change))
CHANGES = TypeAdapter(list[Change])
Changes = Mapping[Key, Change]


def in_split(changes: Iterable[Change], split: str) -> dict[str, Change]:
    """The change of each image in one split: that of this split alone, else that of all splits."""
    return {change.image: change for change in sorted(changes, key=lambda change: change.only) if change.applies(split)}


def in_force(changes: Changes, key: Key) -> Change | None:
    """The change that says what the files of a key are: their own, else that of all splits."""
    return changes.get(key) or changes.get((key[0], ""))


def same(one: Change | None, other: Change | None) -> bool:
    """Whether files are the same after both; None: as their folders say."""
    facts = [(None, False) if change is None else (change.label, change.excluded) for change in (one, other)]
    return facts[0] == facts[1]


def revision_digest(parent_digest: str, changes: Iterable[Change]) -> str:
    """SHA-256 (hex) over the parent's digest, empty for the folders as they are, and the changes in a fixed order."""
    ordered = sorted((change.facts() for change in changes), key=lambda change: (change["image"], change["only"]))
    return _sha({"parent": parent_digest, "changes": ordered})


def flatten(chain: Iterable[Iterable[Change]]) -> dict[Key, Change]:
    """What the revisions of a chain, oldest first, say together: later ones win, restored images are not in it.

    A change of all splits takes the place of those of one split that earlier revisions made. A change of one split is
    kept where it makes its files something else than that of all splits does, so also where it restores them.
    """
    found: dict[str, dict[str, Change]] = {}
    for changes in chain:
        for change in sorted(changes, key=lambda change: change.only):
            of_image = found.setdefault(change.image, {})
            if not change.only:
                of_image.clear()
            if same(change, of_image.get("") if change.only else None):
                of_image.pop(change.only, None)
            else:
                of_image[change.only] = change
    return {change.key: change for of_image in found.values() for change in of_image.values()}


class Overlay(BaseModel):
    """Labels and exclusions that a run applies to the images of its folders.

    number: of the revision, None for one that somebody wrote by hand; digest: of the revision, or of the changes.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    number: int | None = Field(None, ge=0)
    digest: str = Field("", pattern="^([0-9a-f]{64})?$")
    content: str = Field("", pattern="^([0-9a-f]{64})?$")  # SHA-256 over images with labels; empty: not checked
    changes: tuple[Change, ...]

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if len(self.by_key) != len(self.changes):
            raise ValueError("names an image twice")
        found = content_digest(self.changes)
        if self.content not in ("", found):
            raise ValueError("is damaged: its changes are not those that it was written with")
        object.__setattr__(self, "content", found)
        object.__setattr__(self, "digest", self.digest or found)
        return self

    @classmethod
    def of(cls, number: int, digest: str, changes: Changes) -> Self:
        """The overlay of a revision."""
        return cls(number=number, digest=digest, changes=tuple(changes[key] for key in sorted(changes)))

    @classmethod
    def parse(cls, text: bytes, name: str) -> Self:
        """The overlay in a JSON text. name: of the file, for messages. Raises DataError."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = problems(error, lambda: dict.fromkeys(cls.model_fields, ""))[0]
            raise DataError(
                f"“{name}” is no overlay of corrections: {first.field}: {first.message} "
                "`imgcls-lab datasets export NAME --revision N --out FILE.json` writes one.",
                reason="no_overlay",
                path=name,
            ) from None

    @classmethod
    def read(cls, path: Path) -> Self:
        """The overlay in a file that a user names. Raises DataError."""
        try:
            return cls.parse(read_given(path.expanduser(), MAX_FILE), str(path))
        except OSError as error:
            raise DataError(
                f"The corrections “{path}” cannot be read: {error.strerror}.", reason="no_overlay", path=str(path)
            ) from None

    def to_json(self) -> str:
        return self.model_dump_json(indent=1)

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory, about."""
        return _CHANGE_BYTES * len(self.changes)

    @cached_property
    def by_key(self) -> dict[Key, Change]:
        """The changes that differ from the folders."""
        return {change.key: change for change in self.changes}

    def in_split(self, split: str) -> dict[str, Change]:
        """The change of each image in one split."""
        return in_split(self.changes, split)


def of_folder(folder: Path) -> Overlay | None:
    """The corrections that a run's folder holds; None where it holds none. Raises DataError."""
    path = folder / DATA_REVISION
    try:
        return Overlay.parse(read_plain(folder, DATA_REVISION), str(path))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DataError(f"The corrections {path} cannot be read: {error}.", reason="no_overlay") from None


def content_digest(changes: Iterable[Change]) -> str:
    """SHA-256 (hex) over what the changes do, without who made them and when: it says whether two train the same."""
    said: dict[str, list[dict[str, Any]]] = {}
    for change in sorted(changes, key=lambda change: change.only):
        done = {"label": change.label, "excluded": change.excluded, "only": change.only}
        said.setdefault(change.image, []).append(done)
    return _sha({image: several if len(several) > 1 else several[0] for image, several in said.items()})


def _sha(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()

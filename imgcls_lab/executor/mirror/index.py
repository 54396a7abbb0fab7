"""What the object store holds of a run, and the few small objects that name it. Called by both sides of the mirror.

<store>/runs/<run-id>/
  desired            what an attempt should do; written by the head. A higher attempt in it fences a lower one
  objects/<key>      content: parts of files, and manifests. A key is never used twice
  001/inputs         names the manifest of what attempt 1 starts with; written by the head
  001/owner          which node has taken the attempt; created once
  001/state          names the newest manifest, and holds the newest events and log; written by that node

Content is written before the object that names it, so that what is named is whole. Nothing here is found by a listing.
Nothing of it is trusted either: whoever may write the bucket need not be the run's user. A small object is sealed with
the run's key for its own place; it names manifests, and these name content, by digests. Names, sizes and numbers are
checked before they are used.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from pathlib import PurePosixPath
from typing import Annotated, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from imgcls_lab import run_layout
from imgcls_lab.errors import ObjectStoreError
from imgcls_lab.executor.mirror.object_store import ObjectStore, sha256
from imgcls_lab.run_changes import MAX_RUN_CHANGES, Change
from imgcls_lab.run_paths import check_relative

M = TypeVar("M", bound="_Stored")
SmallName = Literal["desired", "inputs", "owner", "state"]

LARGEST_STATE = 4 * 2**20  # bytes, unpacked
LARGEST_MANIFEST = 64 * 2**20  # bytes, unpacked
MAX_FILES = 200_000
MAX_DEPTH = 12
LARGEST_FILE = 2**41
SEAL = hashlib.sha256().digest_size  # bytes in front of a small object
EXIT = re.compile(r"exit-\d{3,}\.json")
_LINK = re.compile(rf"{run_layout.LAST}|{run_layout.BEST}|epoch-\d{{1,9}}")
_CHECKPOINT = re.compile(r"a\d{3,}-s\d{8,}")
_OF_HEAD = frozenset(
    {
        run_layout.CONFIG,
        run_layout.RUN_INFO,
        run_layout.DATA_REVISION,
        run_layout.SOURCE,
        run_layout.INITIAL_MODEL,
        run_layout.PARENT,
        run_layout.PARENT_FOLDER,
    }
)
_OF_NOBODY = frozenset({run_layout.DESIRED, run_layout.CHANGES, run_layout.HEARTBEAT})  # in `desired` and `state`
_LAUNCH = re.compile(r"launch-\d{3,}\.json")


def _name(text: str) -> str:
    """A file's name in a run's folder. Raises ValueError."""
    parts = check_relative(text).split("/")
    if len(parts) > MAX_DEPTH or any(p.startswith(".") or len(p.encode()) > 200 or not p.isprintable() for p in parts):
        raise ValueError("is no name of a run's file")
    return text


def _link(text: str) -> str:
    path = PurePosixPath(_name(text))
    if path.parent.name != run_layout.CHECKPOINTS or not _LINK.fullmatch(path.name):
        raise ValueError("is no link to a checkpoint")
    return text


def _bytes(text: str) -> str:
    text.encode("latin-1")  # raises a ValueError
    return text


Name = Annotated[str, AfterValidator(_name)]
LinkName = Annotated[str, AfterValidator(_link)]
Key = Annotated[str, StringConstraints(pattern=r"^[0-9a-z-]{8,80}$")]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
CheckpointName = Annotated[str, StringConstraints(pattern=rf"^{_CHECKPOINT.pattern}$")]
AttemptNumber = Annotated[int, Field(ge=1, lt=2**31)]


class _Stored(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Part(_Stored):
    """Bytes of a file in one object."""

    key: Key
    size: Annotated[int, Field(ge=1, le=LARGEST_FILE)]
    sha256: Digest


Parts = Annotated[tuple[Part, ...], Field(max_length=100_000)]


class Manifest(_Stored):
    """The files of a run, each with its parts in order, and the links to checkpoints."""

    files: Annotated[dict[Name, Parts], Field(max_length=MAX_FILES)] = {}
    links: Annotated[dict[LinkName, CheckpointName], Field(max_length=1000)] = {}

    def keys(self) -> set[str]:
        return {part.key for parts in self.files.values() for part in parts}


class Tail(_Stored):
    """The newest bytes of a growing file, behind the parts that the manifest names; each byte is one character."""

    offset: Annotated[int, Field(ge=0, le=LARGEST_FILE)]
    text: Annotated[str, AfterValidator(_bytes)] = ""

    @property
    def data(self) -> bytes:
        return self.text.encode("latin-1")

    @property
    def end(self) -> int:
        return self.offset + len(self.text)


class State(_Stored):
    """What a node says of an attempt. number: grows with each; heartbeat: the supervisor's; last: nothing follows."""

    attempt: AttemptNumber
    number: Annotated[int, Field(ge=1, lt=2**53)]
    heartbeat: Annotated[str, StringConstraints(pattern=r"^[0-9 ]{0,40}$")] = ""
    manifest: Part | None = None
    tails: Annotated[dict[Name, Tail], Field(max_length=4)] = {}
    last: bool = False


class Inputs(_Stored):
    """What an attempt starts with."""

    attempt: AttemptNumber
    manifest: Part


class Wish(_Stored):
    """What the head wants of an attempt. changes: of the run's settings, while it trains."""

    attempt: AttemptNumber
    desired: Literal["run", "stop", "kill"] = "run"
    changes: Annotated[tuple[Change, ...], Field(max_length=MAX_RUN_CHANGES)] = ()


class Owner(_Stored):
    """The node that has taken an attempt. token: proves that a process of it is this one."""

    token: Key
    host: Annotated[str, StringConstraints(max_length=300)]


class RunObjects:
    """The objects of one run. key: `signing.store_key` of the run; without the right one nothing can be read."""

    def __init__(self, store: ObjectStore, run_id: str, key: str) -> None:
        self.store = store
        self.prefix = prefix_of(run_id)
        self._key = key.encode()

    def small(self, attempt: int | None, name: SmallName) -> str:
        """The name of a small object; attempt: None for that of the run."""
        return f"{self.prefix}{name}" if attempt is None else f"{self.prefix}{attempt:03d}/{name}"

    def content(self, key: str) -> str:
        return f"{self.prefix}objects/{key}"

    def write(self, stored: _Stored, attempt: int | None, name: SmallName) -> None:
        path = self.small(attempt, name)
        self.store.put(path, self.seal(path, pack(stored)))

    def create(self, stored: _Stored, attempt: int, name: SmallName) -> None:
        """Raises ExistingObjectError as `ObjectStore.create` does."""
        path = self.small(attempt, name)
        self.store.create(path, self.seal(path, pack(stored)))

    def read(self, kind: type[M], attempt: int | None, name: SmallName) -> M:
        """Raises MissingObjectError; ObjectStoreError (`damaged`) for what a process with the key has not put there."""
        path = self.small(attempt, name)
        data = self.store.get(path, SEAL + LARGEST_STATE)
        if not hmac.compare_digest(self.seal(path, data[SEAL:]), data):
            raise ObjectStoreError(
                f"“{path}” in {self.store.url} was written by somebody else, or is damaged, so it is not believed. "
                "Look who may write there.",
                reason="damaged",
            )
        return unpack(kind, data[SEAL:], LARGEST_STATE)

    def seal(self, path: str, data: bytes) -> bytes:
        """A small object as it lies in the store under this name."""
        return hmac.digest(self._key, path.encode() + b"\0" + data, hashlib.sha256) + data

    def read_manifest(self, named: Part) -> Manifest:
        """Raises MissingObjectError once a newer one has taken its place."""
        data = self.store.get(self.content(named.key), LARGEST_MANIFEST)
        if sha256(data) != named.sha256:
            raise ObjectStoreError(f"The manifest {named.key} was changed or damaged.", reason="damaged")
        return unpack(Manifest, data, LARGEST_MANIFEST)

    def write_content(self, attempt: int, data: bytes) -> Part:
        """Write bytes under a key that no object had before."""
        part = Part(key=new_key(attempt), size=len(data), sha256=sha256(data))
        self.store.put(self.content(part.key), data)
        return part


def prefix_of(run_id: str) -> str:
    """Below which all objects of a run lie. Raises ObjectStoreError for what is no run's id."""
    if not run_layout.is_run_id(run_id):
        raise ObjectStoreError(f"“{run_id[:60]}” is no run.", reason="damaged")
    return f"runs/{run_id}/"


def new_key(attempt: int) -> str:
    return f"{attempt:03d}-{secrets.token_hex(12)}"


def pack(stored: _Stored) -> bytes:
    return zlib.compress(stored.model_dump_json().encode(), 1)


def unpack(kind: type[M], data: bytes, limit: int) -> M:
    """The object that was packed. Raises ObjectStoreError for anything else, or more than `limit` bytes of it."""
    inflate = zlib.decompressobj()
    try:
        text = inflate.decompress(data, limit)
        if inflate.unconsumed_tail or not inflate.eof:
            raise ValueError("it is too large")
        return kind.model_validate_json(text)
    except (zlib.error, ValidationError, ValueError) as error:
        what = f"An object of the store is no {kind.__name__.lower()} of a run"
        raise ObjectStoreError(f"{what}: it was changed or damaged.", reason="damaged") from error


def is_of_node(name: str) -> bool:
    """Whether the node that has the attempt writes this file. The head writes the others, and hands them over."""
    first = name.split("/", 1)[0]
    return first not in _OF_HEAD and first not in _OF_NOBODY and not _LAUNCH.fullmatch(name)


def travels(name: str) -> bool:
    """Whether a file of a run's folder is mirrored at all, in either direction."""
    try:
        _name(name)
    except ValueError:
        return False
    return name not in _OF_NOBODY and not _LAUNCH.fullmatch(name)


def checkpoint_of(name: str) -> str | None:
    """The checkpoint's folder that a file belongs to: it is there whole or not at all."""
    path = PurePosixPath(name)
    for folder in path.parents:
        if folder.parent.name == run_layout.CHECKPOINTS and _CHECKPOINT.fullmatch(folder.name):
            return str(folder)
    return None


def is_checkpoint(name: str) -> bool:
    return _CHECKPOINT.fullmatch(name) is not None


def is_link(name: str) -> bool:
    try:
        _link(name)
    except ValueError:
        return False
    return True

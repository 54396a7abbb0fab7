"""A fork: a run that goes on from a checkpoint of another run, with some settings changed. What it holds of its parent.

`parent.json` says where it comes from, and `parent/` holds the checkpoint, the parent's manifest and its events up to
there, as hard links where the disk can: so a fork needs its parent no more. The store makes them (`take`), the engine
reads them. What a change of a field means stands with the field (`at_fork`). Torch-free.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from imgcls_lab import run_layout, run_paths, signing
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ModelError, Problem
from imgcls_lab.plurals import counted
from imgcls_lab.validation_errors import joined

LrSchedule = Literal["continue", "restart"]
PAYLOAD = "fork"  # under this key of a run's payload
STATE = "training_state.json"  # in a checkpoint: how far its training is, as the engine's `state_tree` writes it
_CHECKPOINT = re.compile(r"a\d{3,9}-s\d{8,12}")  # as `run_layout.checkpoint_name` writes it
_PAIRS, _TUPLE = "__pairs__", "__tuple__"
CHECKSUMS = "checksums.json"  # in a checkpoint: its files and their hashes, and so the hash of the whole

_REFUSED = {
    "root": "A fork stays on the data set of its parent; for another one, train a new run from its best model.",
    "image_size": "A fork stays at its parent's size; for another one, train a new run from its best model.",
    "seed": "The seed decides which images are held out, and the fork has seen the parent's training images.",
    "val_fraction": "Images that the parent has trained on would become validation images.",
    "group_pattern": "Images that the parent has trained on would become validation images.",
}
_ANOTHER_MODEL = "A fork has the weights of its parent, and so its model; for another one, start a new run."
_BETWEEN = "It changes which images a step trains on, so it can change only between two epochs; fork there."


MAX_HISTORY = 10_000  # attempts of all ancestors
MAX_RUN = 64  # characters of the id of a run
LARGEST = 2**31 - 1  # of a column of PostgreSQL
Whole = Annotated[int, Field(ge=0, le=LARGEST)]


class HistoryFile(BaseModel):
    """A file with events of an ancestor, in `parent/`. Its points up to the step `until` are the fork's own past."""

    model_config = ConfigDict(frozen=True)

    file: Annotated[str, Field(pattern=r"^\d{2,}/\w[\w.-]*$")]  # in `parent/`, and nowhere else
    attempt: Whole
    until: Whole


class Fork(BaseModel):
    """Where a run comes from. `parent.json` holds it.

    epoch, step: done at the checkpoint; epoch_steps: of the epoch under way; config: the parent's; changes: the fields
    that the fork has otherwise; best_checkpoint: the parent's best until there, None where it is no longer kept.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    run: Annotated[str, Field(max_length=MAX_RUN)]
    name: str
    attempt: Whole
    step: Whole
    epoch: Whole
    epoch_steps: Whole
    checkpoint: str
    checkpoint_hash: str
    schedule: LrSchedule = "continue"
    config: dict[str, Any]
    changes: dict[str, Any] = {}
    best_checkpoint: str | None = None
    history: Annotated[tuple[HistoryFile, ...], Field(max_length=MAX_HISTORY)] = ()

    @classmethod
    def of_folder(cls, folder: Path) -> Self | None:
        """The fork that a run's folder holds; None for a run that is none. Raises ModelError for a damaged file."""
        try:
            return cls.model_validate(run_paths.read_json(folder, run_layout.PARENT))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, ValidationError) as error:
            raise ModelError(
                f"“{folder / run_layout.PARENT}”, which says where this run comes from, cannot be read. Fork again."
            ) from error

    @classmethod
    def of_payload(cls, payload: Mapping[str, Any]) -> Self | None:
        """What the payload of a run says of its parent; None for a run that is no fork."""
        found = payload.get(PAYLOAD)
        return cls.model_validate({"config": {}, **found}) if isinstance(found, Mapping) else None

    def to_payload(self) -> dict[str, Any]:
        """What the database has of it, without what only the engine reads."""
        return {PAYLOAD: self.model_dump(mode="json", exclude={"config", "history", "best_checkpoint"})}

    @property
    def parent_config(self) -> TrainConfig:
        return TrainConfig.parse_saved(self.config)

    def changed(self, config: TrainConfig) -> set[str]:
        """The fields that a config has otherwise than the parent's."""
        parent = self.parent_config
        return {name for name in TrainConfig.model_fields if getattr(config, name) != getattr(parent, name)}

    def starts_optimizer(self, config: TrainConfig) -> bool:
        """Whether the optimizer begins with a fresh state."""
        return any(at_fork(name) == "fresh_optimizer" for name in self.changed(config))


def at_fork(name: str) -> str:
    """What a change of a field means at a fork: see `config.fields.AtFork`."""
    extra = TrainConfig.model_fields[name].json_schema_extra
    return str(extra["at_fork"]) if isinstance(extra, dict) else "free"


def check_changes(parent: TrainConfig, child: TrainConfig, epoch: int, *, between_epochs: bool) -> dict[str, Any]:
    """The fields that a fork changes, as JSON. Raises ConfigError with a sentence for each that it cannot change.

    epoch: epochs that are done at the checkpoint; between_epochs: whether none is under way there.
    """
    changes = {
        name: value for name, value in child.model_dump(mode="json").items()
        if getattr(child, name) != getattr(parent, name)
    }  # fmt: skip
    refused = []
    for name in changes:
        rule = at_fork(name)
        if rule == "refused":
            refused.append(Problem(name, _REFUSED.get(name, _ANOTHER_MODEL)))
        elif rule == "between_epochs" and not between_epochs:
            refused.append(Problem(name, _BETWEEN))
        elif name in {"dropout", "drop_path"} and getattr(child, name) is None:
            refused.append(Problem(name, "Give it as a number: the checkpoint has the parent's rate, not the model's."))
    if child.epochs <= epoch:
        refused.append(Problem("epochs", f"The checkpoint has {counted(epoch, 'epoch')} already; give more."))
    if refused:
        raise ConfigError(f"The fork cannot have this config. {joined(refused)}", refused)
    return changes


def content_hash(checkpoint: Path) -> str:
    """SHA-256 of what a checkpoint says of the hashes of its files. Raises OSError."""
    return hashlib.sha256(run_paths.read_plain(checkpoint.resolve(), CHECKSUMS)).hexdigest()


def inherited_name(checkpoint: str) -> str:
    """What a parent's checkpoint is called in the fork's folder: before all of the fork's own."""
    return run_layout.checkpoint_name(run_layout.INHERITED, step_of(checkpoint))


def checkpoints_in(place: Path) -> list[Path]:
    """The folders of checkpoints in a folder, by their names; whatever else lies there is passed over."""
    return [path for path in sorted(place.glob("a*-s*")) if _CHECKPOINT.fullmatch(path.name)]


def step_of(checkpoint: str) -> int:
    """The step of a checkpoint, by its name."""
    return int(checkpoint.rpartition("-s")[2])


@dataclass(frozen=True)
class Beginning:
    """A checkpoint that a fork may begin with, as it lies on the disk, and how far its training is.

    batch: batches done of the epoch under way; since_best: epochs without an improvement; ranking: names
    of the parent's best checkpoints until there, best first; changed: settings that were changed while it trained;
    last_change: the number of the last of these; plateau_decays: of the learning rate.
    """

    path: Path
    step: int
    epoch: int
    batch: int
    since_best: int
    ranking: tuple[str, ...]
    changed: Mapping[str, Any]
    last_change: int
    plateau_decays: int

    @classmethod
    def read(cls, path: Path) -> Self:
        """Of a checkpoint's folder, links resolved. Raises ModelError for one that is damaged or none."""
        try:
            tree = dict(run_paths.read_json(path, STATE)[_PAIRS])
            progress = dict(tree["progress"][_PAIRS])
            ranking = tuple(str(entry[_TUPLE][1]) for entry in progress["ranking"])
            changed = dict(progress.get("changed", {_PAIRS: []})[_PAIRS])
            place = (progress["step"], progress["epoch"], progress["batch"], progress["since_best"])
            counts = (progress.get("changes", 0), progress.get("drops", 0))
            return cls(path, *place, ranking, changed, *counts)
        except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
            raise ModelError(f"The checkpoint “{path}” is damaged: {STATE} cannot be read.") from error

    @property
    def best(self) -> Path | None:
        """The folder of the best checkpoint until there; None where there is none, or it is no longer kept."""
        best = self.path.with_name(self.ranking[0]) if self.ranking else None
        return best if best is not None and best.is_dir() else None

    @property
    def attempt(self) -> int:
        return int(self.path.name.partition("-")[0][1:])

    def epoch_steps(self, config: TrainConfig) -> int:
        """Steps done of the epoch under way. config: that of its run."""
        return -(-self.batch // config.gradient_accumulation_steps)


def past_of(folder: Path, beginning: Beginning, resume_steps: Mapping[int, int]) -> dict[HistoryFile, Path]:
    """The files with a run's events until a checkpoint, its ancestors' first: as a fork names them, and where they are.

    resume_steps: of the run's attempts, at which step each has gone on.
    """
    found: list[tuple[int, int, Path]] = []
    before = Fork.of_folder(folder)
    if before is not None:
        found += [(each.attempt, each.until, folder / run_layout.PARENT_FOLDER / each.file) for each in before.history]
    for path in run_layout.event_files(folder):
        number = run_layout.attempt_of(path) or 0
        if number <= beginning.attempt:
            later = [step for attempt, step in resume_steps.items() if number < attempt <= beginning.attempt]
            found.append((number, min(later, default=beginning.step), path))
    return {
        HistoryFile(file=f"{place:02d}/{path.name}", attempt=attempt, until=min(until, beginning.step)): path
        for place, (attempt, until, path) in enumerate(found, 1)
    }


def fork_of(
    parent: Path, child: Path, beginning: Beginning, configs: tuple[TrainConfig, TrainConfig], **facts: Any
) -> Fork:
    """Make a run's folder a fork of another one's, and return what it says of that.

    configs: the parent's and the fork's; facts: run, name, schedule, and resume_steps as in `past_of`. Raises
    ConfigError for a change that a fork cannot make, OSError.
    """
    before, after = configs
    changes = check_changes(before, after, beginning.epoch, between_epochs=not beginning.batch)
    past = past_of(parent, beginning, facts.pop("resume_steps"))
    best = beginning.best
    place = {
        "attempt": beginning.attempt, "step": beginning.step, "epoch": beginning.epoch,
        "epoch_steps": beginning.epoch_steps(before),
        "checkpoint": beginning.path.name, "checkpoint_hash": content_hash(beginning.path),
        "best_checkpoint": best and inherited_name(best.name),
    }  # fmt: skip
    config = before.model_dump(mode="json")
    fork = Fork(config=config, changes=changes, history=tuple(past), **place, **facts)
    checkpoints = [beginning.path] if best in (None, beginning.path) else [beginning.path, best]
    take(parent, child, fork, checkpoints, {each.file: path for each, path in past.items()})
    return fork


def take(parent: Path, child: Path, fork: Fork, checkpoints: Sequence[Path], events: Mapping[str, Path]) -> None:
    """Put into the folder of a fork what it needs of its parent. `parent.json` comes last, when all is there.

    checkpoints: folders, links resolved; events: by the name that `fork.history` gives them. Raises OSError.
    """
    place = child / run_layout.PARENT_FOLDER
    place.mkdir(mode=0o700, parents=True)
    for checkpoint in checkpoints:
        target = place / inherited_name(checkpoint.name)
        target.mkdir(mode=0o700)
        _link_files(checkpoint, target)
    for name, path in events.items():
        (place / name).parent.mkdir(mode=0o700, exist_ok=True)
        link(path, place / name)
    manifest = run_paths.read_plain(parent, run_layout.MANIFEST)
    run_layout.write_atomic(place / run_layout.MANIFEST, manifest)
    if (parent / signing.PLUGINS).is_dir() and signing.PLUGINS not in fork.changes:
        (child / signing.PLUGINS).mkdir(mode=0o700)
        for path in sorted((parent / signing.PLUGINS).iterdir()):
            code = run_paths.read_plain(parent, f"{signing.PLUGINS}/{path.name}")
            run_layout.write_atomic(child / signing.PLUGINS / path.name, code)
    overlay = parent / run_layout.DATA_REVISION
    if overlay.is_file() and "data_revision" not in fork.changes:
        run_layout.write_atomic(child / overlay.name, run_paths.read_plain(parent, overlay.name))
    run_layout.write_atomic(child / run_layout.PARENT, json.dumps(fork.model_dump(mode="json"), indent=1))


def _link_files(source: Path, target: Path) -> None:
    for name in sorted(os.listdir(source)):
        link(source / name, target / name)


def link(source: Path, target: Path) -> None:
    """A hard link, or a copy where the disk has none or is another one. Raises OSError."""
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(source, target, follow_symlinks=False)
        os.chmod(target, 0o600)

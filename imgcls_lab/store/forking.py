"""A run that goes on from a checkpoint of another one: which checkpoint, the request of the fork, and its folder.

Called by `store.runs.fork`: in a transaction, but for `fill`. The fork's folder gets all that it needs of its parent
(`forks.py`), so that the parent may be resumed or deleted at any moment. The same fork twice is the same run.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path

from sqlmodel import Session, col, select

from imgcls_lab import forks, run_changes, run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, ConflictError, ModelError, NotFoundError, StoreError
from imgcls_lab.events import RunKind
from imgcls_lab.forks import Beginning
from imgcls_lab.schemas import ForkRequest, SubmitRequest
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import claims, homes, states, submitted
from imgcls_lab.store.retraining import distinct_name
from imgcls_lab.store.tables import Artifact, Attempt, Run

KEY = "fork:"  # begins the idempotency keys of forks
_AT = re.compile(
    r"(?:(?P<link>best|last)|(?:epoch[ :=]*)?(?P<epoch>\d{1,9})|step[ :=]*(?P<step>\d{1,12}))", re.IGNORECASE
)
_FORKED = re.compile(r", (from (epoch|step) \d+|to \d+ epochs)( \(\d+\))?$")  # as `_name` and `distinct_name` write it


@dataclass(frozen=True)
class Planned:
    """A fork that is asked for. parent: its run; beginning: the checkpoint; configs: the parent's and the fork's.

    resumed: at which step each attempt of the parent has gone on.
    """

    parent: Run
    beginning: Beginning
    configs: tuple[TrainConfig, TrainConfig]
    schedule: forks.LrSchedule
    key: str
    resumed: dict[int, int]

    @property
    def place(self) -> str:
        """The checkpoint as people say it."""
        return place_of(self.beginning)


def plan(session: Session, settings: Settings, parent: Run, wanted: ForkRequest) -> Planned:
    """Find the checkpoint and check the changes. Raises ConfigError, NotFoundError, ConflictError with the remedy."""
    claims.refuse_view_only(parent)
    homes.check_here(session, parent)
    submitted.check(session, settings, parent)  # its config may name plugins, and becomes the fork's
    if parent.kind != RunKind.TRAIN.value:
        raise ConflictError(
            f"Only a training can be forked, and “{parent.name}” is a {parent.kind}. Fork one of its trainings, if "
            "these are runs of their own; else start it anew.",
            reason="no_training",
        )
    beginning = _find(session, settings, parent, wanted.at)
    before = run_changes.changed(TrainConfig.parse_saved(parent.config), beginning.changed)  # as it was there
    after = before.with_changes(**wanted.fields)
    changes = forks.check_changes(before, after, beginning.epoch, between_epochs=not beginning.batch)
    patience = before.early_stopping_patience
    if patience and beginning.since_best >= patience and not changes:
        text = f"Early stopping has ended “{parent.name}” there. Fork from an earlier checkpoint, or change something."
        raise ConfigError(text, reason="nothing_left")
    identity = [forks.content_hash(beginning.path), changes, wanted.on_schedule]
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:32]
    rows = select(Attempt.number, Attempt.resume_step).where(Attempt.run_id == parent.id)
    resumed = {number: step for number, step in session.exec(rows) if step is not None}
    return Planned(parent, beginning, (before, after), wanted.on_schedule, f"{KEY}{parent.id}:{digest}", resumed)


def request_of(session: Session, planned: Planned, name: str | None) -> SubmitRequest:
    """What submits the fork."""
    parent, (before, after) = planned.parent, planned.configs
    extends = forks.check_changes(before, after, 0, between_epochs=True).keys() == {"epochs"}
    mark = f"to {after.epochs} epochs" if extends else f"from {planned.place}"
    base = _FORKED.sub("", parent.name)[: MAX_NAME - len(mark) - 2]
    return SubmitRequest(
        config=after.model_dump(mode="json"),
        name=name or distinct_name(session, parent, f"{base}, {mark}"),
        project_id=parent.project_id,
        dataset_id=parent.dataset_id,
        model_id=parent.model_id,
        parent_id=parent.id,
        priority=parent.priority,
        idempotency_key=planned.key,
    )


def fill(settings: Settings, planned: Planned, child: Path) -> forks.Fork:
    """Give the fork's folder what it needs of its parent. Outside of any transaction: it may copy to another disk.

    Raises ConflictError where the checkpoint is removed meanwhile, StoreError where the folder cannot be written.
    """
    parent = planned.parent
    facts = {"run": parent.id, "name": parent.name, "schedule": planned.schedule, "resume_steps": planned.resumed}
    try:
        return forks.fork_of(settings.run_dir(parent.id), child, planned.beginning, planned.configs, **facts)
    except FileNotFoundError as error:
        raise ConflictError(
            f"The checkpoint of {planned.place} was removed meanwhile: “{parent.name}” goes on. Fork again.",
            reason="checkpoint_gone",
        ) from error
    except OSError as error:
        raise StoreError(
            f"The checkpoint of “{parent.name}” could not be taken into {child.parent}: {error.strerror}. Free some "
            "space, or check who may write there, and try again."
        ) from error


def made_before(session: Session, planned: Planned) -> str | None:
    """The id of the same fork, whatever it has come to; None where there is none."""
    return session.exec(select(Run.id).where(Run.idempotency_key == planned.key)).first()


def complete(session: Session, run: Run, fork: forks.Fork, parent: Run) -> None:
    """Write into a fork's row what other runs do not have. It repeats no run: its first steps had another config.

    Without another revision it trains on the parent's corrections, as they were then: its folder has them.
    """
    run.payload = fork.to_payload()
    run.fork_step, run.lineage, run.repetition = fork.step, parent.lineage or parent.id, ""
    run.fork_epoch = epochs_at(parent, fork.epoch, fork.epoch_steps)
    if "data_revision" not in fork.changes:
        session.info.get("overlays", {}).pop(run.id, None)
        run.data_revision, run.data_revision_digest = parent.data_revision, parent.data_revision_digest
    if not parent.lineage:
        states.change_run(session, parent.id, lineage=parent.id)


def epochs_at(parent: Run, epoch: int, epoch_steps: int) -> float:
    """The epochs that a run has done at a checkpoint, the part of one that is under way included."""
    steps_per_epoch = (parent.total_steps or 0) / (parent.epochs or 1)
    return epoch + (epoch_steps / steps_per_epoch if steps_per_epoch else 0.0)


def place_of(beginning: Beginning) -> str:
    return f"step {beginning.step}" if beginning.batch else f"epoch {beginning.epoch}"


# ── which checkpoint ────────────────────────────────────────────────────────────────────────────────────────────
def _find(session: Session, settings: Settings, parent: Run, at: str) -> Beginning:
    """The checkpoint that a request means. Raises NotFoundError, which names those that are kept."""
    kept = _kept(session, settings, parent)
    if not kept:
        raise ConflictError(
            f"The run “{parent.name}” has no checkpoint yet; the first comes with a validation or a stop.",
            reason="no_checkpoint",
        )
    found, text = _AT.fullmatch(at.strip()), at.strip()
    for row, beginning in kept:
        if found is None:
            meant = text in (row.name, *row.links)
        elif found["epoch"]:
            meant = beginning.epoch == int(found["epoch"]) and not beginning.batch
        elif found["step"]:
            meant = beginning.step == int(found["step"])
        else:
            meant = found["link"].lower() in row.links
        if meant:
            return beginning
    raise NotFoundError(
        f"The run “{parent.name}” keeps no checkpoint “{text[:60]}”. It has {_listed(kept)}. More are kept where "
        "save_every_epochs is set.",
        reason="no_checkpoint",
    )


def _kept(session: Session, settings: Settings, parent: Run) -> list[tuple[Artifact, Beginning]]:
    """The checkpoints that lie on the disk, newest first."""
    folder = settings.run_dir(parent.id)
    saved = select(Artifact).where(Artifact.run_id == parent.id, Artifact.kind == "checkpoint")
    found = []
    for row in session.exec(saved.order_by(col(Artifact.step).desc(), col(Artifact.attempt).desc())):
        with contextlib.suppress(OSError, ValueError, ModelError):  # deleted, removed by the run that goes on, damaged
            place = run_paths.real_path(folder, row.path, run_layout.elsewhere(parent.config, folder))
            if place.is_dir():
                found.append((row, Beginning.read(place)))
    return found


def _listed(kept: list[tuple[Artifact, Beginning]]) -> str:
    words = [
        place_of(beginning) + (f" ({', '.join(row.links)})" if row.links else "") for row, beginning in reversed(kept)
    ]
    return ", ".join(dict.fromkeys(words))

"""“Train again from the best”: config, name and first weights of a run that goes on from the best of another one.

Called by `store.runs.retrain`: in a transaction, but for `take_model`. The child gets the model's files into its own
folder (hard links where the disk can), so that it needs its parent no more: that may be resumed or deleted.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
from pathlib import Path
from typing import Any

from sqlmodel import Session, col, or_, select

from imgcls_lab import run_changes, run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConflictError, StoreError
from imgcls_lab.events import ENDED, RunKind, RunState
from imgcls_lab.forks import link
from imgcls_lab.run_layout import DATA_REVISION, INITIAL_MODEL
from imgcls_lab.schemas import RetrainRequest, SubmitRequest
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.store import claims, homes, states, submitted
from imgcls_lab.store.revision_rows import newest_number, overlay_for
from imgcls_lab.store.tables import Dataset, Run

_REVISION = re.compile(r", revision \d+(, trained again)*( \(\d+\))?$")  # as `child_name` and `distinct_name` write it
KEY = "retrain:"  # begins the idempotency keys of such runs
_NOT_OF_THE_MODEL = ("training_state", "checksums.json")  # beginnings of names in a checkpoint
EPOCHS, LR, WARMUP = 1 / 3, 0.3, 0.2  # parts of the parent's epochs and rate; of the child's epochs


def child_config(parent: TrainConfig, model: Path, data_revision: int | str | None) -> TrainConfig:
    """What a run from another one's best trains with. parent: its config with all that was changed while it trained.

    A third of the epochs, at least three where the parent had so many: the weights fit all labels but the corrected
    ones. Three tenths of the learning rate: the full one would undo the parent's fine decisions before it decays. Seed
    and hold-out stay, so that the validation images are the same. The backbone is no longer frozen where the parent
    had unfrozen it.
    """
    epochs = max(min(3, parent.epochs), math.ceil(parent.epochs * EPOCHS))
    changes: dict[str, Any] = {
        "model_flavour": str(model), "revision": None, "load_pretrained": True, "data_revision": data_revision,
        "epochs": epochs, "lr": parent.lr * LR, "warmup_epochs": min(parent.warmup_epochs, epochs * WARMUP),
    }  # fmt: skip
    if parent.unfreeze_epoch:
        changes |= {"freeze_backbone": False, "unfreeze_epoch": None, "unfreeze_blocks": None}
    return parent.with_changes(**changes)


def request_for(
    session: Session, settings: Settings, parent: Run, wanted: RetrainRequest, run_id: str
) -> tuple[TrainConfig, SubmitRequest]:
    """The config and the request of the child. Raises ConfigError, NotFoundError; ConflictError without a checkpoint.

    run_id: of the child.
    """
    claims.refuse_view_only(parent)
    homes.check_here(session, parent)
    submitted.check(session, settings, parent)  # its config may name plugins, and becomes the child's
    if parent.kind != RunKind.TRAIN.value:
        raise ConflictError(f"Only a training has a best model to go on from; “{parent.name}” is a {parent.kind}.")
    _best(settings, parent)
    dataset_id = parent.dataset_id or session.exec(select(Dataset.id).where(Dataset.root == parent.root)).first()
    revision = _revision(session, settings, parent, dataset_id, wanted.revision)
    model = settings.run_dir(run_id) / INITIAL_MODEL
    changes = run_changes.in_force(parent.changes, RunState(parent.state))
    trained_with = run_changes.changed(TrainConfig.parse_saved(parent.config), changes)
    config = child_config(trained_with, model, revision).with_changes(**wanted.fields)
    overlay = overlay_for(session, config, dataset_id)
    digest = _sha([overlay.digest if overlay else "", wanted.fields, wanted.name])
    given = child_name(parent.name, overlay.number if overlay else None)
    request = SubmitRequest(
        config=config.model_dump(mode="json"),
        name=wanted.name or distinct_name(session, parent, given),
        project_id=parent.project_id,
        dataset_id=dataset_id,
        parent_id=parent.id,
        priority=parent.priority,
        idempotency_key=f"{KEY}{parent.id}:{digest}",
    )
    return config, request


def child_name(parent: str, revision: int | None) -> str:
    """The parent's name with the child's revision instead of the parent's own: "digits #1, revision 2"."""
    base = _REVISION.sub("", parent) if revision else parent
    mark = f"revision {revision}" if revision else "trained again"
    if f"{base}, {mark}" == parent:  # again on the same revision
        base, mark = parent, "trained again"
    return f"{base[: MAX_NAME - len(mark) - 2]}, {mark}"


def distinct_name(session: Session, parent: Run, name: str) -> str:
    """The name, with a number where another child of the run has it: "digits #1, revision 2 (2)"."""
    taken = set(session.exec(select(Run.name).where(Run.parent_id == parent.id)).all())
    numbered = (f"{name[: MAX_NAME - len(f' ({number})')]} ({number})" for number in itertools.count(2))
    return next(free for free in itertools.chain([name], numbered) if free not in taken)


def _revision(
    session: Session, settings: Settings, parent: Run, dataset_id: int | None, wanted: int | None
) -> int | str | None:
    """The child's `data_revision`: the one wanted, else the newest; without any, the parent's own corrections."""
    if wanted is not None:
        return wanted or None
    newest = 0 if dataset_id is None else newest_number(session, dataset_id)
    own = settings.run_dir(parent.id) / DATA_REVISION
    if not newest and parent.data_revision_digest and own.is_file():
        return str(own)
    return newest or None


def under_way(session: Session, key: str) -> Run | None:
    """The child of this request that waits or trains: another click means that one."""
    children = select(Run).where(_of_key(key), col(Run.state).not_in(states.texts(ENDED)))
    return session.exec(children.order_by(col(Run.number))).first()


def next_key(session: Session, key: str) -> str:
    """A key that no child of this request has had."""
    count = len(session.exec(select(Run.id).where(_of_key(key))).all())
    return f"{key}:{count + 1}"


def _of_key(key: str) -> Any:
    return or_(col(Run.idempotency_key) == key, col(Run.idempotency_key).startswith(f"{key}:", autoescape=True))


def take_model(settings: Settings, parent: Run, child: Path) -> None:
    """Put the parent's best model into the child's folder. Outside of any transaction: it may copy to another disk.

    Raises ConflictError without a checkpoint, StoreError where the files cannot be written.
    """
    try:
        source = _best(settings, parent)
        target = child / INITIAL_MODEL
        target.mkdir(mode=0o700)
        for name in sorted(os.listdir(source)):
            if not name.startswith(_NOT_OF_THE_MODEL) and (source / name).is_file():
                link(source / name, target / name)
    except OSError as error:
        raise StoreError(
            f"The best model of “{parent.name}” could not be taken into {child.parent}: {error.strerror}. Free some "
            "space, or check who may write there, and try again."
        ) from error


def _best(settings: Settings, parent: Run) -> Path:
    """The folder of the best checkpoint, links resolved. Raises ConflictError before the first."""
    folder = settings.run_dir(parent.id)
    try:
        return run_paths.real_path(
            folder, f"{run_layout.CHECKPOINTS}/{run_layout.BEST}", run_layout.elsewhere(parent.config, folder)
        )
    except OSError:
        raise ConflictError(
            f"The run “{parent.name}” has no best checkpoint to go on from; the first comes with its first validation.",
            reason="no_checkpoint",
            run=parent.id,
        ) from None


def _sha(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:16]

"""`store.like_runs`: what runs like a planned one took: time an image, memory, disk. Called by the form's check.

Like is a run of this home with the same model, input size, kind of device and other settings that change the cost of a
step. Nothing is extrapolated from other models: without a like run there is no estimate.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from sqlalchemy import and_
from sqlmodel import col, select

from imgcls_lab import speed_trial
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import RunKind
from imgcls_lab.run_layout import CHECKPOINTS, MANIFEST, new_run_id
from imgcls_lab.run_paths import read_json
from imgcls_lab.schemas import RunView, SubmitRequest
from imgcls_lab.schemas.limits import MAX_NAME
from imgcls_lab.settings import Settings
from imgcls_lab.speed_trial import TRIAL
from imgcls_lab.store import homes
from imgcls_lab.store.database import Database
from imgcls_lab.store.run_conditions import ran_by
from imgcls_lab.store.run_rows import new_run
from imgcls_lab.store.runs import Runs
from imgcls_lab.store.submitting import add_run
from imgcls_lab.store.tables import Attempt, Run

LOOKED_AT = 60  # newest runs of the model
TAKEN = 5  # like runs that are averaged
THROUGHPUT, MEMORY = "throughput/images_per_second", "device/memory_gb"
# Settings on which the cost of a step depends; the batch size stands apart.
COST = (
    *("image_size", "num_processes", "precision", "channels_last", "compile", "gradient_checkpointing", "decoder"),
    *("freeze_backbone", "unfreeze_epoch", "lora_rank", "optimizer", "feature_views"),
)


@dataclass(frozen=True)
class LikeRuns:
    """What like runs took. seconds: per training image, evaluation and start included, of each run; the newest first.

    trial: only a trial was measured: its steps alone; memory: bytes, of a run with this batch size; None where there is
    none; checkpoint: bytes of one; precision: that the newest was resolved to.
    """

    names: list[str]
    seconds: list[float]
    trial: bool
    memory: int | None
    checkpoint: int | None
    precision: str | None

    @property
    def typical(self) -> float:
        """Seconds per training image."""
        return median(self.seconds)


@dataclass(frozen=True)
class _Found:
    name: str
    seconds: float
    trial: bool
    batch_size: int
    memory: float | None
    folder: Path


class LikeRunReader:
    """Looks for runs like a planned one, and tries where there is none."""

    def __init__(self, database: Database, settings: Settings, runs: Runs) -> None:
        self._database = database
        self._settings = settings
        self._runs = runs

    def start_trial(self, config: TrainConfig) -> RunView:
        """Queue a speed trial of a config. Raises InputError for one with plugins."""
        payload = speed_trial.to_payload(config)
        name = f"Speed trial of {Path(config.model_flavour).name}"[:MAX_NAME]
        request = SubmitRequest(kind=RunKind.TASK, name=name, payload=payload, device=config.device)
        with self._database.write() as session:
            run = new_run(session, new_run_id(), None, request, None)
            run.root, run.model_flavour = config.root, config.model_flavour
            run_id = add_run(session, run, request)
        return self._runs.get(run_id)

    def find(self, config: TrainConfig, device: str) -> LikeRuns | None:
        """device: the kind that the run would get, cuda or cpu. None: there is no like run."""
        found = [
            item
            for run, ran, devices in self._candidates(config)
            if any(_is_of_kind(name, device) for name in devices) and (item := self._like(run, ran, config))
        ]
        whole = [item for item in found if not item.trial]
        same = [item for item in whole or found if item.batch_size == config.batch_size]
        taken = (same or whole or found)[:TAKEN]
        if not taken:
            return None
        memory = [item.memory for item in found if item.memory and item.batch_size == config.batch_size]
        return LikeRuns(
            [item.name for item in taken],
            [item.seconds for item in taken],
            taken[0].trial,
            round(max(memory) * 1e9) if memory else None,
            next((size for item in whole if (size := _checkpoint_bytes(item.folder))), None),
            next((name for item in taken if (name := _precision(item.folder))), None),
        )

    def _candidates(self, config: TrainConfig) -> list[tuple[Run, float | None, list[str]]]:
        """Runs of the model, the newest first, how long each ran, and the devices that its last attempt had."""
        with self._database.read() as session:
            wanted = (
                select(Run, ran_by(time.time()), Attempt.devices)
                .join(Attempt, and_(col(Attempt.run_id) == Run.id, col(Attempt.number) == Run.attempt))
                .where(Run.model_flavour == config.model_flavour, col(Run.view_only).is_(False), homes.is_here(session))
                .where(col(Run.kind).in_((RunKind.TRAIN, RunKind.TASK)), Run.step > 0)
                .order_by(col(Run.number).desc())
                .limit(LOOKED_AT)
            )
            return [(run, ran, [*devices]) for run, ran, devices in session.exec(wanted)]

    def _like(self, run: Run, ran: float | None, config: TrainConfig) -> _Found | None:
        """What a run tells of the planned one; None where it is another kind of run, or has measured nothing."""
        trial = run.payload.get(TRIAL) if run.kind == RunKind.TASK else None
        saved = trial if isinstance(trial, Mapping) else run.config
        if not saved:
            return None
        planned = config.model_dump(mode="json")
        defaults = {name: TrainConfig.model_fields[name].get_default() for name in COST}
        if any(saved.get(name, defaults[name]) != planned[name] for name in COST):
            return None
        batch = int(saved.get("batch_size") or 0)
        throughput = run.latest.get(THROUGHPUT)
        seconds = _seconds_per_image(run, ran, batch * int(saved.get("gradient_accumulation_steps") or 1))
        if trial is not None or seconds is None:
            seconds = 1 / throughput if throughput else None
        if seconds is None or not batch:
            return None
        memory = run.latest.get(MEMORY)
        return _Found(run.name, seconds, trial is not None, batch, memory, self._settings.run_dir(run.id))


def _is_of_kind(name: str, device: str) -> bool:
    """Whether a device, cuda:0 or NODE/gpu:0 of a cluster, is one of that kind."""
    return name.rpartition("/")[2].startswith(("cuda", "gpu") if device == "cuda" else "cpu")


def _seconds_per_image(run: Run, ran: float | None, images_per_step: int) -> float | None:
    """Over all that the run did, for one that is through an epoch; None: it is too short to tell."""
    if not ran or run.epoch < 1 or run.epochs is None or not images_per_step:
        return None
    return ran / (run.step * images_per_step)


def _checkpoint_bytes(folder: Path) -> int | None:
    """Of a checkpoint that lies there."""
    try:
        with os.scandir(folder / CHECKPOINTS) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    with os.scandir(entry.path) as files:
                        return sum(file.stat(follow_symlinks=False).st_size for file in files)
    except OSError:
        return None
    return None


def _precision(folder: Path) -> str | None:
    try:
        found = read_json(folder, MANIFEST)
    except (OSError, ValueError):
        return None
    name = found.get("precision") if isinstance(found, dict) else None
    return name if isinstance(name, str) else None

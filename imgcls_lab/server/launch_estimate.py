"""What a launch would take: where it runs, its time, memory and disk. Called by the check of a form's config.

All of it comes from the store: devices as an executor sees them, and runs like the planned one.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import NotFoundError
from imgcls_lab.planning.automatic import Machine
from imgcls_lab.planning.preview import RunPreview
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import LaunchEstimate
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

MINUTE, HOUR, DAY = 60, 3600, 86_400  # seconds


def machine_of(settings: Settings, store: Store) -> Machine:
    """The GPUs that an executor offers to runs; without an executor none is known."""
    gpus = [device for device in store.executors.usable_devices() if device.kind == "cuda"]
    return Machine(gpus[0].title if gpus else None, settings.cpu_slots, len(gpus))


def estimate(store: Store, config: TrainConfig, planned: RunPreview, machine: Machine) -> LaunchEstimate | None:
    """None where no run like it has been measured."""
    on_gpu = machine.gpu is not None and config.device != "cpu"
    found = store.like_runs.find(config, "cuda" if on_gpu else "cpu")
    if found is None:
        return None
    images = planned.steps.total_steps * config.batch_size * config.gradient_accumulation_steps
    kept = config.keep_last + config.keep_best
    return LaunchEstimate(
        like=found.names,
        trial=found.trial,
        seconds=found.typical * images,
        memory=found.memory,
        disk=None if found.checkpoint is None else found.checkpoint * kept,
    )


def facts_of(found: LaunchEstimate | None, machine: Machine, config: TrainConfig | None) -> dict[str, str]:
    """Time and memory as sentences; nothing where nothing is known."""
    if found is None:
        return {}
    device = machine.gpu if machine.gpu and config is not None and config.device != "cpu" else "CPU"
    newest, others = found.like[0], len(found.like) - 1
    like = f"“{newest}”" + (f" and {counted(others, 'other run')}" if others else "")
    told = f"by {like}, steps alone" if found.trial else f"as in {like}"
    facts = {"Time": f"about {duration(found.seconds)} on {device}, {told}"}
    if found.memory is not None:
        facts["Memory"] = f"{found.memory / 1e9:.1f} GB, as such runs took"
    return facts


def disk_fact(folder: Path, found: LaunchEstimate | None) -> str:
    """Free space where runs are written, and what the checkpoints would take of it."""
    while not folder.exists():
        folder = folder.parent
    free = f"{shutil.disk_usage(folder).free / 1e9:,.1f} GB free where runs are written"
    if found is None or found.disk is None:
        return free
    needed = f"{found.disk / 1e9:,.1f} GB" if found.disk >= 1e8 else f"{found.disk / 1e6:,.0f} MB"
    return f"about {needed} of {free}"


def overlap_fact(store: Store, root: str) -> str | None:
    """What the newest audit says of images that are in several splits; None where there was none."""
    dataset = next((item for item in store.datasets.list() if item.root == root), None)
    if dataset is None:
        return None
    try:
        summary = store.audits.summary(dataset.id)
    except NotFoundError:  # deleted meanwhile
        return None
    if summary is None or "files" not in summary.stages:
        return None
    if not summary.leaks:
        return "no image is in two splits"
    return f"{counted(summary.leaks, 'group')} of alike images reach over splits: see the data set's problems"


def duration(seconds: float) -> str:
    """As people say it: 41 min, 3.5 h."""
    if seconds < MINUTE:
        return f"{max(1, round(seconds))} s"
    if seconds < HOUR:
        return f"{round(seconds / MINUTE)} min"
    return f"{seconds / HOUR:.1f} h" if seconds < DAY else f"{seconds / DAY:.1f} days"

"""What starts for an attempt, whichever backend starts it: the command line of its kind, the launch, the run's folder.

Called by the backends. The launch is what a supervisor executes; the copy in the folder is a note, which nothing
executes. Starts nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout, run_paths, staged_data
from imgcls_lab.entry_points import NOTEBOOK, STAGING, SWEEP, TASK, TRAINING, EntryPoint
from imgcls_lab.errors import ExecutorError
from imgcls_lab.events import DesiredState, RunKind
from imgcls_lab.executor.devices import Device
from imgcls_lab.pausing import until_epoch
from imgcls_lab.settings import Settings
from imgcls_lab.store.tables import Run

LOG_CAP = 64 * 2**20  # bytes of output.log
Argv = Callable[[RunKind, str, Path, int], list[str]]

# What does a run of each kind, as `python -m MODULE FOLDER --attempt N`.
ENTRY_POINTS: dict[RunKind, EntryPoint] = {
    RunKind.TRAIN: TRAINING,
    RunKind.NOTEBOOK: NOTEBOOK,
    RunKind.SWEEP: SWEEP,
    RunKind.TASK: TASK,
}
# These queue runs themselves. The others never talk to the database, so they do not learn which one there is.
QUEUES_RUNS = frozenset({RunKind.NOTEBOOK, RunKind.SWEEP})


def module_argv(kind: RunKind, python: str, folder: Path, attempt: int) -> list[str]:
    """The command line of a run's kind. Raises ExecutorError for a kind that this version cannot do."""
    if kind not in ENTRY_POINTS:
        raise ExecutorError(f"This version of imgcls-lab cannot do a {kind.value} run; upgrade it on this machine.")
    return ENTRY_POINTS[kind].argv(python, str(folder), "--attempt", str(attempt))


def process_arguments(run: Run, devices: Sequence[Device]) -> list[str]:
    """What the command line of a training adds that starts with fewer GPUs than it could use, or is to pause."""
    if run.kind != RunKind.TRAIN.value:
        return []
    gpus = sum(device.kind == "cuda" for device in devices)
    fewer = run.min_gpus is not None and 0 < gpus < run.requested_gpus
    until = until_epoch(run.payload)
    return ["--processes", str(gpus)] * fewer + (["--until-epoch", str(until)] if until is not None else [])


def check_own(run: Run) -> None:
    """Raises ExecutorError for a run whose folder came from elsewhere."""
    if run.view_only:
        raise ExecutorError(f"The run is view only: its folder came from elsewhere. `imgcls-lab claim {run.id}`")


def beat_every(settings: Settings) -> float:
    """Seconds between two heartbeats of a supervisor."""
    return min(5.0, settings.lease / 6)


def launch_of(
    settings: Settings, run: Run, attempt: int, argv: list[str], environment: Mapping[str, str | None]
) -> dict[str, Any]:
    """The launch of an attempt, without what only one backend adds. environment: None removes a variable."""
    quiet = {"PYTHONUNBUFFERED": "1", "PYTHONFAULTHANDLER": "1", "PYTHONSAFEPATH": "1"}
    return {
        "run_id": run.id,
        "attempt": attempt,
        "argv": _with_data(settings, run, attempt, argv),
        "environment": {**environment, **quiet},
        "locks": [],
        "grace": settings.stop_grace,
        "deadline": settings.start_deadline,
        "beat_every": beat_every(settings),
        "log_cap": LOG_CAP,
    }


def _with_data(settings: Settings, run: Run, attempt: int, argv: list[str]) -> list[str]:
    """The command line, after one that copies the run's data set to the node's disk where `IMGCLS_DATA_URL` is set."""
    url = _data_url(settings, run)
    if url is None:
        return argv
    folder = str(settings.run_dir(run.id))
    return [*STAGING.argv(argv[0], folder, "--attempt", str(attempt), "--url", url), "--", *argv]


def _data_url(settings: Settings, run: Run) -> str | None:
    """Where a training's data set is copied from; None for one outside of `DATASETS_DIR`, which is read where it is."""
    base, root = settings.data_url.rstrip("/"), run.config.get("root")
    if not base or RunKind(run.kind) is not RunKind.TRAIN or not isinstance(root, str):
        return None
    path, home = staged_data.absolute(root), staged_data.absolute(settings.datasets_dir)
    if ".." in path.parts or not path.is_relative_to(home) or path == home:
        return None
    return f"{base if '://' in base else f'file://{base}'}/{path.relative_to(home).as_posix()}"


def prepare_folder(settings: Settings, run: Run, launch: Mapping[str, Any]) -> str:
    """Write what a run's folder needs before its attempt starts; the launch as text. Raises OSError."""
    folder, text = settings.run_dir(run.id), json.dumps(launch, indent=1)
    run_paths.make_folder(folder)
    # the folder of a resumed run holds its config before the resume
    run_layout.write_atomic(folder / run_layout.CONFIG, json.dumps(run.config, indent=1), settle=False)
    run_layout.write_atomic(folder / run_layout.DESIRED, DesiredState.RUN.value, settle=False)
    # the last one makes the names of all three durable
    run_layout.write_atomic(folder / run_layout.launch_name(launch["attempt"]), text)
    return text

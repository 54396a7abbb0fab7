"""Names inside a run's folder, written once. Standard library only, so that the supervisor stays small.

<home>/runs/<run-id>/
  config.json        the TrainConfig as it was asked for
  run.json           what the database knows of the run beside its events: `db rebuild` makes it anew from that
  edits.json         what people gave a run whose folder came from elsewhere: name, notes, tags, project
  manifest.json      what reproduces it, and what was resolved on attempt 1 (precision, threads ...)
  data_revision.json the corrections of labels and the exclusions that it trains with, where there are some
  duplicates.json    copies found among the images, where there are any
  events-001.jsonl   append-only, one file an attempt
  indices-001-0.jsonl  the images of each step that a process (0: the first) trained on, where the config asks for it
  launch-001.json    a note of what the supervisor was asked to start (executor's runs); nothing executes it
  job-001.log        what the attempt's job on a Slurm cluster wrote before its supervisor took over the output
  exit-001.json      how that attempt's process ended, written by the supervisor
  changes.json       settings that people have changed while it trains, each with its number; read by the engine
  desired            what the attempt should do: run, stop or kill; read by the supervisor
  owner.json         process identity of who runs it now
  heartbeat          the supervisor's beat: a number that grows
  output.log         stdout and stderr; of a run on several nodes, those of its first
  node-001.json      where its second node is, and which devices it has there
  node-001.log       stdout and stderr of its second node
  failure/           the batch and weights of a step that gave no finite number, for replay
  reports/           one evaluation report (JSON) an epoch, and test.json of the best model
  predictions/       predictions of an epoch, and test.npz of the best model
  checkpoints/       a001-s00001234/ and the links last, best, epoch-0003
  tensorboard/       event files
  source.ipynb       a notebook run: the notebook as it was queued
  notebook.ipynb     a notebook run: the executed notebook, saved as it goes
  parent.json        a fork: the run and the checkpoint that it goes on from, and what it changes
  parent/            a fork: that checkpoint, the parent's manifest, and its events up to there
  initial_model/     the best model of the run that this one goes on from, where it goes on from one
  study.db           a sweep: Optuna's storage
  trials.json        a sweep: its trials, as the driver last saw them
  trainings/         a notebook run: the trainings inside, 01-1f2e3d4c/, each as a run's folder
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIG = "config.json"
RUN_INFO = "run.json"
EDITS = "edits.json"
MANIFEST = "manifest.json"
DUPLICATES = "duplicates.json"
DATA_REVISION = "data_revision.json"
DESIRED = "desired"
CHANGES = "changes.json"
OWNER = "owner.json"
HEARTBEAT = "heartbeat"
OUTPUT_LOG = "output.log"
FAILURE = "failure"
REPORTS = "reports"
TEST_REPORT = "reports/test.json"
PREDICTIONS = "predictions"
CHECKPOINTS = "checkpoints"
TENSORBOARD = "tensorboard"
SOURCE = "source.ipynb"
NOTEBOOK = "notebook.ipynb"
STUDY = "study.db"
TRIALS = "trials.json"
TRAININGS = "trainings"
INITIAL_MODEL = "initial_model"
PARENT = "parent.json"
PARENT_FOLDER = "parent"
CERTIFICATE = "certificate.json"  # whether its steps were computed again to the last bit
BISECTION = "bisection.json"  # of a task: where two runs part
MIRRORED = ".mirror.json"  # what an object store has of the folder; it does not travel itself
BEST = "best"
LAST = "last"
OUTPUT_FOLDERS = {"ckpt_dir": CHECKPOINTS, "tb_root": TENSORBOARD}  # field of a config -> the folder that it moves

# Set in the environment of every process that belongs to a run: RUN_TAG=<run-id>/<attempt>. Escapees are found by it.
RUN_TAG = "IMGCLS_RUN"

# In the same environment: as JSON, what stood there before the run's own variables; null: nothing.
BEFORE = "IMGCLS_BEFORE"

INHERITED = 0  # the attempt in the name of a checkpoint that a fork has from its parent

_RUN_ID = re.compile(r"[0-9]{8}-[0-9]{6}-[0-9a-hjkmnp-tv-z]{6}")
_EVENTS = re.compile(r"events-(\d+)\.jsonl")
_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"


def new_run_id() -> str:
    """A new run id: UTC time and thirty random bits, so that ids sort by age and folders can be told apart."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime())
    return f"{stamp}-{''.join(secrets.choice(_ALPHABET) for _ in range(6))}"


def is_run_id(text: str) -> bool:
    """Whether a text has the form of a run id (and so is safe as a folder's name)."""
    return _RUN_ID.fullmatch(text) is not None


def node_name(node: int) -> str:
    """Where a further node of a run writes down its place."""
    return f"node-{node:03d}.json"


def node_log_name(node: int) -> str:
    return f"node-{node:03d}.log" if node else OUTPUT_LOG


def events_name(attempt: int) -> str:
    return f"events-{attempt:03d}.jsonl"


def attempt_of(path: Path) -> int | None:
    """The attempt whose events a file holds, by its name."""
    found = _EVENTS.fullmatch(path.name)
    return int(found[1]) if found else None


def elsewhere(config: Mapping[str, Any], folder: Path) -> tuple[Path, ...]:
    """The folders outside a run's folder in which its config puts checkpoints and event files (`external_folder`)."""
    named = (config.get(field) for field in OUTPUT_FOLDERS)
    return tuple(external_folder(text, folder) for text in named if isinstance(text, str) and text.strip())


def external_folder(text: str, folder: Path) -> Path:
    """The folder of one run in the folder that its `ckpt_dir` or `tb_root` names. folder: the run's.

    That of a training inside a notebook's run lies in that of the run, since its name alone is no run's.
    """
    inside = folder.parent.name == TRAININGS and is_run_id(folder.parent.parent.name)
    name = f"{folder.parent.parent.name}/{folder.name}" if inside else folder.name
    return Path(os.path.abspath(os.path.expanduser(text))) / name


def event_files(folder: Path) -> list[Path]:
    """The event files of a run's folder, in the order of its attempts."""
    found = [path for path in folder.glob("events-*.jsonl") if attempt_of(path) is not None and not path.is_symlink()]
    return sorted(found, key=lambda path: attempt_of(path) or 0)


def indices_name(attempt: int, rank: int | str) -> str:
    return f"indices-{attempt:03d}-{rank}.jsonl"


def launch_name(attempt: int) -> str:
    return f"launch-{attempt:03d}.json"


def job_log_name(attempt: int) -> str:
    return f"job-{attempt:03d}.log"


def exit_name(attempt: int) -> str:
    return f"exit-{attempt:03d}.json"


def report_name(epoch: int) -> str:
    return f"{REPORTS}/epoch-{epoch:04d}.json"


def checkpoint_name(attempt: int, step: int) -> str:
    return f"a{attempt:03d}-s{step:08d}"


def write_atomic(path: Path, data: bytes | str, *, mode: int = 0o600, settle: bool = True) -> None:
    """Write a whole file or nothing: temporary name, fsync, rename, fsync of the folder.

    settle: False leaves out the last, so that after a power cut it may be the file before; never half of one.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    payload = data.encode() if isinstance(data, str) else data
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(payload)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if settle:
        fsync_folder(path.parent)


def fsync_folder(folder: Path) -> None:
    """Make a rename inside a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

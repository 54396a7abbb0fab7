"""What surrounds an attempt: its folder and lock, torch's state, and errors as sentences for users.

Called by `run.train`. Knows nothing of models or data.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import torch

from imgcls_lab import heap, run_paths
from imgcls_lab.engine.reporting.recorder import Recorder
from imgcls_lab.engine.training.torch_settings import torch_defaults
from imgcls_lab.errors import ConfigError, ConflictError, DiskFullError, ImgclsError, OutOfMemoryError, ProcessLostError
from imgcls_lab.events import Failed, FailureKind

LOCK = ".engine.lock"


def as_imgcls_error(error: BaseException) -> ImgclsError | None:
    """Any error as one of ours, with a sentence for users; None for what is no error of the run (SystemExit)."""
    text = str(error)
    if isinstance(error, ImgclsError):
        return error
    if isinstance(error, KeyboardInterrupt):
        return ImgclsError("Interrupted twice; the last checkpoint is intact.")
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return OutOfMemoryError(
            "There was not enough memory for a batch. Lower batch_size and raise gradient_accumulation_steps instead, "
            "lower image_size, or take a smaller model."
        )
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or "No space left on device" in text:
        return DiskFullError(
            "The disk is full where the run writes. Free some space and resume the run; its checkpoints are intact."
        )
    in_group = torch.distributed.is_available() and torch.distributed.is_initialized()
    if (
        in_group
        and isinstance(error, RuntimeError)
        and (isinstance(error, torch.distributed.DistError) or "gloo" in text)
    ):
        return ProcessLostError("Another process of this run ended; the log may show why. Resume the run.")
    if not isinstance(error, Exception):
        return None
    line = text.strip().splitlines()[0] if text.strip() else "no message"
    return ImgclsError(f"Training ended with an unexpected {type(error).__name__}: {line}")


def emit_failed(recorder: Recorder, step: int, error: ImgclsError) -> None:
    """Write the `failed` event, if the disk takes it."""
    with contextlib.suppress(OSError):  # on a full disk there may be no space even for this
        recorder.emit(Failed(step=step, kind=FailureKind(error.kind), message=str(error)))


def make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"The run's folder “{folder}” cannot be made: {error.strerror}.") from error


@contextlib.contextmanager
def lock(folder: Path) -> Iterator[None]:
    """One trainer a folder. A POSIX lock: a forked loader process does not inherit it."""
    with os.fdopen(run_paths.open_to_write(folder, LOCK, os.O_WRONLY), "w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConflictError(f"Another process is training in “{folder}”. Wait for it, or stop it.") from None
        yield


def is_locked(folder: Path) -> bool:
    """Whether another process is training in a folder. Two that ask at the same moment do not see each other."""
    with os.fdopen(run_paths.open_to_write(folder, LOCK, os.O_RDWR), "rb") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            return True
    return False


@contextlib.contextmanager
def isolated_torch() -> Iterator[None]:
    """Inside, torch computes as in a new process; afterwards threads, random state and heap are as before."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())), torch_defaults():
        try:
            yield
        finally:
            torch.set_num_threads(threads)
            heap.release_freed_memory()

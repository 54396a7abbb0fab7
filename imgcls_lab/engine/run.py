"""`train`: one attempt at a run in this process, from the config to its last event.

Called by `python -m imgcls_lab.engine`, by `standalone` and by a kernel. Prepares what the loop needs, or restores
it from the newest good checkpoint, and turns everything that can go wrong into one sentence and a `failed` event.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig

from imgcls_lab import layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import checkpoint, data, hardware, losses, manifest
from imgcls_lab.engine.augment import Augmentation, crop_edge
from imgcls_lab.engine.loop import Progress, Training, fit
from imgcls_lab.engine.model import (
    Flavour,
    build,
    freeze_backbone,
    from_config,
    has_starved_convolution,
    read_flavour,
)
from imgcls_lab.engine.optim import WeightAverage, make_optimizer
from imgcls_lab.engine.outcome import Outcome
from imgcls_lab.engine.record import Recorder
from imgcls_lab.engine.scan import INDEX, ScanResult, scan
from imgcls_lab.engine.spec import EvalSpec
from imgcls_lab.errors import (
    ConfigError,
    ConflictError,
    DataError,
    DiskFullError,
    ImgclsError,
    OutOfMemoryError,
    Problem,
)
from imgcls_lab.protocol import Event, Failed, FailureKind, Finished, RunState, Started, Stopped

LOCK = ".engine.lock"
_EVENTS = re.compile(r"events-(\d+)\.jsonl")


def train(
    config: TrainConfig,
    folder: Path,
    *,
    attempt: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
) -> Outcome:
    """Train in this process, in that folder; goes on where the folder's newest good checkpoint stands.

    attempt: by default the one after those found in the folder. on_event hears every event. A set `stop`, SIGTERM or
    SIGINT (the last two only when called in the main thread) checkpoints at the next step and ends with the state
    `stopped`. Raises ImgclsError, after a `failed` event that says the same.
    """
    folder = Path(folder).absolute()
    stop = stop or threading.Event()
    _make_folder(folder)
    with _lock(folder), _signals(stop), _torch_state():
        if not (folder / layout.CONFIG).exists():
            layout.write_atomic(folder / layout.CONFIG, config.model_dump_json(indent=1))
        number = attempt or next_attempt(folder)
        with _open_recorder(folder, number, on_event) as recorder:
            progress = Progress()
            try:
                return _attempt(config, folder, recorder, stop, progress)
            except KeyboardInterrupt:
                _say_failed(recorder, progress.step, ImgclsError("Interrupted twice; the last checkpoint is intact."))
                raise
            except BaseException as error:
                known = as_known(error)
                if known is None:
                    raise
                _say_failed(recorder, progress.step, known)
                if known is error:
                    raise
                raise known from error


def next_attempt(folder: Path) -> int:
    """One more than the attempts that wrote events there."""
    found = [int(match[1]) for path in folder.iterdir() if (match := _EVENTS.fullmatch(path.name))]
    return max(found, default=0) + 1


def _attempt(
    config: TrainConfig, folder: Path, recorder: Recorder, stop: threading.Event, progress: Progress
) -> Outcome:
    began = manifest.read(folder)
    device = hardware.pick_device(config)
    threads = began["threads"] if began else hardware.pick_threads(config)
    torch.set_num_threads(threads)
    checkpoints = _real_folder(folder, layout.CHECKPOINTS, config.ckpt_dir, "ckpt_dir")
    board = _real_folder(folder, layout.TENSORBOARD, config.tb_root, "tb_root")
    checkpoint.sweep(checkpoints)

    recorder.phase("loading the model")
    good = checkpoint.newest_good(checkpoints, lambda text: recorder.notice(text, "warning"))
    flavour = None if began and good else read_flavour(config.model_flavour, config.revision, config.image_size)
    spec = flavour.spec if flavour else EvalSpec.from_json(began["spec"])  # type: ignore[index]
    edge = crop_edge(config.augmentation, spec.size)
    summary, train_set, val_set = data.list_splits(
        Path(config.root).expanduser().absolute(),
        config.val_fraction,
        config.seed,
        data.Reader(spec, edge, exact=False),
        data.Reader(spec),
    )
    model = _make_model(config, flavour, good, summary.classes, recorder)

    precision = began["precision"] if began else _precision(config, device, model, spec.size, recorder)

    recorder.phase("scanning images")
    scanned = scan(
        [train_set, val_set],
        summary.classes,
        cache=config.cache,
        index=folder / INDEX,
        progress=lambda done, total: recorder.phase("scanning images", done, total),
        stop=stop.is_set,
    )
    if scanned is None:
        return _stopped(recorder, folder, Progress())
    facts = {
        "precision": precision,
        "threads": threads,
        "classes": summary.classes,
        "spec": spec.to_json(),
        "data": {
            "root": os.fspath(summary.root),
            "fingerprint": scanned.fingerprint,
            "train_images": len(train_set),
            "val_images": len(val_set),
            "quarantined": scanned.quarantined,
        },
    }
    if began:
        _same_data(began, facts, summary.root)
    else:
        manifest.write(folder, config, device, facts)
        _tell_about_data(recorder, scanned, summary.notes)

    run = _assemble(
        config=config,
        model=model,
        classes=summary.classes,
        device=device,
        precision=precision,
        train_set=train_set,
        val_set=val_set,
        recorder=recorder,
        checkpoints=checkpoints,
        stop=stop,
    )
    run.progress = progress
    if good:
        _restore(run, good)
    _repair_links(run)
    if device.type == "cuda":
        _cache_on_device([train_set, val_set], device)
    recorder.open_board(board, progress.step)
    recorder.emit(
        Started(
            resume_step=progress.step,
            total_steps=run.total_steps,
            steps_per_epoch=run.steps_per_epoch,
            epochs=config.epochs,
            train_images=len(train_set),
            val_images=len(val_set),
            classes=len(summary.classes),
            device=str(device),
            precision=precision,
            threads=threads,
        )
    )
    if not fit(run):
        return _stopped(recorder, folder, progress)
    recorder.emit(Finished(step=progress.step, best_epoch=progress.best_epoch, values=progress.best_values))
    return Outcome(RunState.SUCCEEDED, progress.step, folder, dict(progress.best_values))


def _make_model(
    config: TrainConfig, flavour: Flavour | None, good: Path | None, classes: list[str], recorder: Recorder
) -> nn.Module:
    """A new model; on a resume its form alone, from the checkpoint, so that neither hub nor model folder is needed."""
    if flavour is None:
        assert good is not None  # noqa: S101
        return from_config(AutoConfig.from_pretrained(good, local_files_only=True, trust_remote_code=False), good.name)
    return build(flavour, classes, config.load_pretrained, config.seed, recorder.notice)


def _precision(config: TrainConfig, device: torch.device, model: nn.Module, size: int, recorder: Recorder) -> str:
    """The precision of all attempts; never one in which this hardware computes wrong numbers."""
    precision = hardware.pick_precision(config, device)
    if precision != "bf16" or device.type != "cpu" or not has_starved_convolution(model, size):
        return precision
    reason = f"At {size} px this model's last feature maps are too small for bf16 on a CPU"
    if config.precision == "bf16":
        text = f"{reason}. Set precision to auto or fp32, or raise image_size."
        raise ConfigError(text, [Problem("precision", text)])
    recorder.notice(f"{reason}, so it trains in fp32.")
    return "fp32"


def _assemble(
    *,
    config: TrainConfig,
    model: nn.Module,
    classes: list[str],
    device: torch.device,
    precision: str,
    train_set: data.ImageSet,
    val_set: data.ImageSet,
    recorder: Recorder,
    checkpoints: Path,
    stop: threading.Event,
) -> Training:
    """Everything the loop needs, at step 0."""
    torch.manual_seed(config.seed)
    model = model.to(device)
    if config.channels_last:
        model = model.to(memory_format=torch.channels_last)
    parts = freeze_backbone(model) if config.freeze_backbone else [model]
    counts = data.class_counts(train_set.labels, len(classes))
    return Training(
        config=config,
        classes=classes,
        device=device,
        precision=precision,
        model=model,
        net=torch.compile(model) if config.compile else model,  # type: ignore[arg-type]
        trained_parts=parts,
        optimizer=make_optimizer(model, config),
        scaler=torch.amp.GradScaler(device.type, enabled=precision == "fp16"),
        average=WeightAverage(model, config.ema_decay) if config.ema_decay else None,
        train=train_set,
        val=val_set,
        workers=data.pick_workers(config.workers, train_set.pixels is not None, device),
        augment=Augmentation(config.augmentation, config.hflip, config.seed, train_set.reader.spec),
        loss_weights=losses.class_weights(counts).to(device) if config.balance == "class_weights" else None,
        draw_weights=1.0 / counts[train_set.labels] if config.balance == "sampler" else None,
        recorder=recorder,
        checkpoints=checkpoints,
        stop=stop,
        progress=Progress(),
    )


def _restore(run: Training, good: Path) -> None:
    """Put a checkpoint's state into a run that was assembled anew."""
    state = checkpoint.load_state(good)
    exported = checkpoint.load_weights(good)
    run.model.load_state_dict(state.get("model", exported))
    if run.average:
        run.average.model.load_state_dict(exported)
        run.average.updates = state["updates"]
    run.optimizer.load_state_dict(state["optimizer"])
    run.scaler.load_state_dict(state["scaler"])
    torch.set_rng_state(state["random"]["cpu"])
    if run.device.type == "cuda" and "cuda" in state["random"]:
        torch.cuda.set_rng_state(state["random"]["cuda"], run.device)
    for name, value in state["progress"].items():
        setattr(run.progress, name, value)


def _repair_links(run: Training) -> None:
    """After going back to an older checkpoint, `best` and the epochs' links must not name what was superseded."""
    best = run.progress.best_checkpoint
    there = best is not None and checkpoint.damage(run.checkpoints / best) is None
    if checkpoint.target(run.checkpoints, layout.BEST) != (best if there else None):
        checkpoint.link(run.checkpoints, layout.BEST, best if there else None)
    for path in run.checkpoints.glob("epoch-*"):
        if path.is_symlink() and int(path.name.split("-")[1]) > run.progress.epoch:
            path.unlink()


def _same_data(began: dict[str, Any], facts: dict[str, Any], root: Path) -> None:
    """A resume is exact only on the same images. Raises DataError."""
    if began["classes"] != facts["classes"] or began["data"]["fingerprint"] != facts["data"]["fingerprint"]:
        raise DataError(
            f"The images under “{root}” changed since this run began, so it cannot go on exactly. Put them back, or "
            "start a new run."
        )


def _tell_about_data(recorder: Recorder, scanned: ScanResult, notes: list[str]) -> None:
    for note in notes:
        recorder.notice(note)
    bad = list(scanned.quarantined.values())
    if bad:
        recorder.notice(
            f"{len(bad)} {'image is' if len(bad) == 1 else 'images are'} left out. {bad[0]}"
            + (" The others are listed in manifest.json." if len(bad) > 1 else ""),
            "warning",
        )


def _cache_on_device(sets: list[data.ImageSet], device: torch.device) -> None:
    """Move cached images to a GPU that has plenty of room."""
    needed = sum(images.bytes_if_cached for images in sets)
    if all(images.pixels is not None for images in sets) and needed < torch.cuda.mem_get_info(device)[0] / 5:
        for images in sets:
            images.pixels = images.pixels.to(device)  # type: ignore[union-attr]


def _stopped(recorder: Recorder, folder: Path, progress: Progress) -> Outcome:
    recorder.emit(Stopped(step=progress.step))
    return Outcome(
        RunState.STOPPED,
        progress.step,
        folder,
        dict(progress.best_values),
        f"Stopped at step {progress.step}; it can be resumed.",
    )


# ── around an attempt ───────────────────────────────────────────────────────────────────────────────────────────
def as_known(error: BaseException) -> ImgclsError | None:
    """An error as one that a user can read; None for what is no error of the run (SystemExit and the like)."""
    text = str(error)
    if isinstance(error, ImgclsError):
        return error
    if isinstance(error, torch.OutOfMemoryError | MemoryError) or "can't allocate memory" in text:
        return OutOfMemoryError(
            "There was not enough memory for a batch. Lower batch_size (and raise accumulate instead), "
            "lower image_size, or take a smaller model."
        )
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    if full or "No space left on device" in text:
        return DiskFullError(
            "The disk is full where the run writes. The last checkpoint is intact; free some room and resume the run."
        )
    if not isinstance(error, Exception):
        return None
    line = text.strip().splitlines()[0] if text.strip() else "no message"
    return ImgclsError(f"Training ended with an unexpected {type(error).__name__}: {line}")


def _say_failed(recorder: Recorder, step: int, error: ImgclsError) -> None:
    with contextlib.suppress(OSError):  # on a full disk there may be no room even for this
        recorder.emit(Failed(step=step, kind=FailureKind(error.kind), message=str(error)))


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"The run's folder “{folder}” cannot be made: {error.strerror}.") from error


def _open_recorder(folder: Path, attempt: int, on_event: Callable[[Event], None] | None) -> Recorder:
    try:
        return Recorder(folder, attempt, on_event)
    except OSError as error:
        raise as_known(error) or error from error


def _real_folder(folder: Path, name: str, elsewhere: str | None, setting: str) -> Path:
    """`folder/name`, which lies at `elsewhere/<run-id>` and is a link to it where that is set."""
    path = folder / name
    try:
        if not elsewhere:
            path.mkdir(mode=0o700, exist_ok=True)
        elif not path.exists():
            real = Path(elsewhere).expanduser().absolute() / folder.name
            real.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(real)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        text = f"The folder “{elsewhere or path}” of {setting} cannot be made: {error.strerror}."
        raise ConfigError(text) from error
    return path.resolve()


@contextlib.contextmanager
def _lock(folder: Path) -> Iterator[None]:
    """One trainer a folder. A POSIX lock: a forked loader process does not inherit it."""
    with (folder / LOCK).open("w") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ConflictError(f"Another process is training in “{folder}”. Wait for it, or stop it.") from None
        yield


@contextlib.contextmanager
def _signals(stop: threading.Event) -> Iterator[None]:
    """SIGTERM and the first SIGINT set `stop`; a second SIGINT interrupts."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_signal(number: int, _frame: object) -> None:
        if number == signal.SIGINT and stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _torch_state() -> Iterator[None]:
    """Leave threads and random state of a kernel as they were."""
    threads = torch.get_num_threads()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        try:
            yield
        finally:
            torch.set_num_threads(threads)

"""Everything between a config and the first step: folders, data, model, and what an earlier attempt left.

Called by `run.train`. What is resolved here on the first attempt (precision, threads, data) is written to the
manifest and holds for all later ones.
"""

from __future__ import annotations

import errno
import os
import threading
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoConfig

from imgcls_lab import run_layout
from imgcls_lab.class_names import twins
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.data import image_set, scan_report
from imgcls_lab.engine.data.cache_locations import Shared
from imgcls_lab.engine.data.scan import ScanResult, caches_for, scan
from imgcls_lab.engine.data.scan_index import index_path
from imgcls_lab.engine.data.split import Splits, list_splits
from imgcls_lab.engine.distributed.process_group import Ranks
from imgcls_lab.engine.evaluation.evaluate import check_monitor
from imgcls_lab.engine.model import freezing
from imgcls_lab.engine.model.batch_norm import check_batch_of_one
from imgcls_lab.engine.model.classifier import Flavour, build, from_config, read_flavour, with_rates
from imgcls_lab.engine.model.memory_format import format_of, pick_memory_format
from imgcls_lab.engine.model.precision import pick_precision
from imgcls_lab.engine.optim import losses, lr_schedules
from imgcls_lab.engine.optim.optimizers import WeightAverage, check_optimizer, make_optimizer
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.reporting.recorder import Recorder
from imgcls_lab.engine.reporting.tensorboard_summaries import open_board
from imgcls_lab.engine.training import inputs, plugins, save_restore
from imgcls_lab.engine.training.state import Progress, Training
from imgcls_lab.engine.transforms.augment import Augmentation, crop_shape
from imgcls_lab.engine.transforms.augment_recipes import Recipe, recipe_of
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError, DataError, Problem
from imgcls_lab.events import Started
from imgcls_lab.planning.steps import plan_steps


def prepare(
    config: TrainConfig,
    folder: Path,
    recorder: Recorder,
    stop: threading.Event,
    progress: Progress,
    *,
    shared: Shared | None = None,
    kept: plugins.Record,
    ranks: Ranks,
) -> Training | None:
    """A run that is ready for its next step, `started` said; None if stopped before. Raises ImgclsError.

    progress: a new one; becomes the run's, so that the caller knows the step when something goes wrong; shared: as in
    `run.train`; kept: the plugins in the run's folder, which are active; ranks: this process among those of the run.
    """
    _check_names(config)
    began = manifest.read(folder)
    _check_processes(config, began, ranks)
    recipe = recipe_of(config)
    device = ranks.device(hardware.pick_device(config))
    threads = began["threads"] if began else hardware.pick_threads(config)
    _tell_what_differs(config, began, device, recorder)
    torch.set_num_threads(max(1, threads // ranks.count))
    hardware.keep_freed_memory()
    checkpoints = _real_folder(folder, run_layout.CHECKPOINTS, config.ckpt_dir, "ckpt_dir")
    board = _real_folder(folder, run_layout.TENSORBOARD, config.tb_root, "tb_root")
    if ranks.writes:
        checkpoint.sweep(checkpoints)
    ranks.any()  # nobody looks before it is swept

    recorder.phase("loading the model")
    good = checkpoint.newest_good(checkpoints, lambda text: recorder.notice(text, "warning"))
    commit = (began or {}).get("model", {}).get("commit")  # what the run began with, even without a checkpoint
    flavour = (
        None if began and good else read_flavour(config.model_flavour, commit or config.revision, config.image_size)
    )
    spec = flavour.spec if flavour else EvalSpec.from_json(began["spec"])  # type: ignore[index]
    splits = list_splits(
        config, image_set.Reader(spec, crop_shape(recipe, spec.shape), exact=False), image_set.Reader(spec)
    )
    summary, train_set, val_set = splits.summary, splits.train, splits.val
    if good:
        _same_classes(good, summary.classes)
    model = _make_model(config, flavour, good, summary.classes, recorder)
    memory_format = format_of(began["channels_last"]) if began else pick_memory_format(config, model)
    chosen = None if began else pick_precision(config, device, model, spec.shape)
    if chosen and chosen.told:
        recorder.notice(chosen.reason)
    precision = ranks.exchange({"is": chosen.name if chosen else began["precision"]})[0]["is"]  # type: ignore[index]

    recorder.phase("scanning images")
    scanned = _scan(config, splits, shared or Shared.nothing(folder), recorder, stop=stop, ranks=ranks)
    if scanned is None:
        return None
    views = (
        began.get("feature_views", 0)
        if began
        else inputs.views_for(config, recipe, model, (train_set, val_set), recorder.notice)
    )
    check_monitor(config, val_set.labels, len(summary.classes))
    facts = {
        "precision": precision,
        "precision_reason": chosen.reason if chosen else None,
        "channels_last": memory_format is torch.channels_last,
        "threads": threads,
        "feature_views": views,
        "processes": ranks.count,
        "model": {"name": config.model_flavour, "commit": flavour.revision if flavour else None},
        "plugins": kept,
        "classes": summary.classes,
        "spec": spec.to_json(),
        "data": scan_report.data_facts(splits, scanned),
    }
    if began:
        _same_data(began, facts, summary.root)
    elif ranks.writes:
        manifest.write(folder, config, device, facts)
        scan_report.write_duplicates(folder, splits, scanned)
        scan_report.tell(recorder.notice, splits, scanned)

    run = _assemble(
        config=config,
        model=model,
        classes=summary.classes,
        device=device,
        precision=precision,
        memory_format=memory_format,
        recipe=recipe,
        train_set=train_set,
        val_set=val_set,
        test_set=splits.test,
        recorder=recorder,
        checkpoints=checkpoints,
        stop=stop,
        progress=progress,
        ranks=ranks,
    )
    _bring_to(run, good)
    run.feed = inputs.feed_of(run, views)
    if device.type == "cuda":
        _cache_on_device([train_set, val_set], device)
    if ranks.writes:
        recorder.board = open_board(run, board)
    recorder.emit(
        Started(
            resume_step=run.progress.step,
            total_steps=run.steps.total_steps,
            steps_per_epoch=run.steps.steps_per_epoch,
            epochs=config.epochs,
            train_images=len(train_set),
            val_images=len(val_set),
            classes=len(summary.classes),
            device=str(device),
            precision=precision,
            threads=threads,
        )
    )
    return run


def _make_model(
    config: TrainConfig, flavour: Flavour | None, good: Path | None, classes: list[str], recorder: Recorder
) -> nn.Module:
    """A new model; on a resume its form alone, from the checkpoint, so that neither hub nor model folder is needed."""
    if flavour is None:
        assert good is not None  # noqa: S101
        return from_config(AutoConfig.from_pretrained(good, local_files_only=True, trust_remote_code=False), good.name)
    flavour = with_rates(flavour, config)
    model = build(flavour, classes, config.load_pretrained, config.seed, recorder.notice)
    check_batch_of_one(model, config, torch.zeros(1, 3, *flavour.spec.shape))
    return model


def _check_names(config: TrainConfig) -> None:
    """Raises ConfigError for a name that nobody registered and what does not go with it, before anything slow."""
    losses.LOSSES.get(config.loss)
    lr_schedules.SCHEDULES.get(config.schedule)
    check_optimizer(config)


def _assemble(
    *,
    config: TrainConfig,
    model: nn.Module,
    classes: list[str],
    device: torch.device,
    precision: str,
    memory_format: torch.memory_format,
    recipe: Recipe,
    train_set: image_set.ImageSet,
    val_set: image_set.ImageSet,
    test_set: image_set.ImageSet,
    recorder: Recorder,
    checkpoints: Path,
    stop: threading.Event,
    progress: Progress,
    ranks: Ranks,
) -> Training:
    """Everything the loop needs, at step 0."""
    torch.manual_seed(config.seed)
    model = model.to(device).to(memory_format=memory_format)
    if config.sync_batchnorm:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    freezing.prepare(model, config)
    counts = image_set.class_counts(train_set.labels, len(classes))
    weights = losses.class_weights(counts).to(device) if config.balance == "class_weights" else None
    return Training(
        config=config,
        classes=classes,
        device=device,
        precision=precision,
        model=model,
        net=torch.compile(model) if config.compile else model,  # type: ignore[arg-type]
        optimizer=make_optimizer(model, config),
        scaler=torch.amp.GradScaler(device.type, enabled=precision == "fp16"),
        average=WeightAverage(model, config.ema_decay) if config.ema_decay else None,
        train=train_set,
        val=val_set,
        test=test_set,
        workers=image_set.pick_workers(config.num_workers, train_set.pixels is not None, device, ranks.count),
        augment=Augmentation(recipe, config.seed, train_set.reader.spec, memory_format),
        loss=losses.make_loss(config, len(classes), weights),
        draw_weights=1.0 / counts[train_set.labels] if config.balance == "sampler" else None,
        recorder=recorder,
        checkpoints=checkpoints,
        stop=stop,
        progress=progress,
        ranks=ranks,
    )


def _scan(
    config: TrainConfig, splits: Splits, shared: Shared, recorder: Recorder, *, stop: threading.Event, ranks: Ranks
) -> ScanResult | None:
    """Look at every image once; None if stopped. Of several processes the others find the first one's index."""
    copies = ranks.count if ranks.writes else ranks.count - 1
    # what a GPU decodes is never cached: its last bits are others, and room for a cache must not decide about them
    apart = [None] if config.decoder == "gpu" else []
    used = [splits.train, splits.val][len(apart) :]
    scanned = None
    for _turn in ranks.turns():
        caches = caches_for(used, config.cache, shared, copies)
        scanned = scan(
            [splits.train, splits.val, splits.test],
            splits.summary.classes,
            caches=[*apart, *(caches or [])],
            on_duplicates=config.on_duplicates,
            index=index_path(shared.scans, splits.summary.root),
            progress=lambda done, total: recorder.phase("scanning images", done, total),
            stop=stop.is_set,
        )
    if ranks.any(scanned is None)[0]:
        return None
    plan_steps(config, len(splits.train), ranks.count)  # refuses too few images for the processes
    return scanned


def _bring_to(run: Training, good: Path | None) -> None:
    """Put a run where its checkpoint stands, if it has one, and let its processes meet."""
    if good:
        save_restore.restore(run, good)
    elif run.ranks.rank:
        torch.manual_seed(run.config.seed + run.ranks.rank)  # each process has a dropout of its own
    run.net = run.ranks.wrap(run.net, run.model, run.val.reader.spec.shape, run.device)
    if run.ranks.writes:
        save_restore.repair_links(run)


def _check_processes(config: TrainConfig, began: dict[str, Any] | None, ranks: Ranks) -> None:
    """Raises ConfigError for another number of processes than the run began with: its steps would not be the same."""
    before = (began or {}).get("processes", 1)
    if began and before != ranks.count:
        text = f"This run began with {before} processes and cannot go on with {ranks.count}. Start as many again."
        raise ConfigError(text, [Problem("num_processes", text)])
    if config.sync_batchnorm and hardware.pick_device(config).type != "cuda":
        text = "Batch norms are synchronous on GPUs only. Turn sync_batchnorm off."
        raise ConfigError(text, [Problem("sync_batchnorm", text)])


def _tell_what_differs(
    config: TrainConfig, began: dict[str, Any] | None, device: torch.device, recorder: Recorder
) -> None:
    """Record what is not as the run began: settings, none of which changes the result, and the hardware."""
    changes = config.changes_from((began or {}).get("config", {}))
    if changes:
        shown = ", ".join(f"{name} {_shown(now)} (was {_shown(was)})" for name, (was, now) in changes.items())
        recorder.notice(f"Goes on with other settings than the run began with: {shown}.")
    _tell_other_hardware(began, device, recorder)


def _tell_other_hardware(began: dict[str, Any] | None, device: torch.device, recorder: Recorder) -> None:
    """Say where a resume cannot be exact since the machine is another one."""
    before, now = hardware.computes(began["hardware"] if began else {}), hardware.computes(hardware.describe(device))
    if before not in (None, now):
        recorder.notice(
            f"This run began on “{before}” and goes on with “{now}”, which rounds differently: the result is sound, "
            "but not to the bit that of a run that was never interrupted.",
            "warning",
        )


def _same_classes(good: Path, classes: list[str]) -> None:
    """The weights of a checkpoint know their classes by number, so the order must be the same. Raises DataError."""
    stored = AutoConfig.from_pretrained(good, local_files_only=True, trust_remote_code=False).id2label
    names = [stored[number] for number in sorted(stored)]
    if names != classes:
        one, other = next(pair for pair in zip_longest(names, classes, fillvalue="") if pair[0] != pair[1])
        alike = twins({f"the checkpoint “{good.name}”": [one], "the data set": [other]})
        raise DataError(
            alike
            or f"The classes changed since this run began: where the checkpoint “{good.name}” has “{one}”, the data "
            f"set has “{other}”. Put the class folders back, or start a new run.",
            reason="classes_changed",
            checkpoint=one,
            found=other,
        )


def _same_data(began: dict[str, Any], facts: dict[str, Any], root: Path) -> None:
    """A resume is exact only on the same images. Raises DataError."""
    if began["classes"] != facts["classes"] or began["data"]["fingerprint"] != facts["data"]["fingerprint"]:
        raise DataError(
            f"The images under “{root}” changed since this run began, so it cannot go on exactly. Put them back, or "
            "start a new run.",
            reason="images_changed",
            root=root,
        )


def _shown(value: Any) -> str:
    return "empty" if value is None else str(value)


def _cache_on_device(sets: list[image_set.ImageSet], device: torch.device) -> None:
    """Move cached images to a GPU that has plenty of room."""
    needed = sum(images.bytes_if_cached for images in sets)
    if all(images.pixels is not None for images in sets) and needed < torch.cuda.mem_get_info(device)[0] / 5:
        for images in sets:
            images.move_pixels(device)


def _real_folder(folder: Path, name: str, elsewhere: str | None, setting: str) -> Path:
    """`folder/name`, which lies at `elsewhere/<run-id>` and is a link to it where that is set."""
    path = folder / name
    try:
        if not elsewhere:
            path.mkdir(mode=0o700, exist_ok=True)
        elif not path.exists():
            real = Path(os.path.expanduser(elsewhere)).absolute() / folder.name
            real.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            path.symlink_to(real)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        text = f"The folder “{elsewhere or path}” of {setting} cannot be made: {error.strerror}."
        raise ConfigError(text) from error
    return path.resolve()

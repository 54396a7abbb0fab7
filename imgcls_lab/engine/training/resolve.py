"""What holds for all attempts at a run: its device, precision, files and model, decided on the first attempt.

Called by `prepare`, before any image is opened. Later attempts take what the manifest and the newest checkpoint say.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

import torch
from torch import nn

from imgcls_lab import heap, output_folders, run_layout
from imgcls_lab.class_names import twins
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.data import cache_locations
from imgcls_lab.engine.data.image_set import Reader
from imgcls_lab.engine.data.split import Splits, list_splits
from imgcls_lab.engine.distributed.process_group import ProcessGroup
from imgcls_lab.engine.model.batch_norm import check_batch_of_one
from imgcls_lab.engine.model.classifier import Flavour, build, read_flavour, with_dropout_rates
from imgcls_lab.engine.model.labels import read_config
from imgcls_lab.engine.model.loading import find_model, new_model
from imgcls_lab.engine.model.memory_format import format_of, pick_memory_format
from imgcls_lab.engine.model.precision import Precision, pick_precision
from imgcls_lab.engine.optim import losses, lr_scheduler
from imgcls_lab.engine.optim.optimizers import check_optimizer
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.reporting.recorder import Recorder
from imgcls_lab.engine.training import forking, overlay, plugins
from imgcls_lab.engine.training.fetch_weights import fetch_weights
from imgcls_lab.engine.training.state import Attempt, ComputeSettings, planned_processes
from imgcls_lab.engine.transforms.augment import crop_shape
from imgcls_lab.engine.transforms.augment_recipes import Recipe, recipe_of
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError, DataError, Problem
from imgcls_lab.planning.processes import check_started
from imgcls_lab.settings import Settings


@dataclass(frozen=True)
class EarlierAttempts:
    """What earlier attempts left in the run's folder; both None on the first attempt."""

    saved_manifest: dict[str, Any] | None
    resume_checkpoint: Path | None


@dataclass(frozen=True)
class RunFolders:
    """Where checkpoints and TensorBoard's files really lie, links resolved."""

    checkpoints: Path
    tensorboard: Path


@dataclass(frozen=True)
class ModelSource:
    """Where the model comes from. flavour: None on a resume, which takes the model's form from the checkpoint."""

    flavour: Flavour | None
    spec: EvalSpec

    @property
    def commit(self) -> str | None:
        return self.flavour.files.commit if self.flavour else None


@dataclass(frozen=True)
class Resolved:
    """All that is decided before the images are scanned.

    model: on the CPU, with its first weights, or on a resume without those of the checkpoint; splits: the files of each
    split by name; plugin_record: the plugin files in the run's folder.
    """

    earlier: EarlierAttempts
    folders: RunFolders
    compute: ComputeSettings
    source: ModelSource
    model: nn.Module
    splits: Splits
    recipe: Recipe
    plugin_record: plugins.Record


def resolve(attempt: Attempt, plugin_record: plugins.Record) -> Resolved | None:
    """Decide on a first attempt, or read what was decided; None if stopped. Raises ImgclsError.

    plugin_record: the plugins in the run's folder, which are active.
    """
    config, recorder, group = attempt.config, attempt.recorder, attempt.group
    _check_names(config)
    saved_manifest = manifest.read(recorder.folder)
    _check_processes(attempt, saved_manifest)
    recipe = recipe_of(config)
    device = group.device(hardware.pick_device(config))
    decided = saved_manifest or forking.inherited_decisions(attempt)
    threads = decided.get("threads") or hardware.pick_threads(config)
    _report_changed_settings(config, saved_manifest, recorder)
    _report_other_hardware(saved_manifest or forking.inherited_manifest(attempt), device, recorder)
    # in each attempt as many threads a process, since their number changes the last bits
    torch.set_num_threads(max(1, threads // planned_processes(config, group)))
    heap.keep_freed_memory()
    folders = _make_folders(config, recorder.folder, group)
    for _turn in group.main_first():
        forking.bring(attempt, folders.checkpoints)

    recorder.phase("loading the model")
    resume_checkpoint = checkpoint.newest_intact(folders.checkpoints, lambda text: recorder.notice(text, "warning"))
    earlier = EarlierAttempts(saved_manifest, resume_checkpoint)
    source = _find_model(attempt, earlier)
    if not fetch_weights(attempt, source.flavour):
        return None
    splits = _list_splits(config, source.spec, recipe)._replace(overlay=overlay.of_run(attempt, saved_manifest))
    if resume_checkpoint:
        _check_same_classes(resume_checkpoint, splits.summary.classes)
    model = _make_model(attempt, source, resume_checkpoint, splits.summary.classes)
    compute = _pick_compute(attempt, decided, model, source.spec, device=device, threads=threads)
    return Resolved(earlier, folders, compute, source, model, splits, recipe, plugin_record)


def _check_names(config: TrainConfig) -> None:
    """Raises ConfigError for a name that nobody registered and what does not go with it, before anything slow."""
    losses.LOSSES.get(config.loss)
    lr_scheduler.SCHEDULES.get(config.schedule)
    check_optimizer(config)


def _check_processes(attempt: Attempt, saved_manifest: dict[str, Any] | None) -> None:
    """Raises ConfigError for a number of processes that the config does not allow: its steps would not be the same."""
    config, group = attempt.config, attempt.group
    planned = (saved_manifest or {}).get("processes", planned_processes(config, group))
    check_started(config, group.world_size, planned)
    if group.world_size < planned:
        attempt.recorder.notice(
            f"This attempt trains with {group.world_size} of {planned} processes. The order of the images is the same; "
            "the weights are not bit-equal to those of a run that always had all processes.",
        )
    if config.sync_batchnorm and hardware.pick_device(config).type != "cuda":
        text = "Batch norms are synchronous on GPUs only. Turn sync_batchnorm off."
        raise ConfigError(text, [Problem("sync_batchnorm", text)])


def _report_changed_settings(config: TrainConfig, saved_manifest: dict[str, Any] | None, recorder: Recorder) -> None:
    """Report the settings that differ from those that the run began with; none of them changes the result."""
    changes = config.changes_from((saved_manifest or {}).get("config", {}))
    if changes:
        shown = ", ".join(f"{name} {_shown(now)} (was {_shown(was)})" for name, (was, now) in changes.items())
        recorder.notice(f"Continues with other settings than the run began with: {shown}.")


def _report_other_hardware(saved_manifest: dict[str, Any] | None, device: torch.device, recorder: Recorder) -> None:
    """Warn where a resume cannot be exact since the machine is another one."""
    before = hardware.arithmetic_of(saved_manifest["hardware"] if saved_manifest else {})
    now = hardware.arithmetic_of(hardware.describe(device))
    if before not in (None, now):
        recorder.notice(
            f"This run began on “{before}” and continues on “{now}”, which rounds differently: the result is sound, "
            "but not bit-equal to that of a run that was never interrupted.",
            "warning",
        )


def _shown(value: Any) -> str:
    return "empty" if value is None else str(value)


def _make_folders(config: TrainConfig, folder: Path, group: ProcessGroup) -> RunFolders:
    output_folders.check(config.model_dump(include={"root", *run_layout.OUTPUT_FOLDERS}), Settings())
    for _turn in group.main_first():
        _refuse_links(folder)
        folders = RunFolders(
            _real_folder(folder, run_layout.CHECKPOINTS, config.ckpt_dir, "ckpt_dir"),
            _real_folder(folder, run_layout.TENSORBOARD, config.tb_root, "tb_root"),
        )
    if group.is_main:
        checkpoint.sweep(folders.checkpoints)
    group.any()  # no process reads it before it is swept
    return folders


def _refuse_links(folder: Path) -> None:
    """Raises ConfigError where a folder that the run writes into is a link: it would write and delete elsewhere."""
    caches = cache_locations.SCANS, cache_locations.CACHE
    for name in (run_layout.REPORTS, run_layout.PREDICTIONS, run_layout.FAILURE, plugins.FOLDER, *caches):
        if (folder / name).is_symlink():
            raise _led_out(folder / name)


def _led_out(path: Path) -> ConfigError:
    text = f"“{path}” is a link that the run's config does not name, so nothing is written there. Remove it."
    return ConfigError(text, reason="link_in_run_folder", path=str(path))


def _real_folder(folder: Path, name: str, elsewhere: str | None, setting: str) -> Path:
    """`folder/name`; where `elsewhere` is set, a link to the run's part of it. setting: the config field of that."""
    path = folder / name
    outside = run_layout.external_folder(elsewhere, folder) if elsewhere else None
    linked = path.is_symlink()
    if linked and (outside is None or os.path.normpath(os.readlink(path)) != str(outside)):
        raise _led_out(path)
    try:
        if outside is None:
            path.mkdir(mode=0o700, exist_ok=True)
        elif linked or not path.exists():
            output_folders.claim(outside, folder, linked=linked)
            if not linked:
                path.symlink_to(outside)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        text = f"The folder “{elsewhere or path}” of {setting} cannot be made: {error.strerror}."
        raise ConfigError(text) from error
    return path.resolve()


def _find_model(attempt: Attempt, earlier: EarlierAttempts) -> ModelSource:
    """The model that the config names, at the commit that the run began with, even without a checkpoint."""
    config, saved_manifest = attempt.config, earlier.saved_manifest or forking.inherited_manifest(attempt)
    if saved_manifest and earlier.resume_checkpoint:
        return ModelSource(None, EvalSpec.from_json(saved_manifest["spec"]))
    commit = (saved_manifest or {}).get("model", {}).get("commit")
    flavour = read_flavour(config.model_flavour, commit or config.revision, config.image_size)
    return ModelSource(flavour, flavour.spec)


def _list_splits(config: TrainConfig, spec: EvalSpec, recipe: Recipe) -> Splits:
    train_reader = Reader(spec, crop_shape(recipe, spec.shape), exact=False)
    return list_splits(config, train_reader, Reader(spec))


def _check_same_classes(resume_checkpoint: Path, classes: list[str]) -> None:
    """The weights of a checkpoint know their classes by number, so the order must be the same. Raises DataError."""
    stored: Any = read_config(find_model(str(resume_checkpoint), None))[0].id2label
    names = [stored[number] for number in sorted(stored)]
    if names != classes:
        one, other = next(pair for pair in zip_longest(names, classes, fillvalue="") if pair[0] != pair[1])
        alike = twins({f"the checkpoint “{resume_checkpoint.name}”": [one], "the data set": [other]})
        raise DataError(
            alike
            or f"The classes changed since this run began: where the checkpoint “{resume_checkpoint.name}” has "
            f"“{one}”, the data set has “{other}”. Put the class folders back, or start a new run.",
            reason="classes_changed",
            checkpoint=one,
            found=other,
        )


def _make_model(attempt: Attempt, source: ModelSource, resume_checkpoint: Path | None, classes: list[str]) -> nn.Module:
    """A new model; on a resume its form alone, from the checkpoint, so that neither hub nor model folder is needed."""
    config, recorder = attempt.config, attempt.recorder
    if source.flavour is None:
        assert resume_checkpoint is not None  # noqa: S101 - as `_find_model` decides
        if attempt.fork is not None and forking.is_inherited(resume_checkpoint):
            flavour = with_dropout_rates(read_flavour(str(resume_checkpoint), None, None), config)
            if attempt.fork.changed(config) & forking.LORA:
                return build(flavour, classes, pretrained=True, seed=config.seed, notify=recorder.notice)
            return new_model(flavour.config, resume_checkpoint.name)
        model_config, _ = read_config(find_model(str(resume_checkpoint), None))
        return new_model(model_config, resume_checkpoint.name)
    flavour = with_dropout_rates(source.flavour, config)
    model = build(flavour, classes, config.load_pretrained, config.seed, recorder.notice)
    check_batch_of_one(model, config, torch.zeros(1, 3, *flavour.spec.shape))
    return model


def _pick_compute(
    attempt: Attempt,
    decided: dict[str, Any],
    model: nn.Module,
    spec: EvalSpec,
    *,
    device: torch.device,
    threads: int,
) -> ComputeSettings:
    """Precision and memory layout: what was decided or, on the first attempt, what suits model and hardware.

    decided: by the first attempt or by the parent of a fork, as the manifest has it.
    """
    config, recorder = attempt.config, attempt.recorder
    if "channels_last" in decided:
        memory_format = format_of(decided["channels_last"])
    else:
        memory_format = pick_memory_format(config, model)
    if "precision" in decided:
        chosen = Precision(decided["precision"], None)
    else:
        chosen = pick_precision(config, device, model, spec.shape)
    if chosen.reason and chosen.notify:
        recorder.notice(chosen.reason)
    precision = attempt.group.all_gather({"is": chosen.name})[0]["is"]  # that of the main process
    return ComputeSettings(device, threads, precision, chosen.reason, memory_format)

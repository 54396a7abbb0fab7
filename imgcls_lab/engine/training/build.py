"""Builds what the loop trains: model on its device, optimizer, inputs; restored from a checkpoint where there is one.

Called by `prepare`, after `resolve` and `scan`. Random numbers are drawn here: another order would change every run.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from imgcls_lab import private_folder, run_layout
from imgcls_lab.engine.data.feature_cache import FeatureLoading
from imgcls_lab.engine.data.gpu_decode import nvjpeg
from imgcls_lab.engine.data.image_set import class_counts
from imgcls_lab.engine.model import freezing
from imgcls_lab.engine.optim.losses import BatchLoss, class_weights, make_loss
from imgcls_lab.engine.optim.optimizers import ModelEma, make_optimizer
from imgcls_lab.engine.reporting.index_log import IndexLog
from imgcls_lab.engine.reporting.tensorboard_summaries import TensorBoardSummaries
from imgcls_lab.engine.training import save_restore
from imgcls_lab.engine.training.inputs import FeatureInputs, Inputs, PixelInputs
from imgcls_lab.engine.training.resolve import Resolved
from imgcls_lab.engine.training.state import (
    Attempt,
    ComputeSettings,
    DataSets,
    EpochRecord,
    EpochTimer,
    Models,
    Optimization,
    TrainState,
)
from imgcls_lab.engine.training.train_losses import EpochLosses
from imgcls_lab.engine.transforms.augment import Augmentation
from imgcls_lab.engine.transforms.augment_recipes import Recipe
from imgcls_lab.errors import UnsafeFolderError
from imgcls_lab.planning.automatic import eval_batch_size

_COMPILE_CACHE = "TORCHINDUCTOR_CACHE_DIR"


def build(attempt: Attempt, resolved: Resolved, data: DataSets) -> TrainState:
    """The run, ready for its next step. Raises ImgclsError."""
    config, group, compute = attempt.config, attempt.group, resolved.compute
    checkpoints, resume_checkpoint = resolved.folders.checkpoints, resolved.earlier.resume_checkpoint
    torch.manual_seed(config.seed)
    model = resolved.model.to(compute.device).to(memory_format=compute.memory_format)
    if config.sync_batchnorm:
        model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    freezing.prepare_model(model, config)
    compiled = _compile(model, attempt.cache_locations.compiled) if config.compile else model
    optimizer = make_optimizer(model, config)
    scaler = torch.amp.GradScaler(compute.device.type, enabled=compute.precision == "fp16")
    ema = ModelEma(model, config.ema_decay) if config.ema_decay else None
    optim = Optimization(optimizer, scaler, _make_loss(attempt, compute, data))
    losses = EpochLosses(len(data.train), compute.device, group)
    if resume_checkpoint:
        save_restore.restore(
            resume_checkpoint, attempt, model, ema=ema, optim=optim, losses=losses, device=compute.device
        )
    elif group.rank:
        torch.manual_seed(config.seed + group.rank)  # each process has a dropout of its own
    wrapped_model = group.wrap(compiled, model, data.spec.shape, compute.device)
    if group.is_main:
        save_restore.repair_links(checkpoints, attempt.progress)
    data = _move_to_gpu(data, compute.device)
    models = Models(model, wrapped_model, ema)
    inputs = _make_inputs(attempt, compute, data, models, resolved.recipe)
    if group.is_main:
        _open_tensorboard(attempt, resolved.folders.tensorboard, data, model, optimizer)
    record = EpochRecord(EpochTimer(attempt.progress), losses, _open_index_log(attempt))
    return TrainState(attempt, checkpoints, compute, data, models, optim, inputs, record)


def _compile(model: nn.Module, cache: Path) -> nn.Module:
    """The model, compiled at its first step. Raises OSError, UnsafeFolderError.

    PyTorch runs what it finds in its cache. By default that is /tmp/torchinductor_USER, which others can make first.
    """
    given = Path(os.environ.get(_COMPILE_CACHE) or cache)
    try:
        private_folder.require_own(given, "The cache of compiled models", _COMPILE_CACHE)
    except (OSError, UnsafeFolderError):
        given = cache
        private_folder.make(given)
        private_folder.require_own(given, "The cache of compiled models", _COMPILE_CACHE)
    os.environ[_COMPILE_CACHE] = str(given)
    compiled: nn.Module = torch.compile(model)  # type: ignore[assignment]
    return compiled


def _open_index_log(attempt: Attempt) -> IndexLog:
    recorder = attempt.recorder
    name = run_layout.indices_name(recorder.attempt, attempt.group.rank)
    return IndexLog(recorder.folder / name if attempt.config.log_indices else None)


def _make_loss(attempt: Attempt, compute: ComputeSettings, data: DataSets) -> BatchLoss:
    config, weights = attempt.config, None
    if config.balance == "class_weights":
        weights = class_weights(class_counts(data.train.labels, len(data.classes))).to(compute.device)
    return make_loss(config, len(data.classes), weights)


def _make_inputs(attempt: Attempt, compute: ComputeSettings, data: DataSets, models: Models, recipe: Recipe) -> Inputs:
    config, device = attempt.config, compute.device
    augment = Augmentation(recipe, config.seed, data.train.reader.spec, compute.memory_format)
    if data.feature_views:
        return FeatureInputs(
            data.train,
            data.val,
            augment,
            models.model,
            views=data.feature_views,
            autocast=compute.autocast,
            loading=FeatureLoading(eval_batch_size(config), data.num_workers, device, attempt.stop.is_set),
            report=attempt.recorder.phase,
        )
    decode = nvjpeg(device) if config.decoder == "gpu" else None
    return PixelInputs(data.train, data.val, augment, models.wrapped_model, data.num_workers, device, decode)


def _move_to_gpu(data: DataSets, device: torch.device) -> DataSets:
    """With the cached images on the GPU, where it has plenty of memory."""
    sets = (data.train, data.val)
    if device.type != "cuda" or any(images.pixels is None for images in sets):
        return data
    if sum(images.bytes_if_cached for images in sets) >= torch.cuda.mem_get_info(device)[0] / 5:
        return data
    return replace(data, train=data.train.to_device(device), val=data.val.to_device(device))


def _open_tensorboard(
    attempt: Attempt, folder: Path, data: DataSets, model: nn.Module, optimizer: torch.optim.Optimizer
) -> None:
    """TensorBoard's files of this attempt; the model's graph, on request, only where the run begins."""
    recorder, step = attempt.recorder, attempt.progress.step
    tensorboard = TensorBoardSummaries(
        folder,
        recorder.attempt,
        step,
        config=attempt.config,
        classes=data.classes,
        val=data.val,
        model=model,
        optimizer=optimizer,
    )
    recorder.subscribe(tensorboard)
    if attempt.config.tensorboard_graph and step == 0:
        recorder.phase("drawing the model's graph")
        try:
            tensorboard.write_graph(data.spec.shape)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[0]
            recorder.notice(f"This model's graph cannot be drawn for TensorBoard: {reason}", "warning")

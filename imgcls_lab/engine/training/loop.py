"""The training loop. Read it from `fit` down; everything else in this package is prepared for it or called by it.

Called by `run.train`. It never touches a database or a screen: what happens is written as events.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from imgcls_lab import predictions, run_layout
from imgcls_lab.engine import rng
from imgcls_lab.engine.data.image_set import Indices, TimedBatches
from imgcls_lab.engine.evaluation.calibrate import calibrate
from imgcls_lab.engine.evaluation.evaluate import EvalOptions, evaluate_set
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator
from imgcls_lab.engine.hardware import memory_used
from imgcls_lab.engine.model.freezing import begin_epoch
from imgcls_lab.engine.model.lora import merged_weights
from imgcls_lab.engine.optim.clip_grad import clipped, gradient_norm
from imgcls_lab.engine.optim.losses import Target
from imgcls_lab.engine.optim.lr_scheduler import is_better, learning_rate, note_result
from imgcls_lab.engine.optim.mixup import mix
from imgcls_lab.engine.optim.optimizers import set_learning_rate
from imgcls_lab.engine.reporting.predictions import TrainLosses
from imgcls_lab.engine.reporting.recorder import Evaluation
from imgcls_lab.engine.training import failure_dump, save_restore
from imgcls_lab.engine.training.state import TrainState
from imgcls_lab.errors import DivergedError
from imgcls_lab.events import Changed, EpochEnded, Metrics
from imgcls_lab.planning.automatic import eval_batch_size
from imgcls_lab.planning.steps import epoch_batches


def fit(run: TrainState) -> bool:
    """Train to the end, or until the stop is set (False). Either way the newest checkpoint holds the run's state."""
    while not _is_over(run):
        run.epoch.timer.start()
        if not (_train_epoch(run) and _validate_epoch(run)):
            run.epoch.timer.update()
            save_restore.save(run, [run_layout.LAST])
            return False
    return True


def _is_over(run: TrainState) -> bool:
    """Whether all epochs are done, or early stopping ends the run; by what its settings are now."""
    if run.group.any(run.changes.is_due())[0]:
        _change(run)
    progress, patience = run.progress, run.config.early_stopping_patience
    return progress.epoch >= run.config.epochs or bool(patience and progress.since_best >= patience)


def _change(run: TrainState) -> None:
    """Obey what people have changed: the steps from now on have it."""
    for change in run.changes.take():
        old, new = run.changes.obey(change)
        progress, steps = run.progress, run.steps
        epoch = progress.epoch + progress.batch / steps.batches_per_epoch
        run.recorder.emit(
            Changed(
                number=change.number, step=progress.step, epoch=epoch, field=change.field, old=old, new=new,
                epochs=run.config.epochs, total_steps=steps.total_steps,
            )
        )  # fmt: skip


def _train_epoch(run: TrainState) -> bool:
    """The steps of the current epoch that are not done yet. False if stopped."""
    config, progress, group = run.config, run.progress, run.group
    order = rng.epoch_order(config.seed, progress.epoch, len(run.data.train), run.data.sample_weights)
    batches = epoch_batches(order, config.batch_size, run.planned_processes)
    if not run.inputs.prepare_epoch(progress.epoch):
        return False
    own_batches = [group.shard(batch) for batch in batches[progress.batch :]]
    stored = TimedBatches(run.inputs.batches(progress.epoch, own_batches))
    begin_epoch(run.models.model, config, progress.epoch)
    if not progress.batch:
        run.epoch.losses.clear()
    window = _Window(run, stored)
    saved_at = time.monotonic()
    for start in range(progress.batch, len(batches), config.gradient_accumulation_steps):
        is_due = time.monotonic() - saved_at > 60 * config.checkpoint_every_minutes
        stop, save, changes = group.any(run.attempt.stop.is_set(), is_due, run.changes.is_due())
        if stop or save:
            progress.window_loss = window.loss()
        if stop:
            return False
        if save:
            run.epoch.timer.update()
            save_restore.save(run, [run_layout.LAST])
            saved_at = window.restart_clock()
        if changes:
            _change(run)
            config = run.config
        step_batches = batches[start : start + config.gradient_accumulation_steps]
        rate = learning_rate(config, progress.step, run.steps, progress.plateau_decays)
        should_log = (progress.step + 1) % config.log_every == 0 or start + len(step_batches) == len(batches)
        run.attempt.watch.before_step(run)
        loss, norm = _step(run, step_batches, start, stored, rate, check=should_log or run.device.type == "cpu")
        window.add(loss, sum(map(len, step_batches)))
        progress.step, progress.batch = progress.step + 1, start + len(step_batches)
        run.epoch.indices.end_step(progress.step, progress.epoch)
        progress.window_steps += 1
        if should_log:
            run.recorder.emit(window.close(progress.epoch + progress.batch / len(batches), rate, norm))
        run.attempt.watch.after_step(run)
    return True


class _Window:
    """What has happened since the last point of the curves. stored: the batches, which know how long they took."""

    def __init__(self, run: TrainState, stored: TimedBatches) -> None:
        self._run = run
        self._stored = stored
        self._loss = torch.tensor(run.progress.window_loss, device=run.device)  # a sum
        self._images = 0
        self._since = time.monotonic()

    def add(self, loss: torch.Tensor, images: int) -> None:
        self._loss += loss
        self._images += images

    def loss(self) -> float:
        """The sum of the losses; waits for the device. Raises DivergedError."""
        return _finite(self._run, float(self._loss))

    def restart_clock(self) -> float:
        """Leave the time until now out of the throughput; returns the time, monotonic."""
        self._since = time.monotonic()
        return self._since

    def close(self, epoch: float, rate: float, norm: torch.Tensor) -> Metrics:
        """The point of the curves; the next window begins. Raises DivergedError."""
        run, progress = self._run, self._run.progress
        mean = self.loss() / progress.window_steps
        since = self._since
        elapsed = max(self.restart_clock() - since, 1e-9)
        values = {
            "loss/train": mean,
            "lr": rate,
            "grad_norm": float(norm),
            "throughput/images_per_second": self._images / elapsed,
            "throughput/data_wait": self._stored.pop_seconds() / elapsed,
            "device/memory_gb": memory_used(run.device) / 1e9,
        }
        self._loss.zero_()
        self._images = 0
        progress.window_loss, progress.window_steps = 0.0, 0
        return Metrics(step=progress.step, epoch=epoch, values=values)


def _step(
    run: TrainState, batches: list[Indices], start: int, stored: Iterator[torch.Tensor], rate: float, *, check: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """One optimizer step over some batches. Returns loss and gradient norm, on the device.

    start: number of the first batch in the epoch; check: whether to look if both are finite before the weights move,
    for which a GPU is waited for.
    """
    config, epoch, group, optim = run.config, run.progress.epoch, run.group, run.optim
    set_learning_rate(optim.optimizer, rate)
    total, kept, generator_state = torch.zeros((), device=run.device), [], failure_dump.generator_state()
    images = sum(map(len, batches))
    for number, batch in enumerate(batches, start):
        own = group.shard(batch)
        values = run.inputs.model_input(next(stored), epoch, own)
        run.epoch.indices.add(own)
        target = Target(torch.from_numpy(run.data.train.labels[batch]).to(run.device))
        if config.mixup or config.cutmix:
            values = group.gather_rows(values, len(batch))
            target = mix(values, target.labels, config, epoch, batch)
            values = group.shard_rows(values)
        kept.append(failure_dump.StepBatch(values, target, batch))
        with group.sync_gradients(run.models.wrapped_model, now=number == start + len(batches) - 1):
            with run.compute.autocast():
                logits = run.inputs.forward(values)
            run.epoch.losses.add(logits, target, first=number * config.batch_size)
            loss = optim.loss(group.gather_rows(logits, len(batch)), target) * (len(batch) / images)
            optim.scaler.scale(loss * group.world_size).backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    optim.scaler.unscale_(optim.optimizer)
    norm = gradient_norm(optim.optimizer)
    if check and not failure_dump.is_finite(total, norm, scaled=optim.scaler.is_enabled()):
        raise failure_dump.diverged(run, kept, generator_state, float(total), float(norm))
    with clipped(run.models.model, optim.optimizer, norm, config):
        optim.scaler.step(optim.optimizer)
    optim.scaler.update()
    optim.optimizer.zero_grad(set_to_none=True)
    if run.models.ema:
        run.models.ema.update(run.models.model)
    return total, norm


def _validate_epoch(run: TrainState) -> bool:
    """Evaluate, report, and save the state after an epoch. False if stopped; then nothing is written."""
    evaluated = _evaluate(run)
    if evaluated is None:
        return False
    metrics, probs = evaluated
    config, progress = run.config, run.progress
    _keep_train_losses(run)
    values = {tag: _finite(run, value) for tag, value in metrics.values().items()}
    progress.epoch, progress.batch = progress.epoch + 1, 0
    run.epoch.timer.update()
    seconds, progress.epoch_seconds = progress.epoch_seconds, 0.0
    value = values[config.monitor_tag]
    is_best = is_better(config, value, progress.best)
    note_result(progress, config, value)
    if is_best:
        progress.best, progress.best_epoch, progress.best_values = value, progress.epoch, values
    name = run_layout.checkpoint_name(run.recorder.attempt, progress.step)
    progress.rank(value, name, config.keep_best, higher_is_better=config.higher_is_better)
    data = run.data
    if probs is not None:
        probs = run.group.gather_to_main(probs, len(data.val)) if is_best else None
    kept = None if probs is None else probs.numpy()
    calibration = calibrate(metrics, kept, config.abstain_error)
    report = run.recorder.report(
        Evaluation(metrics, data.val, data.classes, progress.epoch, progress.step, {}, kept), calibration=calibration
    )
    values = values | {"time/epoch": seconds}
    run.recorder.emit(
        EpochEnded(
            step=progress.step, epoch=progress.epoch, seconds=seconds, values=values, report=report, best=is_best
        )
    )
    links = [run_layout.LAST] + [run_layout.BEST] * is_best
    if config.save_every_epochs and progress.epoch % config.save_every_epochs == 0:
        links.append(f"epoch-{progress.epoch:04d}")
    save_restore.save(run, links, calibration)
    return True


def _keep_train_losses(run: TrainState) -> None:
    """Write what the steps of the current epoch computed of the training images."""
    data, epoch = run.data, run.progress.epoch
    order = rng.epoch_order(run.config.seed, epoch, len(data.train), data.sample_weights)
    losses = run.epoch.losses.by_image(order, len(data.train))
    run.recorder.keep_train(TrainLosses(data.train, epoch + 1, losses), data.classes)


def _evaluate(run: TrainState) -> tuple[MetricAccumulator, torch.Tensor | None] | None:
    """The eval model over the validation images; None if stopped.

    The metrics are those of all processes; the probabilities, float16 (own images, classes), those of this one, where
    they are kept.
    """
    config, eval_model = run.config, run.models.eval_model
    run.group.broadcast(eval_model.buffers())
    own = run.group.shard(np.arange(len(run.data.val)))
    classes = len(run.data.classes)
    metrics = MetricAccumulator(
        classes, len(own), config.top_k, keep_probs=predictions.fits(len(run.data.val), classes)
    )
    with merged_weights(eval_model):
        complete = evaluate_set(
            run.inputs.eval_model(eval_model),
            run.inputs.val,
            metrics,
            EvalOptions(eval_batch_size(config), run.device, run.data.num_workers),
            indices=own,
            stop=run.attempt.stop.is_set,
            progress=lambda done, total: run.recorder.phase("validating", done, total),
        )
    merged = run.group.merge_metrics(metrics, complete=complete)
    probs = None if metrics.probs is None else torch.from_numpy(metrics.probs)
    return None if merged is None else (merged, probs)


def _finite(run: TrainState, value: float) -> float:
    if value - value != 0:
        raise DivergedError(
            f"The loss is not finite any more at step {run.progress.step}. Lower lr, lengthen warmup_epochs, or set "
            "clip_grad_norm; the last checkpoint is intact."
        )
    return value

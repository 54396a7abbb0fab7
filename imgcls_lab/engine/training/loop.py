"""The training loop. Read it from `fit` down; everything else in this package is prepared for it or called by it.

Called by `run.train`. It never touches a database or a screen: what happens is written as events.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np
import torch

from imgcls_lab import run_layout
from imgcls_lab.engine import rng
from imgcls_lab.engine.data.image_set import Indices, Timed
from imgcls_lab.engine.evaluation.evaluate import evaluate_set
from imgcls_lab.engine.hardware import memory_used
from imgcls_lab.engine.model.freezing import begin_epoch, merged
from imgcls_lab.engine.optim.clip_grad import clipped, gradient_norm
from imgcls_lab.engine.optim.losses import Target
from imgcls_lab.engine.optim.lr_schedules import is_better, learning_rate, note_result
from imgcls_lab.engine.optim.mixup import mix
from imgcls_lab.engine.optim.optimizers import set_learning_rate
from imgcls_lab.engine.training import failure_dump, save_restore
from imgcls_lab.engine.training.state import Training
from imgcls_lab.errors import DivergedError
from imgcls_lab.events import EpochEnded, Metrics
from imgcls_lab.planning.steps import epoch_batches


def fit(run: Training) -> bool:
    """Train to the end, or until the stop is set (False). Either way the newest checkpoint holds where it stands."""
    patience = run.config.early_stopping_patience
    while run.progress.epoch < run.config.epochs and not (patience and run.progress.since_best >= patience):
        run.clock = time.monotonic()
        if not (_train_epoch(run) and _validate_epoch(run)):
            run.note_time()
            save_restore.save(run, [run_layout.LAST])
            return False
    return True


def _train_epoch(run: Training) -> bool:
    config, now = run.config, run.progress
    order = rng.epoch_order(config.seed, now.epoch, len(run.train), run.draw_weights)
    batches, steps = epoch_batches(order, config.batch_size, run.ranks.count), run.steps
    if not run.feed.begin(now.epoch):
        return False
    kept = Timed(run.feed.batches([run.ranks.share(batch) for batch in batches[now.batch :]]))
    begin_epoch(run.model, config, now.epoch)
    loss_sum = torch.tensor(now.window_loss, device=run.device)
    images, clock, saved_at = 0, time.monotonic(), time.monotonic()
    for start in range(now.batch, len(batches), config.gradient_accumulation_steps):
        late = time.monotonic() - saved_at > 60 * config.checkpoint_every_minutes
        stop, save = run.ranks.any(run.stop.is_set(), late)
        if stop or save:
            now.window_loss = _finite(run, float(loss_sum))
        if stop:
            return False
        if save:
            run.note_time()
            save_restore.save(run, [run_layout.LAST])
            saved_at = clock = time.monotonic()
        group = batches[start : start + config.gradient_accumulation_steps]
        rate = learning_rate(config, now.step, steps, now.drops)
        telling = (now.step + 1) % config.log_every == 0 or start + len(group) == len(batches)
        loss, norm = _step(run, group, start, kept, rate, check=telling or run.device.type == "cpu")
        loss_sum += loss
        images += sum(map(len, group))
        now.step, now.batch, now.window_steps = now.step + 1, start + len(group), now.window_steps + 1
        if telling:
            mean = _finite(run, float(loss_sum)) / now.window_steps
            elapsed, clock = time.monotonic() - clock, time.monotonic()
            run.recorder.emit(
                Metrics(
                    step=now.step,
                    epoch=now.epoch + now.batch / len(batches),
                    values={
                        "loss/train": mean,
                        "lr": rate,
                        "grad_norm": float(norm),
                        "throughput/images_per_second": images / max(elapsed, 1e-9),
                        "throughput/data_wait": kept.taken() / max(elapsed, 1e-9),
                        "device/memory_gb": memory_used(run.device) / 1e9,
                    },
                )
            )
            loss_sum.zero_()
            now.window_loss, now.window_steps, images = 0.0, 0, 0
    return True


def _step(
    run: Training, group: list[Indices], start: int, kept: Iterator[torch.Tensor], rate: float, *, check: bool
) -> tuple[torch.Tensor, torch.Tensor]:
    """One optimizer step over a group of batches. Returns loss and gradient norm, on the device.

    check: look whether both are finite before the weights move; on a GPU that waits for the device.
    """
    config, epoch = run.config, run.progress.epoch
    set_learning_rate(run.optimizer, rate)
    total, fed, random = torch.zeros((), device=run.device), [], failure_dump.generator_state()
    for number, batch in enumerate(group, start):
        own = run.ranks.share(batch)
        values = run.feed.values(next(kept), epoch, own)
        target = Target(torch.from_numpy(run.train.labels[batch]).to(run.device))
        if config.mixup or config.cutmix:
            values = run.ranks.joined(values, len(batch))
            target = mix(values, target.labels, config, epoch, batch)
            values = run.ranks.cut(values)
        fed.append(failure_dump.Fed(values, target, batch))
        with run.ranks.exchanging(run.net, now=number == start + len(group) - 1):
            with run.autocast():
                logits = run.feed.net(values)
            loss = run.loss(run.ranks.joined(logits, len(batch)), target) * (len(batch) / sum(map(len, group)))
            run.scaler.scale(loss * run.ranks.count).backward()  # type: ignore[no-untyped-call]
        total += loss.detach()
    run.scaler.unscale_(run.optimizer)
    norm = gradient_norm(run.optimizer)
    if check and not failure_dump.is_sound(total, norm, scaled=run.scaler.is_enabled()):
        raise failure_dump.diverged(run, fed, random, float(total), float(norm))
    with clipped(run.model, run.optimizer, norm, config):
        run.scaler.step(run.optimizer)
    run.scaler.update()
    run.optimizer.zero_grad(set_to_none=True)
    if run.average:
        run.average.update(run.model)
    return total, norm


def _validate_epoch(run: Training) -> bool:
    """Evaluate, report, and save what an epoch came to. False if stopped; then nothing is written."""
    config, now = run.config, run.progress
    run.ranks.spread(run.exported.buffers())
    with merged(run.exported):
        counts = evaluate_set(
            run.feed.model(run.exported),
            run.feed.val,
            len(run.classes),
            batch_size=config.eval_batch_size or 2 * config.batch_size,
            workers=run.workers,
            device=run.device,
            top_k=config.top_k,
            part=run.ranks.share(np.arange(len(run.val))),
            stop=run.stop.is_set,
            progress=lambda done, total: run.recorder.phase("validating", done, total),
        )
    counts = run.ranks.merged(counts)
    if counts is None:
        return False
    values = {tag: _finite(run, value) for tag, value in counts.values().items()}
    now.epoch, now.batch = now.epoch + 1, 0
    run.note_time()
    seconds, now.epoch_seconds = now.epoch_seconds, 0.0
    value = values[config.monitor_tag]
    better = is_better(config, value, now.best)
    note_result(now, config, value)
    if better:
        now.best, now.best_epoch, now.best_values = value, now.epoch, values
    name = run_layout.checkpoint_name(run.recorder.attempt, now.step)
    now.rank(value, name, config.keep_best, higher_is_better=config.higher_is_better)
    report = run.recorder.report(counts, run.val, run.classes, epoch=now.epoch, step=now.step)
    run.recorder.emit(
        EpochEnded(
            step=now.step,
            epoch=now.epoch,
            seconds=seconds,
            values=values | {"time/epoch": seconds},
            report=report,
            best=better,
        )
    )
    links = [run_layout.LAST] + [run_layout.BEST] * better
    if config.save_every_epochs and now.epoch % config.save_every_epochs == 0:
        links.append(f"epoch-{now.epoch:04d}")
    save_restore.save(run, links)
    return True


def _finite(run: Training, value: float) -> float:
    if value - value != 0:
        raise DivergedError(
            f"The loss is not finite any more at step {run.progress.step}. Lower lr, lengthen warmup_epochs, or set "
            "clip_grad_norm; the last checkpoint is intact."
        )
    return value

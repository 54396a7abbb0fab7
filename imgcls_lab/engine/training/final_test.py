"""The best model on test/, once, at the end of a run. Called by `run.train` after the last checkpoint is written.

No part of the training depends on it: a run whose test/ cannot be evaluated reports that and has succeeded.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from imgcls_lab import model_calibration, predictions, run_layout
from imgcls_lab.engine.data.image_set import Reader, pick_num_workers
from imgcls_lab.engine.evaluation.calibrate import answered
from imgcls_lab.engine.evaluation.evaluate import EvalOptions, evaluate_set
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator
from imgcls_lab.engine.evaluation.tta import tta_input_spec
from imgcls_lab.engine.model.classifier import load_exported
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.reporting.recorder import Evaluation
from imgcls_lab.engine.training.state import TrainState
from imgcls_lab.errors import ImgclsError
from imgcls_lab.planning.automatic import eval_batch_size

_PHASE = "testing the best model"


def test_best(run: TrainState) -> dict[str, float] | None:
    """Metrics of checkpoints/best on test/ by tag, such as test/accuracy; empty without test/, None if stopped.

    Writes reports/test.json and predictions/test.npz; done again after a kill, it writes the same again.
    """
    if not len(run.data.test) or not run.group.is_main:
        return {}
    try:
        return _test(run)
    except (ImgclsError, torch.OutOfMemoryError) as error:
        run.recorder.notice(f"The best model could not be evaluated on test/. {error}", "warning")
        return {}


def _test(run: TrainState) -> dict[str, float] | None:
    config, recorder, classes = run.config, run.recorder, run.data.classes
    recorder.phase(_PHASE)
    best = run.checkpoints / run_layout.BEST
    model, spec = load_exported(best)
    images = replace(run.data.test, reader=Reader(tta_input_spec(spec, config.tta)))
    num_workers = pick_num_workers(config.num_workers, False, run.device)
    keep_probs = predictions.fits(len(images), len(classes))
    metrics = MetricAccumulator(len(classes), len(images), config.top_k, keep_probs=keep_probs)
    complete = evaluate_set(
        model.to(run.device),
        images,
        metrics,
        EvalOptions(eval_batch_size(config), run.device, num_workers, config.tta),
        spec=spec,
        stop=run.attempt.stop.is_set,
        progress=lambda done, total: recorder.phase(_PHASE, done, total),
    )
    if not complete:
        return None
    progress = run.progress
    epoch = progress.best_epoch
    evaluation = Evaluation(metrics, images, classes, epoch, progress.step, _left_out(run), metrics.probs)
    at_threshold = answered(metrics, model_calibration.read(best))
    recorder.report(evaluation, run_layout.TEST_REPORT, answered=at_threshold)
    values = metrics.values()
    return {f"test/{'loss' if tag == 'loss/val' else tag.split('/')[1]}": value for tag, value in values.items()}


def _left_out(run: TrainState) -> dict[str, str]:
    """The unreadable images of test/, as the run's scan found them."""
    facts = manifest.read(run.recorder.folder)
    found: dict[str, str] = facts["data"]["quarantined"] if facts else {}
    return {path: reason for path, reason in found.items() if path.startswith("test/")}

"""The best model on test/, once, at the end of a run. Called by `run.train` after the last checkpoint is written.

Nothing that training does or keeps depends on it: a run whose test/ cannot be evaluated says so and has succeeded.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from imgcls_lab import run_layout
from imgcls_lab.engine.data.image_set import Reader, pick_workers
from imgcls_lab.engine.evaluation.evaluate import evaluate_set
from imgcls_lab.engine.evaluation.tta import reading_spec
from imgcls_lab.engine.model.classifier import load_exported
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training.state import Training
from imgcls_lab.errors import ImgclsError


def test_best(run: Training) -> dict[str, float] | None:
    """Figures of checkpoints/best on test/ by tag, such as test/accuracy; empty without test/, None if stopped.

    Writes reports/test.json and predictions/test.npz; done again after a kill, it writes the same again.
    """
    if not len(run.test) or not run.ranks.writes:
        return {}
    try:
        return _test(run)
    except (ImgclsError, torch.OutOfMemoryError) as error:
        run.recorder.notice(f"The best model could not be evaluated on test/. {error}", "warning")
        return {}


def _test(run: Training) -> dict[str, float] | None:
    config, recorder = run.config, run.recorder
    recorder.phase("testing the best model")
    model, spec = load_exported(run.checkpoints / run_layout.BEST)
    images = replace(run.test, reader=Reader(reading_spec(spec, config.tta)))
    counts = evaluate_set(
        model.to(run.device),
        images,
        len(run.classes),
        batch_size=config.eval_batch_size or 2 * config.batch_size,
        workers=pick_workers(config.num_workers, False, run.device),
        device=run.device,
        spec=spec,
        top_k=config.top_k,
        tta=config.tta,
        stop=run.stop.is_set,
        progress=lambda done, total: recorder.phase("testing the best model", done, total),
    )
    if counts is None:
        return None
    recorder.report(
        counts,
        images,
        run.classes,
        epoch=run.progress.best_epoch,
        step=run.progress.step,
        name=run_layout.TEST_REPORT,
        left_out=_left_out(run),
    )
    values = counts.values()
    return {f"test/{'loss' if tag == 'loss/val' else tag.split('/')[1]}": value for tag, value in values.items()}


def _left_out(run: Training) -> dict[str, str]:
    """The unreadable images of test/, as the run's scan found them."""
    facts = manifest.read(run.recorder.folder)
    found: dict[str, str] = facts["data"]["quarantined"] if facts else {}
    return {path: reason for path, reason in found.items() if path.startswith("test/")}

"""Everything between a config and the first step, in three stages: `resolve`, `scan`, `build`.

Called by `run.train`. What the first attempt decides (precision, threads, data) is written to the manifest and holds
for all later ones.
"""

from __future__ import annotations

from imgcls_lab.engine.training import forking, plugins
from imgcls_lab.engine.training.build import build
from imgcls_lab.engine.training.resolve import resolve
from imgcls_lab.engine.training.scan_data import scan
from imgcls_lab.engine.training.state import Attempt, TrainState
from imgcls_lab.events import Started
from imgcls_lab.forks import step_of


def prepare(attempt: Attempt, plugin_record: plugins.Record) -> TrainState | None:
    """A run that is ready for its next step, its `started` event written; None if stopped. Raises ImgclsError.

    plugin_record: the plugins in the run's folder, which are active.
    """
    resolved = resolve(attempt, plugin_record)
    if resolved is None:
        return None
    data = scan(attempt, resolved)
    if data is None:
        return None
    state = build(attempt, resolved, data)
    attempt.recorder.emit(_started(state))
    inherited = resolved.earlier.resume_checkpoint
    if inherited is not None and forking.is_inherited(inherited):
        forking.report(attempt)
    return state


def _started(state: TrainState) -> Started:
    progress, best = state.progress, {}
    if progress.best is not None and progress.best_checkpoint is not None:
        place = step_of(progress.best_checkpoint)
        best = {"best": progress.best, "best_epoch": progress.best_epoch, "best_step": place}
    facts = {
        **best,
        "resume_step": progress.step,
        "total_steps": state.steps.total_steps,
        "steps_per_epoch": state.steps.steps_per_epoch,
        "epochs": state.config.epochs,
        "train_images": len(state.data.train),
        "val_images": len(state.data.val),
        "classes": len(state.data.classes),
        "device": str(state.device),
        "precision": state.compute.precision,
        "threads": state.compute.threads,
    }
    return Started.model_validate(facts)

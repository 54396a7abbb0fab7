"""`python -m imgcls_lab.engine.audit FOLDER --attempt N`: the task that the run in FOLDER asks for. By the executor.

Exit code 0: finished or stopped; 1: failed. The last event in the folder tells them apart. Output is the run's log.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import threading
import traceback
from pathlib import Path
from typing import Literal

from imgcls_lab import model_export, run_layout, signing
from imgcls_lab.audits.task import AuditTask
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.audit.events import AuditEvents
from imgcls_lab.engine.audit.pipeline import Audit
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.inference import export as engine_export
from imgcls_lab.engine.inference import validated
from imgcls_lab.engine.proofs.bisect import Named, bisect
from imgcls_lab.engine.proofs.verify import verify
from imgcls_lab.engine.training import attempt_context, interrupts
from imgcls_lab.engine.training.speed_trial import measure
from imgcls_lab.errors import ConflictError, DataError, DiskFullError, ImgclsError, JobCancelledError, OutOfMemoryError
from imgcls_lab.events import Began, EventWriter, Failed, FailureKind, Finished, Metrics, Notice, Phase, Stopped
from imgcls_lab.model_export import ExportTask
from imgcls_lab.plurals import counted
from imgcls_lab.proofs import BisectTask, VerifyTask
from imgcls_lab.run_layout import RUN_INFO
from imgcls_lab.settings import Settings
from imgcls_lab.speed_trial import SECONDS, config_of


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m imgcls_lab.engine.audit",
        description="Do a task: audit, speed trial, export, verification or bisection.",
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, default=1)
    given = parser.parse_args(arguments)
    folder: Path = given.folder.absolute()
    stop = threading.Event()
    with interrupts.signals(stop), attempt_context.lock(folder), EventWriter(folder, given.attempt) as events:
        progress = AuditEvents(events)
        try:
            done = _audit(folder, events, progress, stop)
        except BaseException as error:
            known = _as_sentence(error)
            if known is None:
                raise
            traceback.print_exc()
            with contextlib.suppress(OSError):  # on a full disk there may be no space even for this
                events.write(Failed(step=progress.step, kind=FailureKind(known.kind), message=str(known)))
            return 1
        end = Finished(step=progress.step, best_epoch=0, values={}) if done else Stopped(step=progress.step)
        events.write(end)
        print("Finished." if done else "Stopped; it goes on where it was when it is resumed.", flush=True)
    return 0


def _audit(folder: Path, events: EventWriter, progress: AuditEvents, stop: threading.Event) -> bool:
    """Whether it was done to its end."""
    settings = Settings()
    info = signing.own_info(settings.home_path, folder)
    if info is None:
        raise ConflictError(
            f"{folder / RUN_INFO} was not written by this home, so the task is not executed. If the run is yours, run "
            f"`imgcls-lab db rebuild`, then `imgcls-lab claim {folder.name}`.",
            reason="view_only",
        )
    payload = dict(info.get("payload") or {})
    if (tried := config_of(payload)) is not None:
        return _try_speed(tried, events, progress, stop)
    if (export := ExportTask.of(payload)) is not None:
        _export(export, events)
        return True
    if (verification := VerifyTask.of(payload)) is not None:
        return _verify(verification, events, progress, stop)
    if (bisection := BisectTask.of(payload)) is not None:
        return _bisect(bisection, folder, events, progress, stop)
    task = AuditTask.of(payload)
    print(f"Audit of “{task.dataset}” in {task.root}", flush=True)
    events.write(Began())
    return Audit(task, folder, CacheLocations.of_home(settings), progress, stop.is_set).execute()


def _try_speed(config: TrainConfig, events: EventWriter, progress: AuditEvents, stop: threading.Event) -> bool:
    """A speed trial. Whether it was done to its end."""
    print(f"Speed trial of “{config.model_flavour}”, batches of {config.batch_size}", flush=True)
    events.write(Began())
    events.write(Phase(name="loading the model", done=0, total=100))

    def on_step(steps: int, over: float) -> None:
        progress.step = steps
        events.write(
            Phase(name="trying the speed", done=round(100 * over), total=100, seconds_left=SECONDS * (1 - over))
        )

    found = measure(config, on_step, stop.is_set)
    if found is not None:
        events.write(found)
    return found is not None


def _verify(task: VerifyTask, events: EventWriter, progress: AuditEvents, stop: threading.Event) -> bool:
    """Compute steps of a run again. Whether it was done to its end."""
    print(f"Verification of “{task.title}”", flush=True)
    events.write(Began())
    try:
        found = verify(Path(task.folder), task.request, on_phase=progress.say, stopped=stop.is_set)
    except JobCancelledError:
        return False
    print(found.sentence, flush=True)
    level: Literal["info", "warning"] = "info" if found.identical else "warning"
    events.write(Notice(level=level, text=f"{found.sentence} {found.remedy}".strip()))
    return True


def _bisect(task: BisectTask, folder: Path, events: EventWriter, progress: AuditEvents, stop: threading.Event) -> bool:
    """Search for where two runs part, and write it into the folder of the task. Whether it was done to its end."""
    one, other = (Named(Path(each.folder), each.title) for each in task.runs)
    print(f"Where “{one.name}” and “{other.name}” part", flush=True)
    events.write(Began())
    try:
        found = bisect(one, other, on_phase=progress.say, stopped=stop.is_set)
    except JobCancelledError:
        return False
    run_layout.write_atomic(folder / run_layout.BISECTION, found.model_dump_json(indent=1))
    print(found.sentence, flush=True)
    events.write(Notice(level="info" if found.first_step is None else "warning", text=found.sentence))
    return True


def _export(task: ExportTask, events: EventWriter) -> None:
    """Write a model for other programs. It is there whole, or not at all."""
    print(f"Export of “{task.title}” to {task.out}", flush=True)
    events.write(Began())
    events.write(Phase(name=model_export.PHASE, done=0, total=1))
    if task.run_folder:
        images = validated.of_run(Path(task.run_folder), task.root, task.epoch, reported=task.reported)
    else:
        images = validated.of_dataset(task.root)
    if not images:
        raise DataError(
            f"No image to check the export on is left in {task.root}. Put the images back, or choose a data set to "
            "check on."
        )
    done = engine_export.export(Path(task.folder), task.form, Path(task.out), images)
    abstains = {} if done.abstains is None else {model_export.ABSTAINS: float(done.abstains)}
    values = {
        model_export.IMAGES: float(done.images),
        model_export.DIFFERENCE: done.difference,
        model_export.LIMIT: done.limit,
        **abstains,
    }
    events.write(Metrics(step=1, epoch=0.0, values=values))
    print(f"Written to {done.folder}; checked on {counted(done.images, 'image')}.", flush=True)


def _as_sentence(error: BaseException) -> ImgclsError | None:
    """Any error as one of ours, in words about a task; None for what is no error of the run (SystemExit)."""
    known = attempt_context.as_imgcls_error(error)
    if isinstance(error, ImgclsError) or known is None:
        return known
    if isinstance(known, OutOfMemoryError):
        return OutOfMemoryError("There was not enough memory for this task. Close other programs and resume it.")
    if isinstance(known, DiskFullError):
        return DiskFullError("The disk is full where this task writes. Free some space and resume it.")
    if isinstance(error, KeyboardInterrupt):
        return ImgclsError("Interrupted twice; resume this task.")
    return ImgclsError(f"This task ended with an unexpected {type(error).__name__}: {error}")


if __name__ == "__main__":
    sys.exit(main())

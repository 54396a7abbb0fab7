"""`train`: one attempt at a run in this process, from the config to its last event.

Called by `python -m imgcls_lab.engine`, by `standalone` and by a kernel. `prepare` makes what the loop needs, or
restores it from the newest good checkpoint; what goes wrong becomes one sentence and a `failed` event.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from pathlib import Path

from imgcls_lab import layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import guard, manifest, plugins
from imgcls_lab.engine.final import test_best
from imgcls_lab.engine.loop import fit
from imgcls_lab.engine.outcome import Outcome
from imgcls_lab.engine.prepare import prepare
from imgcls_lab.engine.record import Recorder
from imgcls_lab.engine.training import Progress
from imgcls_lab.errors import ImgclsError
from imgcls_lab.protocol import Event, Finished, RunState, Stopped

_EVENTS = re.compile(r"events-(\d+)\.jsonl")


def train(
    config: TrainConfig,
    folder: Path,
    *,
    attempt: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    scans: Path | None = None,
) -> Outcome:
    """Train in this process, in that folder; goes on where the folder's newest good checkpoint stands.

    attempt: by default the one after those found in the folder. scans: a folder that keeps what is known of data sets
    from run to run; by default in the run's own. on_event hears every event. A set `stop`, SIGTERM or SIGINT (the last
    two only when called in the main thread) checkpoints at the next step and ends with the state `stopped`. Raises
    ImgclsError, after a `failed` event that says the same.
    """
    folder = Path(folder).absolute()
    stop = stop or threading.Event()
    guard.make_folder(folder)
    with guard.lock(folder), guard.signals(stop), guard.torch_state():
        if not (folder / layout.CONFIG).exists():
            layout.write_atomic(folder / layout.CONFIG, config.model_dump_json(indent=1))
        number = attempt or next_attempt(folder)
        with _open_recorder(folder, number, on_event) as recorder:
            progress = Progress()
            try:
                return _attempt(config, folder, recorder, stop, progress, scans=scans)
            except KeyboardInterrupt:
                guard.say_failed(
                    recorder, progress.step, ImgclsError("Interrupted twice; the last checkpoint is intact.")
                )
                raise
            except BaseException as error:
                known = guard.as_known(error)
                if known is None:
                    raise
                guard.say_failed(recorder, progress.step, known)
                if known is error:
                    raise
                raise known from error


def next_attempt(folder: Path) -> int:
    """One more than the attempts that wrote events there."""
    found = [int(match[1]) for path in folder.iterdir() if (match := _EVENTS.fullmatch(path.name))]
    return max(found, default=0) + 1


def _attempt(
    config: TrainConfig,
    folder: Path,
    recorder: Recorder,
    stop: threading.Event,
    progress: Progress,
    *,
    scans: Path | None,
) -> Outcome:
    began = manifest.read(folder)
    kept = began.get("plugins", []) if began else plugins.keep(config.plugins, folder)
    with plugins.active(folder, kept):
        run = prepare(config, folder, recorder, stop, progress, scans=scans, kept=kept)
        tested = test_best(run) if run is not None and fit(run) else None
    if tested is None:
        recorder.emit(Stopped(step=progress.step))
        message = f"Stopped at step {progress.step}; it can be resumed."
        return Outcome(RunState.STOPPED, progress.step, folder, dict(progress.best_values), message)
    values = progress.best_values | tested
    recorder.emit(Finished(step=progress.step, best_epoch=progress.best_epoch, values=values))
    return Outcome(RunState.SUCCEEDED, progress.step, folder, values)


def _open_recorder(folder: Path, attempt: int, on_event: Callable[[Event], None] | None) -> Recorder:
    try:
        return Recorder(folder, attempt, on_event)
    except OSError as error:
        raise guard.as_known(error) or error from error

"""`train`: one attempt at a run in this process, from the config to its last event.

Called by `python -m imgcls_lab.engine`, by `standalone` and by a kernel. `prepare` makes what the loop needs, or
restores it from the newest good checkpoint; what goes wrong becomes one sentence and a `failed` event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.data.cache_locations import Shared
from imgcls_lab.engine.distributed import launcher, process_group
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.reporting.outcome import Outcome
from imgcls_lab.engine.reporting.recorder import Recorder, SilentRecorder
from imgcls_lab.engine.training import attempt_context, interrupts, plugins
from imgcls_lab.engine.training.final_test import test_best
from imgcls_lab.engine.training.loop import fit
from imgcls_lab.engine.training.prepare import prepare
from imgcls_lab.engine.training.state import Progress
from imgcls_lab.errors import ProcessLostError
from imgcls_lab.events import Event, Finished, RunState, Stopped


def train(
    config: TrainConfig,
    folder: Path,
    *,
    attempt: int | None = None,
    on_event: Callable[[Event], None] | None = None,
    stop: threading.Event | None = None,
    shared: Shared | None = None,
) -> Outcome:
    """Train in this process, in that folder; goes on where the folder's newest good checkpoint stands.

    attempt: by default the one after those found in the folder. shared: what this run shares with others; by default
    nothing. on_event hears every event. A set `stop`, SIGTERM or SIGINT (the last
    two only when called in the main thread) checkpoints at the next step and ends with the state `stopped`. Raises
    ImgclsError, after a `failed` event that says the same.
    """
    folder = Path(folder).absolute()
    stop = stop or threading.Event()
    attempt_context.make_folder(folder)
    if config.num_processes > 1 and not process_group.started_as_one():
        return _train_group(config, folder, attempt, on_event, stop=stop, shared=shared)
    with ExitStack() as around:
        here = around.enter_context(process_group.joining(config.num_processes, stop))
        if here.writes and not process_group.launched():
            around.enter_context(attempt_context.lock(folder))
        around.enter_context(interrupts.signals(stop))
        around.enter_context(attempt_context.torch_state())
        if here.writes and not (folder / run_layout.CONFIG).exists():
            run_layout.write_atomic(folder / run_layout.CONFIG, config.model_dump_json(indent=1))
        number = here.exchange({"is": attempt or next_attempt(folder)})[0]["is"]
        with _open_recorder(folder, number, on_event, here) as recorder:
            progress = Progress()
            try:
                return _attempt(config, folder, recorder, stop, progress, shared=shared, here=here)
            except BaseException as error:
                known = attempt_context.as_known(error)
                if known is None:
                    raise
                if not (
                    process_group.launched() and isinstance(known, ProcessLostError)
                ):  # the launcher knows the cause
                    attempt_context.say_failed(recorder, progress.step, known)
                if known is error or isinstance(error, KeyboardInterrupt):
                    raise
                raise known from error


def _train_group(
    config: TrainConfig,
    folder: Path,
    attempt: int | None,
    on_event: Callable[[Event], None] | None,
    *,
    stop: threading.Event,
    shared: Shared | None,
) -> Outcome:
    """Start the processes of a run, and say how it ended where none of them could."""
    with attempt_context.lock(folder), interrupts.signals(stop):
        if not (folder / run_layout.CONFIG).exists():
            run_layout.write_atomic(folder / run_layout.CONFIG, config.model_dump_json(indent=1))
        number = attempt or next_attempt(folder)
        group = launcher.Group(config, folder, number, shared)
        try:
            return group.train(stop, on_event)
        except BaseException as error:
            known = attempt_context.as_known(error)
            if known is not None and not group.told_end():
                with _open_recorder(folder, number, on_event, process_group.Ranks()) as recorder:
                    attempt_context.say_failed(recorder, group.step, known)
            if known is None or known is error or isinstance(error, KeyboardInterrupt):
                raise
            raise known from error


def next_attempt(folder: Path) -> int:
    """One more than the attempts that wrote events there."""
    return max((run_layout.attempt_of(path) or 0 for path in folder.iterdir()), default=0) + 1


def _attempt(
    config: TrainConfig,
    folder: Path,
    recorder: Recorder,
    stop: threading.Event,
    progress: Progress,
    *,
    shared: Shared | None,
    here: process_group.Ranks,
) -> Outcome:
    began = manifest.read(folder)
    here.any()  # nobody writes it before all have looked
    kept: plugins.Record = began.get("plugins", []) if began else []
    if began is None:
        for _turn in here.turns():
            kept = plugins.keep(config.plugins, folder)
    with plugins.active(folder, kept):
        run = None
        if not here.any(stop.is_set())[0]:  # it is, after Ctrl-C while torch was imported
            run = prepare(config, folder, recorder, stop, progress, shared=shared, kept=kept, ranks=here)
        tested = test_best(run) if run is not None and fit(run) else None
    if tested is None:
        recorder.emit(Stopped(step=progress.step))
        message = f"Stopped at step {progress.step}; it can be resumed."
        return Outcome(RunState.STOPPED, progress.step, folder, dict(progress.best_values), message)
    values = progress.best_values | tested
    recorder.emit(Finished(step=progress.step, best_epoch=progress.best_epoch, values=values))
    return Outcome(RunState.SUCCEEDED, progress.step, folder, values)


def _open_recorder(
    folder: Path, attempt: int, on_event: Callable[[Event], None] | None, here: process_group.Ranks
) -> Recorder:
    if not here.writes:
        return SilentRecorder(folder, attempt, process_group.last_words(here.rank))
    try:
        return Recorder(folder, attempt, on_event)
    except OSError as error:
        raise attempt_context.as_known(error) or error from error

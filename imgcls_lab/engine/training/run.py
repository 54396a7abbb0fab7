"""`train`: one attempt at a run in this process, from the config to its last event.

Called by `python -m imgcls_lab.engine`, by `standalone` and by a kernel. `prepare` makes what the loop needs, or
restores it from the newest intact checkpoint; every error becomes one sentence and a `failed` event.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import Overlay
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.distributed import join, launcher
from imgcls_lab.engine.distributed.nodes import Node
from imgcls_lab.engine.distributed.process_group import ProcessGroup
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.reporting.outcome import Outcome
from imgcls_lab.engine.reporting.recorder import FolderRecorder, Recorder, SilentRecorder
from imgcls_lab.engine.training import attempt_context, forking, interrupts, plugins
from imgcls_lab.engine.training.final_test import test_best
from imgcls_lab.engine.training.loop import fit
from imgcls_lab.engine.training.prepare import prepare
from imgcls_lab.engine.training.state import Attempt, Progress, StepWatch
from imgcls_lab.engine.training.weights_hash import HashedSteps
from imgcls_lab.errors import ProcessLostError
from imgcls_lab.events import Event, Finished, RunState, Stopped
from imgcls_lab.forks import Fork

OnEvent = Callable[[Event], None]


def train(
    config: TrainConfig,
    folder: Path,
    *,
    attempt: int | None = None,
    on_event: OnEvent | None = None,
    stop: threading.Event | None = None,
    cache_locations: CacheLocations | None = None,
    overlay: Overlay | None = None,
    node: Node | None = None,
) -> Outcome:
    """Train in this process, in that folder; continues from the folder's newest intact checkpoint.

    attempt: by default the one after those found in the folder. cache_locations: by default in the run's folder, for it
    alone. on_event gets every event. A set `stop`, SIGTERM or SIGINT (the last two only when called in the main thread)
    saves a checkpoint at the next step and ends with the state `stopped`. overlay: the corrections that the config
    means, where it names them by a number. node: which of several nodes this is, number 0; by default there is one.
    Raises ImgclsError, after a `failed` event with the same message.
    """
    folder = Path(folder).absolute()
    stop = stop or threading.Event()
    locations = cache_locations or CacheLocations.private(folder)
    attempt_context.make_folder(folder)
    if overlay is not None and not (folder / run_layout.DATA_REVISION).exists():
        run_layout.write_atomic(folder / run_layout.DATA_REVISION, overlay.to_json())
    if config.num_processes > 1 and not join.is_distributed():
        return _Launch(config, folder, attempt or next_attempt(folder), node or Node(), locations).run(stop, on_event)
    return _train_here(config, folder, attempt, _Around(stop, locations, on_event))


def train_watched(
    config: TrainConfig, folder: Path, watch: StepWatch, *, on_event: OnEvent, cache_locations: CacheLocations
) -> Outcome:
    """As `train`, in this process alone, while somebody looks at each step."""
    return _train_here(config, folder, None, _Around(threading.Event(), cache_locations, on_event, watch))


class _Around(NamedTuple):
    """What surrounds an attempt in this process."""

    stop: threading.Event
    locations: CacheLocations
    on_event: OnEvent | None
    watch: StepWatch | None = None


def _train_here(config: TrainConfig, folder: Path, attempt: int | None, around: _Around) -> Outcome:
    stop = around.stop
    with ExitStack() as stack:
        group = stack.enter_context(join.join_group(config, stop))
        if group.is_main and not join.started_by_launcher():
            stack.enter_context(attempt_context.lock(folder))
        stack.enter_context(interrupts.signals(stop))
        stack.enter_context(attempt_context.isolated_torch())
        if group.is_main:
            _write_config(config, folder)
        number = group.all_gather({"is": attempt or next_attempt(folder)})[0]["is"]
        recorder = stack.enter_context(_open_recorder(folder, number, around.on_event, group))
        watch, fork = around.watch or HashedSteps(), Fork.of_folder(folder)
        return _train_attempt(Attempt(config, recorder, stop, group, around.locations, Progress(), watch, fork))


def _train_attempt(attempt: Attempt) -> Outcome:
    """Train, and report a failure as an event."""
    try:
        return _run_attempt(attempt)
    except BaseException as error:
        known = attempt_context.as_imgcls_error(error)
        if known is None:
            raise
        # of a process that was lost the launcher knows the cause
        if not (join.started_by_launcher() and isinstance(known, ProcessLostError)):
            attempt_context.emit_failed(attempt.recorder, attempt.progress.step, known)
        if known is error or isinstance(error, KeyboardInterrupt):
            raise
        raise known from error


def _run_attempt(attempt: Attempt) -> Outcome:
    recorder, group, progress = attempt.recorder, attempt.group, attempt.progress
    saved_manifest = manifest.read(recorder.folder)
    group.any()  # no process writes it before all have read it
    record: plugins.Record = saved_manifest.get("plugins", []) if saved_manifest else []
    if saved_manifest is None:
        for _turn in group.main_first():
            inherited = forking.inherited_plugins(attempt)
            record = plugins.keep(attempt.config.plugins, recorder.folder) if inherited is None else inherited
    with plugins.active(recorder.folder, record):
        run = None
        if not group.any(attempt.stop.is_set())[0]:  # it is set after Ctrl-C while torch was imported
            run = prepare(attempt, record)
        tested = test_best(run) if run is not None and fit(run) else None
    if tested is None:
        recorder.emit(Stopped(step=progress.step))
        message = f"Stopped at step {progress.step}; it can be resumed."
        return Outcome(RunState.STOPPED, progress.step, recorder.folder, dict(progress.best_values), message)
    values = progress.best_values | tested
    recorder.emit(Finished(step=progress.step, best_epoch=progress.best_epoch, values=values))
    return Outcome(RunState.SUCCEEDED, progress.step, recorder.folder, values)


@dataclass(frozen=True)
class _Launch:
    """Several processes of one attempt, whose launcher this process is."""

    config: TrainConfig
    folder: Path
    attempt: int
    node: Node
    locations: CacheLocations

    def run(self, stop: threading.Event, on_event: OnEvent | None) -> Outcome:
        """Start the processes, and report how the run ended where none of them could."""
        with attempt_context.lock(self.folder), interrupts.signals(stop):
            _write_config(self.config, self.folder)
            started: launcher.Launcher | None = None
            try:
                with self._recorder(on_event) as recorder:  # it has begun, though nodes may come late
                    recorder.phase("waiting for the other nodes" if self.node.count > 1 else "starting the processes")
                started = launcher.Launcher(
                    self.config, self.folder, self.attempt, node=self.node, locations=self.locations
                )
                return started.train(stop, on_event) or self._stopped(on_event)
            except BaseException as error:
                known = attempt_context.as_imgcls_error(error)
                if known is not None and not (started and started.has_ended()):
                    with self._recorder(on_event) as recorder:
                        attempt_context.emit_failed(recorder, started.step if started else 0, known)
                if known is None or known is error or isinstance(error, KeyboardInterrupt):
                    raise
                raise known from error

    def _stopped(self, on_event: OnEvent | None) -> Outcome:
        """The end of an attempt that was stopped before all nodes had met."""
        with self._recorder(on_event) as recorder:
            recorder.emit(Stopped(step=0))
        return Outcome(RunState.STOPPED, 0, self.folder, {}, "Stopped before it began; it can be resumed.")

    def _recorder(self, on_event: OnEvent | None) -> Recorder:
        return _open_recorder(self.folder, self.attempt, on_event, ProcessGroup())


def _write_config(config: TrainConfig, folder: Path) -> None:
    if not (folder / run_layout.CONFIG).exists():
        run_layout.write_atomic(folder / run_layout.CONFIG, config.model_dump_json(indent=1))


def next_attempt(folder: Path) -> int:
    """One more than the attempts that wrote events there."""
    return max((run_layout.attempt_of(path) or 0 for path in folder.iterdir()), default=0) + 1


def _open_recorder(folder: Path, attempt: int, on_event: OnEvent | None, group: ProcessGroup) -> Recorder:
    if not group.is_main:
        return SilentRecorder(folder, attempt, join.failure_file(group.rank))
    try:
        return FolderRecorder(folder, attempt, on_event)
    except OSError as error:
        raise attempt_context.as_imgcls_error(error) or error from error

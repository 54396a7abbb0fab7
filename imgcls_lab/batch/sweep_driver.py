"""Drives a sweep: asks the study for trials, queues their runs, prunes them, and waits for the last one.

The executor starts `python -m imgcls_lab.batch.sweep_driver SWEEP` as a run without a device; SWEEP is the run's folder
or id. It may be killed at any moment and started again: the study has what was asked, and the database has what was
queued, under the trial's identity.
"""

from __future__ import annotations

import argparse
import logging
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from imgcls_lab import run_layout
from imgcls_lab.batch.halving import Halving
from imgcls_lab.batch.optuna_study import DONE, Study
from imgcls_lab.batch.rungs import halves
from imgcls_lab.batch.sweep_spec import describe, higher_is_better, point_of, trials_budget
from imgcls_lab.batch.sweep_view import SweepRecord, TrialRecord, request_of, sweep_view
from imgcls_lab.batch.trial_runs import TrialRuns
from imgcls_lab.errors import (
    ConflictError,
    ExecutorError,
    ForbiddenError,
    ImgclsError,
    InputError,
    NotFoundError,
    StoreError,
)
from imgcls_lab.events import (
    ACTIVE,
    Began,
    DesiredState,
    EventWriter,
    Failed,
    FailureKind,
    Finished,
    Phase,
    RunState,
    Stopped,
)
from imgcls_lab.executor import client
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import CurvePoint, RunView
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

POLL_INTERVAL = 0.3  # seconds between two rounds
ENSURE_EVERY = 5.0  # seconds between two checks whether an executor lives
RETRY_AFTER = 2.0  # seconds after the database did not answer


class SweepDriver:
    """One attempt of a sweep's run."""

    def __init__(self, store: Store, folder: Path, events: EventWriter) -> None:
        self.store = store
        self.folder = folder
        self.stopping = threading.Event()
        self._events = events
        self._sweep = store.runs.as_submitted(folder.name)
        store.act_for(self._sweep.owner)
        self._request = request_of(self._sweep)
        self._study = Study(folder, self._request)
        self._runs = TrialRuns(store, self._sweep, self._request)
        halving = (store, self._sweep, self._request, self._study, self._runs)
        self._halving = Halving(*halving) if halves(self._request) else None
        self._epochs: dict[str, float] = {}  # that each run has done
        self._written = ""  # what trials.json holds
        self._next_ensure = 0.0
        self._results = -1  # how many results the importance was computed from
        self._importance: dict[str, float] = {}

    def drive(self) -> bool:
        """Until every trial has its result (True), or the sweep is stopped (False)."""
        self._events.write(Phase(name="reading the data"))
        self._runs.prepare(self.stopping.is_set)
        self._events.write(Began())
        self._resume_study()
        while not self.stopping.is_set():
            pause = POLL_INTERVAL
            try:
                if self._round():
                    return True
                self._ensure_executor()
            except StoreError as error:
                logging.warning("%s", error)
                pause = RETRY_AFTER
            self.stopping.wait(pause)
        self._stop_trials()
        return False

    def finish(self) -> int:
        """Write the last event. Returns the exit code: 1 if no trial has a result."""
        view = sweep_view(self.store, self.folder.name)
        if view.holes:
            print(
                f"{view.holes} of {counted(len(view.trials), 'trial')} "
                f"{'has' if view.holes == 1 else 'have'} no result; fill the sweep to run them.",
                flush=True,
            )
        results = len(self._study.trials(TrialState.COMPLETE, TrialState.PRUNED))
        if view.trials and not results:
            first = next((trial for trial in view.trials if trial.message), None)
            reason = f"Trial {first.number}: {first.message}" if first else "Its trials say why."
            count = len(view.trials)
            what = "Its one trial has no result." if count == 1 else f"None of its {count} trials has a result."
            self._events.write(Failed(step=0, kind=FailureKind.APPLICATION, message=f"{what} {reason}"))
            return 1
        self._events.write(Finished(step=results, best_epoch=0, values={}))
        return 0

    def _ensure_executor(self) -> None:
        """Start the executor if it has died: without it no trial goes on, and nobody else may start it."""
        if time.monotonic() < self._next_ensure:
            return
        self._next_ensure = time.monotonic() + ENSURE_EVERY
        try:
            client.ensure(self.store.settings)
        except ExecutorError as error:
            logging.warning("%s", error)

    # ── one round ───────────────────────────────────────────────────────────────────────────────────────────
    def _round(self) -> bool:
        """Advance every trial under way, and ask for more while slots are free. True: all is done."""
        if self._halving is not None:
            is_over = self._halving.round(self.stopping)
            self._write_record()
            return is_over
        under_way = [trial for trial in self._study.running() if self._advance(trial)]
        slots = self._runs.slots()
        while len(under_way) < slots and self._has_budget() and self._study.has_more() and not self.stopping.is_set():
            trial = self._study.ask()
            if self._advance(trial):
                under_way.append(trial)
        self._write_record()
        return not under_way and not (self._has_budget() and self._study.has_more())

    def _advance(self, trial: FrozenTrial) -> bool:
        """Queue, prune or conclude a trial. False: it has its result."""
        try:
            run = self._run_of(trial)
        except (InputError, NotFoundError) as error:  # this point of the space makes no run
            self._study.set_attributes(trial, message=str(error))
            run = None
        if run is None:
            self._study.tell(trial, None, TrialState.FAIL)
            return False
        self._epochs[run.id] = run.epoch
        curve = self._runs.curve(run) if run.step else []
        ended_early = self._study.report(trial, curve)
        if run.state in ACTIVE:
            if ended_early and not trial.user_attrs.get("pruned") and run.state is not RunState.QUEUED:
                self._prune(trial, run, curve)
            return True
        pruned = bool(trial.user_attrs.get("pruned"))
        if run.state is RunState.SUCCEEDED and curve:
            value = (max if higher_is_better(self._request) else min)(value for _, value in curve)
            self._study.set_attributes(trial, pruned=False)
            self._study.tell(trial, value, TrialState.COMPLETE)
        elif run.state is RunState.SUCCEEDED:
            self._study.set_attributes(
                trial, message=f"It wrote no {self._request.metric}: does it train by lab.train?"
            )
            self._study.tell(trial, None, TrialState.FAIL)
        else:
            self._study.tell(trial, None, TrialState.PRUNED if pruned else TrialState.FAIL)
            if pruned and run.may_change:
                self.store.runs.explain_stop(run.id, f"Pruned by the sweep “{self._sweep.name}”.")
        return False

    def _run_of(self, trial: FrozenTrial) -> RunView | None:
        """The run of a trial, queued if there is none yet. None: it was deleted meanwhile."""
        identity = self._runs.identity(trial.params)
        found = self._runs.find(identity)
        if not trial.user_attrs.get("begun"):
            found = self._runs.begin(trial.params, identity, found)
            self._study.set_attributes(trial, begun=True, identity=identity, run_id=found.id)
        elif found is not None and self._runs.is_paused(found):  # for a sweep with rungs, which had it before
            found = self._runs.begin(trial.params, identity, found)
        return found

    def _prune(self, trial: FrozenTrial, run: RunView, curve: list[tuple[int, float]]) -> None:
        self._study.set_attributes(trial, pruned=True)
        try:
            self.store.runs.set_desired_state(run.id, DesiredState.STOP)
            print(f"{describe(trial.params)}: pruned after epoch {curve[-1][0]} ({run.id})", flush=True)
        except (ConflictError, NotFoundError, ForbiddenError):  # it has ended or was deleted; another user's goes on
            pass

    def _has_budget(self) -> bool:
        return self._request.epochs is None or sum(self._epochs.values()) < self._request.epochs

    # ── begin and end of an attempt ─────────────────────────────────────────────────────────────────────────
    def _resume_study(self) -> None:
        """Read what earlier attempts did. After a user's resume, queue again what has failed or was deleted."""
        for trial in self._study.trials(*DONE):
            run_id = trial.user_attrs.get("run_id")
            if run_id and (run := self.store.runs.by_id([run_id]).get(run_id)):
                self._epochs[run_id] = run.epoch
        if self.store.runs.lost_attempts(self._sweep.id):
            return
        if self._halving is not None:
            self._halving.forget_queued()
        running = self._study.running()
        for trial in running:
            self._study.set_attributes(trial, begun=False)
        under_way = [trial.params for trial in running]
        enqueued = [t.system_attrs.get("fixed_params") for t in self._study.trials(TrialState.WAITING)]
        for cell in sweep_view(self.store, self._sweep.id).trials:
            was_asked = cell.identity is not None or cell.message is not None
            if cell.hole and was_asked and cell.params not in under_way and cell.params not in enqueued:
                self._study.enqueue(cell.params, fills=cell.number)

    def _stop_trials(self) -> None:
        """Stop the trials of a sweep that stops; they go on when the sweep does."""
        for trial in self._study.running():
            run_id = trial.user_attrs.get("run_id")
            if run_id is None:
                continue
            try:
                self.store.runs.set_desired_state(run_id, DesiredState.STOP)
            except (ConflictError, NotFoundError, ForbiddenError):
                continue
        self._write_record()

    # ── what readers see ────────────────────────────────────────────────────────────────────────────────────
    def _write_record(self) -> None:
        trials = self._study.trials(TrialState.RUNNING, *DONE)
        results = sum(trial.state is TrialState.COMPLETE for trial in trials)
        if results != self._results:
            self._results, self._importance = results, self._study.importance()
        record = SweepRecord(
            trials=[self._record(trial) for trial in trials],
            importance=self._importance,
        )
        text = record.model_dump_json()
        if text == self._written:
            return
        self._written = text
        run_layout.write_atomic(self.folder / run_layout.TRIALS, text)
        self._events.write(self._halving.phase() if self._halving is not None else self._phase(trials))

    def _record(self, trial: FrozenTrial) -> TrialRecord:
        """A trial as readers get it."""
        known: dict[str, Any] = {
            name: trial.user_attrs[name] for name in ("identity", "run_id", "message") if name in trial.user_attrs
        }
        if self._halving is not None:
            known |= self._halving.record(trial)
        return TrialRecord(
            number=trial.number,
            params=trial.params,
            pruned=bool(trial.user_attrs.get("pruned")),
            value=trial.value if trial.state is TrialState.COMPLETE else None,
            curve=[CurvePoint(epoch=epoch, value=value) for epoch, value in sorted(trial.intermediate_values.items())],
            **known,
        )

    def _phase(self, trials: list[FrozenTrial]) -> Phase:
        """How far it is. By their values: a trial that fills a hole replaces the one before it."""
        done = len({point_of(trial.params) for trial in trials if trial.state in DONE})
        total = trials_budget(self._request)
        name = f"{done} of {counted(total, 'trial')}" if total else counted(done, "trial")
        return Phase(name=name, done=done, total=total)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m imgcls_lab.batch.sweep_driver", description="Drive a sweep.")
    parser.add_argument("sweep", help="folder or id of the sweep's run")
    parser.add_argument("--attempt", type=int, default=None)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    settings = Settings()
    folder = settings.run_dir(given.sweep) if run_layout.is_run_id(given.sweep) else Path(given.sweep).absolute()
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with _open(settings, stopping) as store:
        attempt = given.attempt or store.runs.get(folder.name).attempt or 1
        with EventWriter(folder, attempt) as events:
            try:
                driver = SweepDriver(store, folder, events)
                driver.stopping = stopping
                if driver.drive():
                    return driver.finish()
                events.write(Stopped(step=0))
            except InterruptedError:
                events.write(Stopped(step=0))
            except Exception as error:
                traceback.print_exc()
                text = str(error) if isinstance(error, ImgclsError) else f"The sweep's driver failed: {error!r}"
                events.write(Failed(step=0, kind=FailureKind.APPLICATION, message=text))
                return 1
    return 0


def _open(settings: Settings, stopping: threading.Event) -> Store:
    """The store, as soon as it answers. Raises StoreError if the sweep is stopped before."""
    while True:
        try:
            return Store.open(settings, migrate=False, way="sweep")
        except StoreError:
            if stopping.is_set():
                raise
            time.sleep(RETRY_AFTER)


if __name__ == "__main__":
    sys.exit(main())

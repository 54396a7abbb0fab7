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
from statistics import fmean
from typing import NamedTuple

from optuna.trial import FrozenTrial, TrialState

from imgcls_lab import run_layout
from imgcls_lab.batch.halving import Halving
from imgcls_lab.batch.optuna_study import DONE, Study
from imgcls_lab.batch.replicates import attribute, attributes_of, mean_curve
from imgcls_lab.batch.rungs import halves
from imgcls_lab.batch.sweep_spec import describe, higher_is_better, point_of, trials_budget
from imgcls_lab.batch.sweep_view import ReplicateRecord, SweepRecord, TrialRecord, request_of, sweep_view
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
from imgcls_lab.schemas import CurvePoint, RunView, Scalar
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store

POLL_INTERVAL = 0.3  # seconds between two rounds
ENSURE_EVERY = 5.0  # seconds between two checks whether an executor lives
RETRY_AFTER = 2.0  # seconds after the database did not answer


class _Replicate(NamedTuple):
    """One run of a trial. run: None where it was deleted, or waits for a place."""

    run: RunView | None
    waits: bool
    curve: list[tuple[int, float]]


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
        self._curves: dict[str, list[tuple[int, float]]] = {}
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
        if trials_budget(self._request) is None and self._has_budget():
            runs = counted(self._study.budget_used() * self._request.replicates, "run")
            print(f"It has {runs}, the most that a sweep may have; its epochs are not used up.", flush=True)
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
        slots, live, is_over = self._runs.slots(), 0, True
        for trial in self._study.running():
            under_way = self._advance(trial, slots - live)
            live, is_over = live + (under_way or 0), is_over and under_way is None
        while live < slots and self._has_budget() and self._study.has_more() and not self.stopping.is_set():
            under_way = self._advance(self._study.ask(), slots - live)
            live, is_over = live + (under_way or 0), is_over and under_way is None
        self._write_record()
        return is_over and not (self._has_budget() and self._study.has_more())

    def _advance(self, trial: FrozenTrial, room: int) -> int | None:
        """Queue, prune or conclude a trial. How many of its runs are under way; None: it has its result.

        room: how many of its runs may be under way.
        """
        replicates, live = [], 0
        try:
            for number, params in enumerate(self._runs.values(trial.params)):
                each = self._replicate(trial, number, params, may_begin=live < room)
                live += each.run is not None and each.run.state in ACTIVE
                replicates.append(each)
        except (InputError, NotFoundError) as error:  # this point of the space makes no run
            self._study.set_attributes(trial, message=str(error))
            self._study.tell(trial, None, TrialState.FAIL)
            return None
        curve = mean_curve([each.curve for each in replicates])
        ended_early = self._study.report(trial, curve)
        if live or any(each.waits for each in replicates):
            run = replicates[0].run
            if ended_early and run and not trial.user_attrs.get("pruned") and run.state is not RunState.QUEUED:
                self._prune(trial, run, curve)
            return live
        self._conclude(trial, replicates)
        return None

    def _replicate(self, trial: FrozenTrial, number: int, params: dict[str, Scalar], *, may_begin: bool) -> _Replicate:
        """One run of a trial as of now, queued if there is none yet and there is a place for it."""
        begun = bool(trial.user_attrs.get(attribute("begun", number)))
        if not begun and not may_begin:
            return _Replicate(None, waits=True, curve=[])
        identity = self._runs.identity(params)
        found = self._runs.find(identity)
        if not begun:
            found = self._runs.begin(params, identity, found)
            known = {"begun": True, "identity": identity, "run_id": found.id}
            self._study.set_attributes(trial, **{attribute(name, number): value for name, value in known.items()})
        elif found is not None and self._runs.is_paused(found):  # for a sweep with rungs, which had it before
            found = self._runs.begin(params, identity, found)
        if found is None:
            return _Replicate(None, waits=False, curve=[])
        self._epochs[found.id] = found.epoch
        curve = self._curve(found)
        value, key = self._best(curve), attribute("result", number)
        if found.state is RunState.SUCCEEDED and trial.user_attrs.get(key) != value:
            self._study.set_attributes(trial, **{key: value})
        return _Replicate(found, waits=False, curve=curve)

    def _curve(self, run: RunView) -> list[tuple[int, float]]:
        """Its metric by epoch. That of a run that has succeeded is read once, while the other replicates train."""
        if run.id in self._curves:
            return self._curves[run.id]
        curve = self._runs.curve(run) if run.step else []
        if run.state is RunState.SUCCEEDED:
            self._curves[run.id] = curve
        return curve

    def _best(self, curve: list[tuple[int, float]]) -> float | None:
        return (max if higher_is_better(self._request) else min)((value for _, value in curve), default=None)

    def _conclude(self, trial: FrozenTrial, replicates: list[_Replicate]) -> None:
        """Tell the study the result of a trial: the mean of its runs, if each of them has one."""
        succeeded = [each for each in replicates if each.run is not None and each.run.state is RunState.SUCCEEDED]
        values = [value for each in succeeded if (value := self._best(each.curve)) is not None]
        pruned = bool(trial.user_attrs.get("pruned"))
        if len(values) == len(replicates):
            self._study.set_attributes(trial, pruned=False)
            self._study.tell(trial, fmean(values), TrialState.COMPLETE)
        elif len(values) < len(succeeded):
            text = f"It wrote no {self._request.metric}: does it train by lab.train?"
            self._study.set_attributes(trial, message=text)
            self._study.tell(trial, None, TrialState.FAIL)
        else:
            run = replicates[0].run
            self._study.tell(trial, None, TrialState.PRUNED if pruned and run else TrialState.FAIL)
            if pruned and run and run.may_change:
                self.store.runs.explain_stop(run.id, f"Pruned by the sweep “{self._sweep.name}”.")

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
            known = self.store.runs.by_id(self._run_ids(trial))
            self._epochs |= {run_id: run.epoch for run_id, run in known.items()}
        if self.store.runs.lost_attempts(self._sweep.id):
            return
        if self._halving is not None:
            self._halving.forget_queued()
        running = self._study.running()
        for trial in running:
            again = {attribute("begun", number): False for number in range(self._request.replicates)}
            self._study.set_attributes(trial, **again)
        under_way = [trial.params for trial in running]
        enqueued = [t.system_attrs.get("fixed_params") for t in self._study.trials(TrialState.WAITING)]
        for cell in sweep_view(self.store, self._sweep.id).trials:
            was_asked = cell.identity is not None or cell.message is not None
            if cell.hole and was_asked and cell.params not in under_way and cell.params not in enqueued:
                self._study.enqueue(cell.params, fills=cell.number)

    def _stop_trials(self) -> None:
        """Stop the trials of a sweep that stops; they go on when the sweep does."""
        for run_id in [run_id for trial in self._study.running() for run_id in self._run_ids(trial)]:
            try:
                self.store.runs.set_desired_state(run_id, DesiredState.STOP)
            except (ConflictError, NotFoundError, ForbiddenError):
                continue
        self._write_record()

    def _run_ids(self, trial: FrozenTrial) -> list[str]:
        """The runs that a trial has so far."""
        each = (attributes_of(trial.user_attrs, ["run_id"], number) for number in range(self._request.replicates))
        return [known["run_id"] for known in each if known]

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
        known = attributes_of(trial.user_attrs, ["identity", "run_id", "message"], 0)
        if self._halving is not None:
            known |= self._halving.record(trial)
        return TrialRecord(
            number=trial.number,
            params=trial.params,
            pruned=bool(trial.user_attrs.get("pruned")),
            value=trial.value if trial.state is TrialState.COMPLETE else None,
            curve=[CurvePoint(epoch=epoch, value=value) for epoch, value in sorted(trial.intermediate_values.items())],
            replicates=self._replicates(trial),
            **known,
        )

    def _replicates(self, trial: FrozenTrial) -> list[ReplicateRecord]:
        """The runs of a trial as readers get them; none where a trial is one run."""
        if self._request.replicates == 1:
            return []
        known = (attributes_of(trial.user_attrs, ["run_id", "result"], n) for n in range(self._request.replicates))
        seeds = enumerate(known, start=self._runs.first_seed)
        return [ReplicateRecord(seed=seed, run_id=of.get("run_id"), value=of.get("result")) for seed, of in seeds]

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

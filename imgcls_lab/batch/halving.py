"""Successive halving: the trials of a bracket pause at a rung, the best of them go on from there, the others are left.

Called by the driver in each of its rounds. A trial is one run throughout: at a rung it is stopped after a checkpoint,
and a promoted one is resumed. What was decided stands in the study, and what a decision rests on in the database. So a
driver that was killed decides the same again. `rungs.py` has the arithmetic.
"""

from __future__ import annotations

import itertools
import threading
from typing import Any, Literal

from optuna.trial import FrozenTrial, TrialState

from imgcls_lab.batch.optuna_study import DONE, Study
from imgcls_lab.batch.rungs import ranked, value_at
from imgcls_lab.batch.sweep_spec import brackets, describe, epochs_budget, higher_is_better, point_of
from imgcls_lab.batch.trial_runs import TrialRuns
from imgcls_lab.errors import InputError, NotFoundError
from imgcls_lab.events import ACTIVE, Phase, RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import RunDetail, RungView, RunView, SweepRequest
from imgcls_lab.store import Store

# What a trial without a result is to its bracket: it trains to its rung (or waits for a device), it is to be queued, it
# waits at its rung, or it has its result now.
Standing = Literal["live", "ready", "waits", "over"]


class Halving:
    """The brackets of one sweep."""

    def __init__(self, store: Store, sweep: RunDetail, request: SweepRequest, study: Study, runs: TrialRuns) -> None:
        self._store = store
        self._name = sweep.name
        self._study = study
        self._runs = runs
        self._higher = higher_is_better(request)
        self._metric = request.metric
        self._brackets = brackets(request)
        self._budget = epochs_budget(request)
        drawn = (number for number, bracket in enumerate(self._brackets) for _ in range(bracket.rungs[0].trials))
        points = sorted(study.trials(), key=lambda trial: trial.number)
        # the points were put into the study in the order of the brackets, before anything that fills a hole
        self._bracket_of = {
            point_of(study.params_of(trial)): number for trial, number in zip(points, drawn, strict=False)
        }
        self._waits_for: dict[int, int] = {}  # trials that wait at a rung: for how many others
        known = store.runs.by_id({trial.user_attrs["run_id"] for trial in points if "run_id" in trial.user_attrs})
        self._epochs = {run_id: run.epoch for run_id, run in known.items()}
        self._place = ""

    def round(self, stopping: threading.Event) -> bool:
        """Look at every trial, decide at the rungs, and queue what can be. True: all is done."""
        trials = {trial.number: trial for trial in self._study.running()}
        found = {number: self._look(trial) for number, trial in trials.items()}
        under_way = {number: trial for number, trial in trials.items() if found[number] != "over"}
        newest = {trial.number: trial for trial in self._study.trials(*DONE)} | under_way
        by_point = {point_of(trial.params): trial for _, trial in sorted(newest.items())}
        places = [self._decide(number, by_point, found) for number in range(len(self._brackets))]
        everything = counted(len(self._bracket_of), "trial")
        self._place = next((place for place in places if place), f"{len(self._bracket_of)} of {everything}")
        slots = self._runs.slots()
        ready = sorted(
            (n for n, standing in found.items() if standing == "ready"), key=lambda n: (-_rung(trials[n]), n)
        )
        live = sum(standing == "live" for standing in found.values())
        while live < slots and not stopping.is_set() and (ready or self._study.has_more()):
            trial = trials[ready.pop(0)] if ready else self._study.ask()
            standing = found.get(trial.number) or self._look(trial)
            if standing == "ready":
                standing = self._queue(trial)
            found[trial.number] = standing
            live += standing == "live"
        return not self._study.trials(TrialState.RUNNING) and not self._study.has_more()

    def forget_queued(self) -> None:
        """A user has resumed the sweep: trials on their way to a rung are queued again; of a deleted run anew."""
        for trial in self._study.running():
            run_id = trial.user_attrs.get("run_id")
            if run_id and not self._store.runs.by_id([run_id]):
                self._study.tell(trial, None, TrialState.FAIL)
            else:
                self._study.set_attributes(trial, queued=min(trial.user_attrs.get("queued", 0), _rung(trial)))

    def record(self, trial: FrozenTrial) -> dict[str, Any]:
        """What readers see of a trial's rungs."""
        return {
            "bracket": self._bracket(trial),
            "rung": _rung(trial) + 1,
            "waits_for": self._waits_for.get(trial.number) if trial.state is TrialState.RUNNING else None,
            "rank": trial.user_attrs.get("rank"),
            "of": trial.user_attrs.get("of"),
        }

    def phase(self) -> Phase:
        """Where the sweep stands, for its head."""
        done = int(sum(self._epochs.values()))
        return Phase(name=self._place, done=min(done, self._budget or done), total=self._budget)

    # ── one trial ───────────────────────────────────────────────────────────────────────────────────────────
    def _look(self, trial: FrozenTrial) -> Standing:
        """How a trial stands. One that has ended otherwise than at its rung gets its result."""
        queued = trial.user_attrs.get("queued", 0) > _rung(trial)
        try:
            run = self._runs.find(self._runs.identity(trial.params))
        except (InputError, NotFoundError) as error:  # this point of the space makes no run
            return self._fail(trial, str(error))
        if run is None:  # deleted, or not there yet
            return self._fail(trial) if queued or _rung(trial) else "ready"
        self._epochs[run.id] = run.epoch
        curve = dict(self._runs.curve(run) if run.step else [])
        self._study.report(trial, curve.items())
        trial.intermediate_values.update(curve)
        rung = self._rungs(trial)[_rung(trial)]
        if self._is_last(trial):
            if run.state is RunState.SUCCEEDED and curve:
                self._study.tell(trial, (max if self._higher else min)(curve.values()), TrialState.COMPLETE)
                return "over"
        elif value_at(curve, rung.epochs, higher=self._higher) is not None:
            if run.state in ACTIVE and run.epoch <= rung.epochs:
                return "live"  # it saves its checkpoint
            self._explain_waiting(trial, run)
            return "waits"
        if run.state in ACTIVE:
            return "live"
        paused = run.state is RunState.STOPPED and run.epoch >= rung.epochs and not self._is_last(trial)
        if run.state is RunState.SUCCEEDED or paused:
            return self._fail(trial, f"It wrote no {self._metric}, and cannot be compared.")
        if not queued or self._runs.is_paused(run):  # at a rung of another sweep, which came before this one
            return "ready"
        return self._fail(trial)

    def _fail(self, trial: FrozenTrial, message: str | None = None) -> Standing:
        """It has no result: a hole. The others of its rung do not wait for it."""
        if message is not None:
            self._study.set_attributes(trial, message=message)
        self._study.tell(trial, None, TrialState.FAIL)
        return "over"

    def _queue(self, trial: FrozenTrial) -> Standing:
        """Queue the run of a trial, or resume it, until its next rung."""
        identity = self._runs.identity(trial.params)
        until = None if self._is_last(trial) else self._rungs(trial)[_rung(trial)].epochs
        run = self._runs.begin(trial.params, identity, self._runs.find(identity), until)
        self._study.set_attributes(trial, queued=_rung(trial) + 1, identity=identity, run_id=run.id)
        return "live"

    def _explain_waiting(self, trial: FrozenTrial, run: RunView) -> None:
        if trial.user_attrs.get("run_id") != run.id:  # another sweep had trained it so far already
            self._study.set_attributes(trial, run_id=run.id, identity=self._runs.identity(trial.params))
        rung = _rung(trial) + 1
        if run.state is RunState.STOPPED and run.may_change and trial.user_attrs.get("explained", 0) < rung:
            self._store.runs.explain_stop(run.id, f"Waits at rung {rung} of the sweep “{self._name}”.")
            self._study.set_attributes(trial, explained=rung)

    # ── one bracket ─────────────────────────────────────────────────────────────────────────────────────────
    def _decide(self, number: int, by_point: dict[str, FrozenTrial], found: dict[int, Standing]) -> str | None:
        """Let the best of each rung go on whose trials are all there. Where the bracket stands; None: it is done."""
        members = [trial for point, trial in by_point.items() if self._bracket_of.get(point) == number]
        rungs = self._brackets[number].rungs
        for rung, following in itertools.zip_longest(range(len(rungs)), rungs[1:]):
            missing = self._missing(number, rung, members, found)
            here = (trial for trial in members if trial.state is TrialState.RUNNING and _rung(trial) == rung)
            waiting = [trial for trial in here if found[trial.number] == "waits"]
            for trial in waiting:
                self._waits_for[trial.number] = missing
            if missing:
                return self._place_of(number, rung, missing)
            if following is not None:
                self._promote(waiting, rung, members, following, found)
        return None

    def _missing(self, number: int, rung: int, members: list[FrozenTrial], found: dict[int, Standing]) -> int:
        """How many trials have still to come to a rung."""
        asked_later = self._study.trials(TrialState.WAITING)
        unasked = sum(self._bracket_of.get(point_of(self._study.params_of(trial))) == number for trial in asked_later)
        under_way = sum(
            found.get(trial.number, "over") in {"live", "ready"} and _rung(trial) <= rung for trial in members
        )
        return unasked + under_way

    def _promote(
        self,
        waiting: list[FrozenTrial],
        rung: int,
        members: list[FrozenTrial],
        following: RungView,
        found: dict[int, Standing],
    ) -> None:
        """Tell the trials that wait at a rung who goes on: its best, counted among all that have come to it."""
        values = {}
        for trial in members:
            failed_here = trial.state is TrialState.FAIL and _rung(trial) == rung
            if _rung(trial) >= rung and not failed_here:
                epochs = self._rungs(trial)[rung].epochs
                value = value_at(trial.intermediate_values, epochs, higher=self._higher)
                if value is not None:
                    values[trial.number] = value
        order = ranked(values, higher=self._higher)
        for trial in waiting:
            self._waits_for.pop(trial.number, None)
            rank = order.index(trial.number) + 1
            if rank <= following.trials:
                self._study.set_attributes(trial, rung=rung + 1)
                found[trial.number] = "ready"
                said = "goes on"
            else:
                self._leave(trial, rung, rank, len(order))
                found[trial.number] = "over"
                said = "is left"
            print(f"{describe(trial.params)}: {said} at rung {rung + 1}, rank {rank} of {len(order)}", flush=True)

    def _leave(self, trial: FrozenTrial, rung: int, rank: int, of: int) -> None:
        self._study.set_attributes(trial, rank=rank, of=of)
        self._study.tell(trial, None, TrialState.PRUNED)
        run = self._store.runs.by_id([trial.user_attrs["run_id"]]).get(trial.user_attrs["run_id"])
        if run is not None and run.may_change:
            text = f"Left at rung {rung + 1} of the sweep “{self._name}”: rank {rank} of {of}."
            self._store.runs.explain_stop(run.id, text)

    def _bracket(self, trial: FrozenTrial) -> int:
        return self._bracket_of.get(point_of(trial.params), 0)

    def _rungs(self, trial: FrozenTrial) -> list[RungView]:
        return self._brackets[self._bracket(trial)].rungs

    def _is_last(self, trial: FrozenTrial) -> bool:
        return _rung(trial) == len(self._rungs(trial)) - 1

    def _place_of(self, number: int, rung: int, missing: int) -> str:
        rungs = self._brackets[number].rungs
        several = f"bracket {number + 1} of {len(self._brackets)}, " if len(self._brackets) > 1 else ""
        there = max(0, rungs[rung].trials - missing)
        return f"{several}rung {rung + 1} of {len(rungs)}: {there} of {counted(rungs[rung].trials, 'trial')}"


def _rung(trial: FrozenTrial) -> int:
    """The rung, from 0, to which a trial trains, at which it waits, or at which it was left."""
    return int(trial.user_attrs.get("rung", 0))

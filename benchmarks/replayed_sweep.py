"""Sweeps whose trainings are replayed: one device on which recorded curves pass as epochs. Called by `search`.

The driver, the samplers, pruners and rungs, the study, the queue and the database are those of every sweep. A run is
claimed, writes events into its folder, stops where it is asked to or at its rung, and goes on from there. What it does
not do is compute: its losses are those that the training of the nearest recorded trial had.
"""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from PIL import Image

from imgcls_lab import pausing
from imgcls_lab.batch.submit_sweep import submit_sweep
from imgcls_lab.batch.sweep_driver import SweepDriver
from imgcls_lab.batch.sweep_spec import make_request, pruner_of
from imgcls_lab.events import (
    CheckpointSaved,
    DesiredState,
    EpochEnded,
    EventWriter,
    Finished,
    RunState,
    Started,
    Stopped,
)
from imgcls_lab.run_layout import CHECKPOINTS, checkpoint_name
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.verdict import Verdict

HOST = "replay"
IDLE = 3  # rounds in a row in which nothing waits for the device, before that counts as a fault
TAG = "loss/val"


@dataclass(frozen=True)
class Curves:
    """The losses of a grid of trials, by epoch, each trained to its end. axes: the values of each setting."""

    axes: Mapping[str, Sequence[float]]
    losses: Mapping[tuple[float, ...], Sequence[float]]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Of a file as `search` writes it: the trials in the order of the grid, the last setting fastest."""
        found = json.loads(path.read_text())
        points = itertools.product(*found["axes"].values())
        return cls(found["axes"], dict(zip(points, found["losses"], strict=True)))

    @property
    def epochs(self) -> int:
        return len(next(iter(self.losses.values())))

    @property
    def best(self) -> float:
        """The best loss of any trial at any epoch."""
        return min(map(min, self.losses.values()))

    def of(self, config: Mapping[str, Any]) -> Sequence[float]:
        """Those of the trial that is nearest to a config, by the ratios of its settings."""
        point = (
            min(values, key=lambda value: abs(math.log(value / config[name]))) for name, values in self.axes.items()
        )
        return self.losses[tuple(point)]

    @property
    def space(self) -> dict[str, Any]:
        """What a sweep searches: rates between the ends of the grid, and batches of its sizes."""
        return {
            name: [int(value) for value in values]
            if name == "batch_size"
            else {"low": values[0], "high": values[-1], "log": True}
            for name, values in self.axes.items()
        }


class Device:
    """One device. best_after: after each epoch that it has passed, the best loss that any run has had until then."""

    def __init__(self, store: Store, curves: Curves) -> None:
        self.best_after: list[float] = []
        self._store = store
        self._curves = curves
        self._run: _Run | None = None

    def advance(self) -> bool:
        """Pass an epoch of the run that has the device, or of the next one. False: none waits."""
        run = self._run or self._claim()
        if run is None:
            return False
        if self._store.runs.get(run.id).desired_state is DesiredState.STOP:
            self._end(run, RunState.STOPPED)
            return True
        loss = run.pass_epoch()
        self.best_after.append(min([loss, *self.best_after[-1:]]))
        if run.done == len(run.losses):
            self._end(run, RunState.SUCCEEDED)
        elif run.done == run.until:
            self._end(run, RunState.STOPPED)
        else:
            ingest(self._store.database, self._store.settings, run.id, run.attempt)
        return True

    @property
    def is_free(self) -> bool:
        return self._run is None

    def _claim(self) -> _Run | None:
        with self._store.database.write() as session:
            claim = attempts.claim(session, HOST, HOST, lambda _: ["cpu:0"])
        if claim is not None:
            folder = self._store.settings.run_dir(claim.run.id)
            self._run = _Run(folder, claim, self._curves.of(claim.run.config))
        return self._run

    def _end(self, run: _Run, state: RunState) -> None:
        run.end(state)
        self._run = None
        ingest(self._store.database, self._store.settings, run.id, run.attempt)
        with self._store.database.write() as session:
            attempts.finish(session, run.id, run.attempt, Verdict(state), None)


class _Run:
    """One attempt of a run. done: its epochs until now; until: the epoch at which it pauses."""

    def __init__(self, folder: Path, claim: attempts.Claim, losses: Sequence[float]) -> None:
        self.id, self.attempt, self.losses = claim.run.id, claim.attempt, losses
        self.done = claim.run.saved_step
        self.until = pausing.until_epoch(claim.run.payload)
        self._folder = folder
        folder.mkdir(mode=0o700, exist_ok=True)
        self._events = EventWriter(folder, claim.attempt)
        self._events.write(
            Started(
                resume_step=self.done, total_steps=len(losses), steps_per_epoch=1, epochs=len(losses), train_images=1,
                val_images=1, classes=2, device="cpu", precision="fp32", threads=1,
            )
        )  # fmt: skip

    def pass_epoch(self) -> float:
        loss = self.losses[self.done]
        self.done += 1
        is_best = loss == min(self.losses[: self.done])
        values = {TAG: loss}
        self._events.write(EpochEnded(step=self.done, epoch=self.done, seconds=1.0, values=values, best=is_best))
        return loss

    def end(self, state: RunState) -> None:
        """Save a checkpoint, and say what it has come to."""
        place = f"{CHECKPOINTS}/{checkpoint_name(self.attempt, self.done)}"
        (self._folder / place).mkdir(parents=True, exist_ok=True)
        self._events.write(CheckpointSaved(step=self.done, epoch=self.done, folder=place, links=("last",)))
        if state is RunState.SUCCEEDED:
            best = min(range(self.done), key=self.losses.__getitem__)
            self._events.write(Finished(step=self.done, best_epoch=best + 1, values={TAG: self.losses[best]}))
        else:
            self._events.write(Stopped(step=self.done))
        self._events.close()


class _Driver(SweepDriver):
    """Leaves out what it writes for readers: after each result how much each setting matters, which takes a while."""

    def _write_record(self) -> None:
        pass


def replay(curves: Curves, folder: Path, **request: Any) -> list[float]:
    """Run a sweep to its end: after each epoch the best loss that it has seen, of any epoch of any trial.

    folder: a new one, for a home of its own; request: strategy, seed and budget.
    """
    root = folder / "data"
    for name in ("a", "b"):
        (root / "train" / name).mkdir(parents=True)
        Image.new("L", (8, 8)).save(root / "train" / name / "0.png")
    base = {"root": str(root), "model_flavour": "replayed", "epochs": curves.epochs, "device": "cpu", "threads": 1}
    wanted = make_request(base=base, space=curves.space, metric="loss", **request)
    with Store.open(Settings(home=str(folder / "home"), autostart=False), migrate=True, way="sweep") as store:
        sweep = submit_sweep(store, wanted, None)
        with store.database.write() as session:
            attempts.claim(session, HOST, HOST, lambda _: [])
        device, place = Device(store, curves), store.settings.run_dir(sweep.id)
        with EventWriter(place, 1) as events:
            # a pruner looks at each epoch; all others decide when a run has ended
            _drive(_Driver(store, place, events), device, each_epoch=pruner_of(wanted) != "none")
    return device.best_after


def _drive(driver: SweepDriver, device: Device, *, each_epoch: bool) -> None:
    """As `SweepDriver.drive` does, with the device instead of the time between two rounds."""
    driver._runs.prepare(lambda: False)
    driver._resume_study()
    idle = 0
    while not driver._round():
        idle = 0 if device.advance() else idle + 1
        if idle > IDLE:
            raise RuntimeError("The sweep waits for a run, and none is queued.")
        while not each_epoch and not device.is_free:
            device.advance()

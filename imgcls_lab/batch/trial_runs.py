"""The runs of a sweep's trials: their identity, how they are queued or found, and their results.

Used by the driver. The trial's identity is the run's idempotency key. So the same trial of two sweeps is one run, and
so is a trial that a driver queues again after a kill.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from imgcls_lab import pausing
from imgcls_lab.batch import trial_identity
from imgcls_lab.batch.notebook_source import NotebookSource, parse
from imgcls_lab.batch.parameters import checked
from imgcls_lab.batch.replicates import SEED, first_seed, values_of_runs
from imgcls_lab.batch.rungs import HALVES
from imgcls_lab.batch.sweep_spec import describe, metric_tag, pruner_of, trial_config
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConflictError, DataError
from imgcls_lab.events import RESUMABLE, RunKind, RunState
from imgcls_lab.planning.fingerprint import revised_fingerprint
from imgcls_lab.schemas import RunDetail, RunView, Scalar, SubmitRequest, SweepRequest
from imgcls_lab.store import Store
from imgcls_lab.store.cluster import fits
from imgcls_lab.store.run_rows import TRIAL_KEY

MAX_POINTS = 100_000  # of a series: none is thinned


class TrialRuns:
    """Runs of one sweep."""

    def __init__(self, store: Store, sweep: RunDetail, request: SweepRequest) -> None:
        self._store = store
        self._sweep = sweep
        self._request = request
        self._notebook: dict[str, Any] = sweep.payload.get("notebook") or {}
        self._source: NotebookSource | None = parse(self._notebook, store.settings) if self._notebook else None
        self.first_seed = first_seed(request, self._source) if request.replicates > 1 else 0
        self._data: dict[str, str] = {}  # fingerprints by folder
        self._models: dict[str, str] = {}

    def prepare(self, stop: Callable[[], bool]) -> None:
        """Read the data that all trials share. Raises DataError, and InterruptedError if stopped."""
        root = self._request.base.get("root")
        if isinstance(root, str):
            self._fingerprint(root, stop)

    # ── identity ────────────────────────────────────────────────────────────────────────────────────────────
    def identity(self, params: Mapping[str, Scalar]) -> str:
        """Hash of config, data, code and processor of a trial. Raises InputError if no run can have these values."""
        computes = str(self._sweep.payload.get("computes", ""))
        if self._source is not None:
            values = self._parameters(params)
            data = self._fingerprint(values["root"]) if isinstance(values.get("root"), str) else ""
            return trial_identity.of_notebook(self._source.code, values, data, computes)
        config = trial_config(self._request, params)
        data, model = self._fingerprint(config.root), self._model(config.model_flavour)
        overlay = self._store.revisions.for_config(config)
        data = data if overlay is None else revised_fingerprint(data, overlay.content)
        return trial_identity.of_training(config, data, model, computes)

    def _parameters(self, params: Mapping[str, Scalar]) -> dict[str, Any]:
        assert self._source is not None  # noqa: S101
        return checked(self._source.parameters, {**self._request.base, **params}, self._source.name)

    def _fingerprint(self, root: str, stop: Callable[[], bool] = lambda: False) -> str:
        if root not in self._data:
            try:
                self._data[root] = trial_identity.of_images(Path(root), self._fingerprint_cache, stop)
            except InterruptedError:
                raise
            except OSError as error:
                raise DataError(f"The images under “{root}” cannot be read: {error.strerror}.") from None
        return self._data[root]

    def _model(self, flavour: str) -> str:
        folder = Path(flavour)
        if flavour not in self._models:
            is_folder = folder.is_absolute() and folder.is_dir()
            self._models[flavour] = trial_identity.of_folder(folder, self._fingerprint_cache) if is_folder else flavour
        return self._models[flavour]

    @property
    def _fingerprint_cache(self) -> Path:
        return self._store.settings.home_path / "fingerprints"

    def values(self, params: Mapping[str, Scalar]) -> list[dict[str, Scalar]]:
        """Those of each run of a trial: of its replicates, in the order of their seeds."""
        return values_of_runs(self._request, params, self.first_seed)

    # ── runs ────────────────────────────────────────────────────────────────────────────────────────────────
    def find(self, identity: str) -> RunView | None:
        """The run of an identity, whoever owns it; of several the one that has come furthest, first the sweep's own."""
        order = [RunState.SUCCEEDED, RunState.RUNNING, RunState.STARTING, RunState.STOPPING, RunState.LOST,
                 RunState.QUEUED, RunState.STOPPED, RunState.FAILED, RunState.CANCELLED]  # fmt: skip
        return min(
            self._store.runs.by_key(_key(identity)),
            key=lambda run: (order.index(run.state), not run.may_change),
            default=None,
        )

    def begin(
        self, params: Mapping[str, Scalar], identity: str, found: RunView | None, until_epoch: int | None = None
    ) -> RunView:
        """Queue a trial, or resume the run that there is of it; one that another user has left is not resumed.

        until_epoch: it pauses after it; None: it trains to its end.
        """
        key = _key(identity)
        if found is not None and found.state in RESUMABLE and not found.may_change:
            found, key = None, f"{key}:{self._sweep.owner}"
        if found is not None and found.state in RESUMABLE:
            try:
                return self._store.runs.resume(found.id, until=until_epoch)
            except ConflictError:  # another process was first
                return self._store.runs.by_id([found.id]).get(found.id, found)
        if found is not None:
            return found
        try:
            return self._store.runs.submit(self._submission(params, key, until_epoch))
        except ConflictError:  # another sweep has queued the same trial just now
            again = self.find(identity)
            if again is None:
                raise
            return again

    def is_paused(self, run: RunView) -> bool:
        """Whether it is stopped at the epoch until which it was to train, by a sweep that pauses its trials."""
        if run.state is not RunState.STOPPED or self._source is not None:
            return False
        until = pausing.until_epoch(self._store.runs.get(run.id).payload)
        return until is not None and run.epoch >= until

    def _submission(self, params: Mapping[str, Scalar], key: str, until_epoch: int | None) -> SubmitRequest:
        seed = {SEED: params.get(SEED, self.first_seed)} if self._request.replicates > 1 else {}
        common: dict[str, Any] = {
            "name": f"{self._sweep.name}: {describe({**params, **seed})}"[:200],
            "project_id": self._sweep.project_id,
            "parent_id": self._sweep.id,  # the first of the sweeps that have this trial
            "priority": self._sweep.priority,
            "notes": f"A trial of the sweep {self._sweep.id}.",
            "idempotency_key": key,
        }
        if self._source is not None:
            payload = {**self._notebook, "parameters": self._parameters(params)}
            return SubmitRequest(kind=RunKind.NOTEBOOK, payload=payload, device=self._request.device, **common)
        config: TrainConfig = trial_config(self._request, params)
        payload = pausing.with_until_epoch({}, until_epoch)
        return SubmitRequest(
            config=config.model_dump(mode="json"), payload=payload, device=self._request.device, **common
        )

    def curve(self, run: RunView) -> list[tuple[int, float]]:
        """The metric by epoch, as far as it is in the database."""
        reply = self._store.metrics.series([run.id], [metric_tag(self._request)], max_points=MAX_POINTS)
        points = {}
        for series in reply.series:
            for epoch, value in zip(series.epoch, series.value, strict=True):
                if value is not None and math.isfinite(value):
                    points[round(epoch)] = value
        return sorted(points.items())

    def slots(self) -> int:
        """How many runs may be under way: one a device, and one queued if no trial depends on earlier results."""
        wanted = self._request.device or str(self._request.base.get("device", "auto"))
        devices = self._store.executors.usable_devices()
        gpus = any(device.kind == "cuda" for device in devices)
        fitting = max(1, sum(fits(wanted, device, gpus=gpus) for device in devices))
        independent = self._request.strategy in {"grid", "random", *HALVES} and pruner_of(self._request) == "none"
        return min(self._request.parallel or 10_000, fitting + independent)


def _key(identity: str) -> str:
    return f"{TRIAL_KEY}{identity}"

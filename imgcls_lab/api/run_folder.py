"""A run as its folder tells it: for runs that no database knows (yet), and for data that the folder has first-hand.

Called by `Run` and the live cell. Only reads; the folder may grow meanwhile.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from threading import RLock
from typing import Any

from imgcls_lab import run_layout
from imgcls_lab.api.curves import Curves
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.saved import upgraded
from imgcls_lab.errors import ConfigError, ConflictError, NotFoundError
from imgcls_lab.events import (
    ENDED,
    AnyEvent,
    Began,
    CheckpointSaved,
    DesiredState,
    EpochEnded,
    Event,
    Failed,
    FailureKind,
    Finished,
    Metrics,
    Phase,
    RunKind,
    RunState,
    Started,
    Stopped,
    finite,
    is_resumable,
)
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.schemas import (
    AttemptView,
    BestMetric,
    CheckpointView,
    Cursor,
    DeviceRequest,
    EpochReport,
    LogChunk,
    MetricsBatch,
    RunDetail,
    RunView,
    SeriesReply,
)
from imgcls_lab.store import run_files


class RunFolder:
    """One run's folder, read on from call to call. Safe for threads."""

    def __init__(self, folder: Path, run_id: str | None = None) -> None:
        self.folder = folder
        self.info = _read_json(folder / run_layout.RUN_INFO) or {}
        self.run_id = run_id or str(self.info.get("id") or folder.name)
        self._lock = RLock()
        self._curves = Curves(self.run_id)
        self._config: dict[str, Any] | None = None
        self._attempts: dict[int, AttemptView] = {}
        self._state = RunState.STARTING
        self._message: str | None = None
        self._failure: FailureKind | None = None
        self._phase: str | None = None
        self._started: Started | None = None
        self._best: BestMetric | None = None
        self._saved: dict[str, int] = {}  # checkpoint -> epoch
        self._latest: dict[str, float | None] = {}
        self._step = 0
        self._epoch = 0.0
        self._first = self._last = 0.0  # times of the first and the newest event
        self._heard: dict[int, float] = {}  # time of the newest event, by attempt
        self._revision = 0

    @property
    def config(self) -> dict[str, Any]:
        """The config in the folder. Raises NotFoundError if there is none."""
        if self._config is None:
            saved = _read_json(self.folder / run_layout.CONFIG)
            if saved is None:
                raise NotFoundError(f"“{self.folder}” holds no run: it has no {run_layout.CONFIG}.")
            self._config = upgraded(saved)
        return self._config

    def has_events(self) -> bool:
        return any(self.folder.glob("events-*.jsonl"))

    # ── what a live view asks ───────────────────────────────────────────────────────────────────────────────
    def run(self) -> RunDetail:
        """The run as of now. Raises NotFoundError if the folder holds no run."""
        with self._lock:
            self._read()
            return self._detail()

    def series(self, tags: list[str] | None = None, max_points: int | None = None) -> SeriesReply:
        with self._lock:
            self._read()
            return self._curves.series(tags, max_points)

    def points_since(self, cursor: Cursor) -> MetricsBatch:
        with self._lock:
            self._read()
            return self._curves.since(cursor)

    def report(self, epoch: int | None = None, split: str = "val") -> EpochReport:
        """The evaluation of an epoch, by default the last; that of the best model on test/. Raises NotFoundError."""
        return run_files.read_report(self.folder, epoch, split)

    def log(self, offset: int = -65_536, limit: int = 262_144) -> LogChunk:
        """A piece of the log; a negative offset counts from its end."""
        return run_files.read_log(self.folder, offset, limit)

    def command(self, name: str) -> RunView:
        """Whoever trains here is not ours to command."""
        raise ConflictError(f"This run trains in a kernel or shell: {name} it there.")

    # ── events into a state ─────────────────────────────────────────────────────────────────────────────────
    def _read(self) -> None:
        news: list[AnyEvent] = self._curves.read(self.folder)
        for event in news:
            self._apply(event)
        self._revision += len(news)

    def _apply(self, event: AnyEvent) -> None:
        self._first = self._first or event.t
        self._last = self._heard[event.attempt] = event.t
        match event:
            case Phase():
                if self._attempts.get(event.attempt) is None:
                    self._begin(event, RunState.STARTING)
                self._phase = event.name
            case Started():
                self._begin(event, RunState.RUNNING)
                self._started = event
                self._step = event.resume_step
                self._phase = None
            case Began():
                self._begin(event, RunState.RUNNING)
                self._phase = None
            case Metrics():
                self._step, self._epoch, self._phase = event.step, event.epoch, None
                self._latest.update(finite(event.values))
            case EpochEnded():
                self._step, self._epoch = event.step, float(event.epoch)
                self._latest.update(finite(event.values))
                if event.best:
                    config = TrainConfig.model_construct(**self.config)
                    value = event.values.get(config.monitor_tag, float("nan"))
                    self._best = BestMetric(metric=config.monitor_metric, value=value, epoch=event.epoch)
            case CheckpointSaved():
                self._saved[Path(event.folder).name] = event.epoch
            case Stopped():
                self._end(event, RunState.STOPPED)
            case Failed():
                self._failure, self._message = event.kind, event.message
                self._end(event, RunState.FAILED)
            case Finished():
                self._latest |= event.test_values
                self._end(event, RunState.SUCCEEDED)
            case _:
                pass

    def _begin(self, event: Event, state: RunState) -> None:
        known = self._attempts.get(event.attempt)
        self._state, self._message, self._failure = state, None, None
        self._attempts[event.attempt] = AttemptView(
            number=event.attempt,
            state=state,
            host=None,
            pid=None,
            devices=[],
            started_at=known.started_at if known else event.t,
            ended_at=None,
            resume_step=event.resume_step if isinstance(event, Started) else None,
            exit_code=None,
            failure=None,
            message=None,
        )

    def _end(self, event: Event, state: RunState) -> None:
        self._state, self._phase = state, None
        if event.attempt in self._attempts:
            self._attempts[event.attempt] = self._attempts[event.attempt].model_copy(
                update={"state": state, "ended_at": event.t, "failure": self._failure, "message": self._message}
            )

    def _detail(self) -> RunDetail:
        config = self.config
        state, message = self._state, self._message
        if state not in ENDED and self._owner_is_dead():
            state = RunState.LOST
            start = "goes on from the last checkpoint" if self._saved else "starts from the beginning"
            message = f"Its process ended without a word. Resume it: it {start}."
        kind = RunKind(self.info.get("kind") or RunKind.TRAIN)
        started = self._started
        ended = state in ENDED or state is RunState.LOST
        return RunDetail(
            id=self.run_id,
            kind=kind,
            name=str(self.info.get("name") or self.folder.name),
            project_id=0,
            project=str(self.info.get("project") or "default"),
            dataset_id=self.info.get("dataset_id"),
            model_id=self.info.get("model_id"),
            parent_id=self.info.get("parent_id"),
            state=state,
            desired_state=DesiredState.RUN,
            attempt=max(self._attempts, default=0),
            priority=0,
            resumable=is_resumable(RunState.STOPPED if state is RunState.LOST else state, kind, bool(self._saved)),
            external=not (self.folder / run_layout.HEARTBEAT).exists(),
            message=message,
            failure=self._failure,
            phase=self._phase,
            created_at=float(self.info.get("created_at") or self._first),
            started_at=self._first or None,
            ended_at=self._last if ended else None,
            **self._running_times(ended),
            updated_at=self._last,
            revision=self._revision,
            host=None,
            devices=[started.device] if started else [],
            step=self._step,
            total_steps=started.total_steps if started else None,
            epoch=self._epoch,
            epochs=started.epochs if started else config.get("epochs"),
            resumed_at_step=started.resume_step if started and started.resume_step else None,
            seconds_left=None if ended else self._seconds_left(),
            best=self._best,
            latest=dict(self._latest),
            model_flavour=str(config.get("model_flavour", "")),
            root=str(config.get("root", "")),
            batch_size=config.get("batch_size"),
            lr=config.get("lr"),
            notes=str(self.info.get("notes") or ""),
            config=config,
            payload=self.info.get("payload") or {},
            device_request=DeviceRequest(
                device=str(self.info.get("device") or config.get("device", "auto")),
                gpus=int(self.info.get("gpus") or 1),
                host=self.info.get("host"),
            ),
            after=[],
            attempts=list(self._attempts.values()),
            checkpoints=self._checkpoints(),
            tags=sorted(self._curves.points),
            manifest=_read_json(self.folder / run_layout.MANIFEST),
            folder=str(self.folder),
        )

    def _running_times(self, ended: bool) -> dict[str, Any]:
        """Seconds that the ended attempts ran, each up to its last event, and the start of the living one."""
        last = max(self._attempts, default=None)
        over = [number for number in self._attempts if ended or number != last]
        since = None if ended or last is None else self._attempts[last].started_at
        return {"ran": sum(self._heard[n] - self._attempts[n].started_at for n in over), "running_since": since}

    def _seconds_left(self) -> float | None:
        """By the pace of the present attempt."""
        started = self._started
        if started is None or self._step <= started.resume_step:
            return None
        pace = (self._last - started.t) / (self._step - started.resume_step)
        return max(0.0, pace * (started.total_steps - self._step))

    def _owner_is_dead(self) -> bool:
        try:
            identity = ProcessIdentity.from_json(run_layout.read_plain(self.folder / run_layout.OWNER))
        except (OSError, ValueError):
            return False  # nobody says who runs it
        return identity.status() == "dead"

    def _checkpoints(self) -> list[CheckpointView]:
        root = self.folder / run_layout.CHECKPOINTS
        links: dict[str, list[str]] = {}
        found: list[CheckpointView] = []
        try:
            entries = sorted(os.scandir(root), key=lambda entry: entry.name)
        except OSError:
            return []
        for entry in entries:
            if entry.is_symlink():
                links.setdefault(os.path.basename(os.readlink(entry.path)), []).append(entry.name)
        for entry in entries:
            attempt, _, step = entry.name.partition("-s")
            if entry.is_symlink() or not (attempt[:1] == "a" and attempt[1:].isdigit() and step.isdigit()):
                continue
            files = [file.stat() for file in Path(entry.path).rglob("*") if file.is_file()]
            found.append(
                CheckpointView(
                    name=entry.name,
                    step=int(step),
                    epoch=self._saved.get(entry.name, 0),
                    attempt=int(attempt[1:]),
                    links=sorted(links.get(entry.name, [])),
                    size=sum(file.st_size for file in files),
                    created_at=entry.stat().st_mtime,
                )
            )
        return found


def parsed(config: dict[str, Any]) -> TrainConfig:
    """A stored config as a TrainConfig; unknown fields of another version are left out."""
    try:
        return TrainConfig.parse(config)
    except ConfigError:
        return TrainConfig.parse({key: value for key, value in config.items() if key in TrainConfig.model_fields})


def _read_json(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(run_layout.read_plain(path))
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None

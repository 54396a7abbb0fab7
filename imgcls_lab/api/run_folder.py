"""A run as its folder tells it: for runs that no database knows (yet), and for data that the folder has first-hand.

Called by `Run` and the live cell. Only reads; the folder may grow meanwhile.
"""

from __future__ import annotations

from pathlib import Path
from threading import RLock
from typing import Any

from imgcls_lab import image_lookup, run_layout, run_paths
from imgcls_lab.analysis import curves, flips, image_pages, one_image, summary
from imgcls_lab.analysis.evaluation import RunFiles, load
from imgcls_lab.analysis.one_image import Wanted
from imgcls_lab.api import context
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.saved import upgraded
from imgcls_lab.curves import Curves
from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import ConfigError, ConflictError, NotFoundError
from imgcls_lab.events import (
    ENDED,
    CheckpointSaved,
    DesiredState,
    EpochEnded,
    RunKind,
    RunState,
    is_resumable,
    scan_events,
)
from imgcls_lab.identity import ProcessIdentity
from imgcls_lab.run_state import AttemptState, Monitor, RunProgress, move_links
from imgcls_lab.schemas import (
    AttemptView,
    BestMetric,
    CheckpointView,
    ClassCurves,
    Cursor,
    DeviceRequest,
    EpochReport,
    EvaluatedPage,
    EvaluatedQuery,
    EvaluationView,
    FlipsView,
    ImageDetail,
    LogChunk,
    MetricsBatch,
    RunDetail,
    RunView,
    SeriesReply,
)
from imgcls_lab.store import run_files
from imgcls_lab.store.run_tags import tags_in
from imgcls_lab.store.verdict import Verdict, judge, last_line, read_end


class _FolderHistory(Curves):
    """What the reducer keeps of a folder's run: its points, and its checkpoints by name."""

    def __init__(self, run_id: str, folder: Path) -> None:
        super().__init__(run_id)
        self.folder = folder
        self.checkpoints: dict[str, CheckpointView] = {}
        self.paths: dict[str, str] = {}  # of the checkpoints, relative to the folder

    def checkpoint(self, event: CheckpointSaved) -> None:
        path = Path(event.folder)
        saved = CheckpointView(
            name=path.name, step=event.step, epoch=event.epoch, attempt=event.attempt, links=[], size=0,
            created_at=event.t,
        )  # fmt: skip
        self.checkpoints[path.name], self.paths[path.name] = saved, event.folder
        move_links(self.checkpoints.values(), saved, event.links)

    def report(self, event: EpochEnded) -> None:
        """Evaluations are read from their files."""

    def monitor(self) -> Monitor | None:
        config = _read_json(self.folder, run_layout.CONFIG)
        return None if config is None else Monitor.of(upgraded(config))


class RunFolder:
    """One run's folder, read on from call to call. Safe for threads."""

    def __init__(self, folder: Path, run_id: str | None = None) -> None:
        self.folder = folder
        self.info = _read_json(folder, run_layout.RUN_INFO) or {}
        self.run_id = run_id or str(self.info.get("id") or folder.name)
        self._lock = RLock()
        self._kind = RunKind(self.info["kind"]) if self.info.get("kind") in set(RunKind) else RunKind.TRAIN
        self._history = _FolderHistory(self.run_id, folder)
        monitor = self._history.monitor() or Monitor.of({})
        self._progress = RunProgress(self._history, self._kind, monitor)
        self._offsets: dict[str, int] = {}
        self._revision = 0

    @property
    def config(self) -> dict[str, Any]:
        """The config in the folder. Raises NotFoundError if there is none."""
        found = _read_json(self.folder, run_layout.CONFIG)  # anew each time: a notebook's changes with its trainings
        if found is None:
            raise NotFoundError(f"“{self.folder}” holds no run: it has no {run_layout.CONFIG}.")
        return upgraded(found)

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
            return self._history.series(self._cursor, tags, max_points)

    def points_since(self, cursor: Cursor) -> MetricsBatch:
        with self._lock:
            self._read()
            return self._history.since(cursor, self._cursor)

    def report(self, epoch: int | None = None, split: str = "val") -> EpochReport:
        """The evaluation of an epoch, by default the last; that of the best model on test/. Raises NotFoundError."""
        return run_files.read_report(self.folder, epoch, split)

    def log(self, offset: int = -65_536, limit: int = 262_144, node: int = 0) -> LogChunk:
        """A piece of the log, or of that of a further node; a negative offset counts from its end."""
        return run_files.read_log(self.folder, offset, limit, node)

    # ── its images ──────────────────────────────────────────────────────────────────────────────────────────────
    @property
    def run_files(self) -> RunFiles:
        """What the analysis reads."""
        run, progress = self.run(), self._progress
        begun = progress.attempts[0].resume_step or 0 if progress.attempts else 0
        own = progress.best if progress.best and progress.best.step > begun else None  # else it is a fork's parent's
        return RunFiles(self.run_id, run.name, self.folder, own.epoch if own else None)

    def evaluation(self, split: str = "val", epoch: int | None = None) -> EvaluationView:
        return summary.view(self.run_files, split, epoch, self.report)

    def evaluated(self, query: EvaluatedQuery) -> EvaluatedPage:
        return image_pages.page(self.run_files, query)

    def curves(self, label: str, split: str = "val", epoch: int | None = None) -> ClassCurves:
        return curves.class_curves(self.folder, load(self.run_files, split, epoch), label)

    def image(self, wanted: Wanted) -> ImageDetail:
        """One image, by this folder alone: no database tells which runs are related."""
        return one_image.detail(self.run_files, wanted, [], [])

    def image_file(self, image: str) -> FoundImage:
        """The file of an image that the run evaluated or trained on. Raises NotFoundError, ConflictError."""
        return image_lookup.in_run(context.settings(), self.folder, str(self.config.get("root", "")), image)

    def flips(self, against: str | None = None, split: str = "val") -> FlipsView:
        """Compared with a run whose folder lies beside this one. Raises NotFoundError."""
        other = self.folder.parent / (against or "")
        if against is None or not run_layout.is_run_id(against) or not other.is_dir():
            raise NotFoundError(
                f"The run “{self.run_id}” is read from its folder, so it is compared with a run whose folder lies "
                "beside it. Name that run's id."
            )
        return flips.compare(self.run_files, RunFolder(other, against).run_files, split)

    def command(self, name: str) -> RunView:
        """Whoever trains here is not ours to command."""
        raise ConflictError(f"This run trains in a kernel or shell: {name} it there.")

    # ── reading on ──────────────────────────────────────────────────────────────────────────────────────────
    def _read(self) -> None:
        """Take in what the folder's event files have grown by."""
        for path in run_layout.event_files(self.folder):
            scan = scan_events(path, self._offsets.get(path.name, 0))
            self._offsets[path.name] = scan.end
            for event in scan.in_order():
                self._revision += self._progress.apply(event)

    @property
    def _cursor(self) -> Cursor:
        """How far the run was read."""
        return Cursor(attempt=self._progress.attempt.number, seq=self._progress.attempt.seq)

    # ── the state as a view ─────────────────────────────────────────────────────────────────────────────────
    def _detail(self) -> RunDetail:
        state, message = self._state_and_message()
        ended = state in ENDED or state is RunState.LOST
        best, config = self._progress.best, self.config
        manifest = _read_json(self.folder, run_layout.MANIFEST)
        corrections = (manifest or {}).get("data_revision")
        corrections = corrections if isinstance(corrections, dict) else {}
        return RunDetail.model_validate(
            {
                **self._identity(),
                **self._from_events(ended=ended),
                **self._from_config(config),
                **self._times(ended=ended),
                "epochs": self._progress.epochs or config.get("epochs"),
                "state": state,
                "message": message,
                "resumable": is_resumable(
                    RunState.STOPPED if state is RunState.LOST else state, self._kind, self._progress.saved_step > 0
                ),
                "best": best and BestMetric(metric=self._progress.monitor.metric, value=best.value, epoch=best.epoch),
                "attempts": [self._attempt_view(attempt) for attempt in self._progress.attempts],
                "checkpoints": self._checkpoints(),
                "series_names": sorted(self._history.points),
                "manifest": manifest,
                "data_revision": corrections.get("number"),
                "data_revision_digest": corrections.get("digest") or "",
            }
        )

    def _state_and_message(self) -> tuple[RunState, str | None]:
        attempt = self._progress.attempt
        if attempt.ended:
            return attempt.state, attempt.message
        if not self._owner_is_dead():
            return attempt.state, self._progress.message
        start = "goes on from the last checkpoint" if self._progress.saved_step else "starts from the beginning"
        return RunState.LOST, f"Its process ended without a word. Resume it: it {start}."

    def _identity(self) -> dict[str, Any]:
        """What `run.json` says, and what only a database would know."""
        info = self.info
        row = info.get("row")
        return {
            "id": self.run_id,
            "owner": str(row.get("owner") or "") if isinstance(row, dict) else "",
            "kind": self._kind,
            "name": str(info.get("name") or self.folder.name),
            "project_id": 0,
            "may_change": True,  # the folder is at hand
            "project": str(info.get("project") or "default"),
            **{name: info.get(name) for name in ("dataset_id", "model_id", "parent_id")},
            "desired_state": DesiredState.RUN,
            "priority": 0,
            "tags": tags_in(row),
            "external": not (self.folder / run_layout.HEARTBEAT).exists(),
            "revision": self._revision,
            "host": None,
            "notes": str(info.get("notes") or ""),
            "payload": info.get("payload") or {},
            "after": [],
            "folder": str(self.folder),
        }

    def _from_events(self, *, ended: bool) -> dict[str, Any]:
        progress = self._progress
        attempt = progress.attempt
        names = ("step", "epoch", "total_steps", "resumed_at_step", "phase", "seconds_left", "latest", "changes")
        return {
            **{name: getattr(progress, name) for name in names},
            "attempt": attempt.number,
            "failure": attempt.failure,
            "devices": [attempt.device] if attempt.device and not ended else [],
        }

    def _from_config(self, config: dict[str, Any]) -> dict[str, Any]:
        info = self.info
        return {
            "config": config,
            "model_flavour": str(config.get("model_flavour", "")),
            "root": str(config.get("root", "")),
            "batch_size": config.get("batch_size"),
            "lr": config.get("lr") if self._progress.lr is None else self._progress.lr,
            "device_request": DeviceRequest(
                device=str(info.get("device") or config.get("device", "auto")),
                gpus=int(info.get("gpus") or 1),
                host=info.get("host"),
            ),
        }

    def _times(self, *, ended: bool) -> dict[str, Any]:
        """When it ran: seconds of the ended attempts, each up to its last event, and the start of the living one."""
        attempts = self._progress.attempts
        over = attempts if ended else attempts[:-1]
        first = next((at.first_event_at for at in attempts if at.first_event_at is not None), None)
        last = next((at.last_event_at for at in reversed(attempts) if at.last_event_at is not None), None)
        return {
            "created_at": float(self.info.get("created_at") or first or 0.0),
            "started_at": first,
            "updated_at": last or 0.0,
            "ended_at": last if ended else None,
            "ran": sum((at.last_event_at or 0.0) - (at.first_event_at or 0.0) for at in over),
            "running_since": attempts[-1].first_event_at if attempts and not ended else None,
        }

    def _attempt_view(self, attempt: AttemptState) -> AttemptView:
        lives = attempt.number == self._progress.attempt.number and not attempt.ended
        verdict = Verdict(attempt.state) if lives else self._verdict(attempt)
        return AttemptView.model_validate(
            {
                **{name: getattr(attempt, name) for name in ("number", "resume_step")},
                **dict.fromkeys(("host", "pid", "exit_code")),
                **{name: getattr(verdict, name) for name in ("state", "failure", "message")},
                "devices": [attempt.device] if attempt.device else [],
                "started_at": attempt.first_event_at or 0.0,
                "ended_at": None if lives else attempt.last_event_at,
            }
        )

    def _verdict(self, attempt: AttemptState) -> Verdict:
        """What an attempt came to that has ended, or that another has followed."""
        if attempt.ended:
            return Verdict(attempt.state, attempt.failure, attempt.message)
        end = read_end(self.folder, attempt.number)
        return judge(
            None, end, DesiredState.RUN if end is None else end.desired_state, saved_step=self._progress.saved_step,
            trained=attempt.state is not RunState.STARTING, last_line=last_line(self.folder),
        )  # fmt: skip

    def _owner_is_dead(self) -> bool:
        try:
            identity = ProcessIdentity.from_json(run_paths.read_plain(self.folder, run_layout.OWNER))
        except (OSError, ValueError):
            return False  # nobody says who runs it
        return identity.status() == "dead"

    def _checkpoints(self) -> list[CheckpointView]:
        """Those that still lie in the folder, by step."""
        kept, elsewhere = [], run_layout.elsewhere(self.config, self.folder)
        for saved in self._history.checkpoints.values():
            path = self._history.paths[saved.name]
            if run_paths.is_folder(self.folder, path, elsewhere):
                size = run_paths.size(self.folder, path, elsewhere)
                kept.append(saved.model_copy(update={"size": size}))
        return sorted(kept, key=lambda saved: (saved.step, saved.attempt))


def parsed(config: dict[str, Any]) -> TrainConfig:
    """A stored config as a TrainConfig; unknown fields of another version are left out."""
    try:
        return TrainConfig.parse(config)
    except ConfigError:
        return TrainConfig.parse({key: value for key, value in config.items() if key in TrainConfig.model_fields})


def _read_json(folder: Path, name: str) -> dict[str, Any] | None:
    try:
        data = run_paths.read_json(folder, name)
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None

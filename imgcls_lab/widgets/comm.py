"""The kernel's side of a live cell: pushes a run's state and points to the page, and answers the page's requests.

Called by `LiveRunWidget`, in a thread of its own, so that a running cell does not block it. The kernel pushes without
being asked; batches are numbered, and a page that misses one requests a snapshot
(`labextension/src/widget/comm_source.ts`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from threading import Event, Lock, Thread
from typing import Any, Protocol, get_args

import numpy as np
from pydantic import ValidationError

from imgcls_lab.analysis.one_image import Wanted
from imgcls_lab.analysis.source import EvaluationSource
from imgcls_lab.data_files import FoundImage
from imgcls_lab.errors import ImgclsError, InputError
from imgcls_lab.events import RESUMABLE, RunState
from imgcls_lab.schemas import (
    Cursor,
    EpochReport,
    EvaluatedQuery,
    LogChunk,
    MetricsBatch,
    RunDetail,
    RunView,
    Series,
    SeriesReply,
    ThumbnailSize,
    Wire,
)
from imgcls_lab.schemas.limits import MAX_NODES
from imgcls_lab.thumbnails.worker import picture
from imgcls_lab.validation_errors import joined, problems

PERIOD = 0.5  # seconds between two reads of a live run
ALIVE = 5.0  # ... between two words to the page, where nothing is new: PATIENCE of comm_source.ts waits longer
REST = 5.0  # ... of a run that ended but may be resumed, and between two snapshots
SNAPSHOT_POINTS = 2000  # most points a series in a snapshot
MAX_LOG = 2**20  # bytes of one answer
FINAL = frozenset({RunState.SUCCEEDED})


class RunSource(EvaluationSource, Protocol):
    """What the live cell reads: a run of the store, or a run's folder."""

    run_id: str

    def run(self) -> RunDetail: ...
    def series(self, tags: list[str] | None = None, max_points: int | None = None) -> SeriesReply: ...
    def points_since(self, cursor: Cursor) -> MetricsBatch: ...
    def log(self, offset: int = ..., limit: int = ..., node: int = ...) -> LogChunk: ...
    def report(self, epoch: int | None = None, split: str = ...) -> EpochReport: ...
    def command(self, name: str) -> RunView: ...


class Channel(Protocol):
    """How a pusher sends to the page."""

    def set_snapshot(self, snapshot: dict[str, Any]) -> None: ...
    def post(self, message: dict[str, Any], buffers: list[bytes] | None = None) -> None: ...


class Pusher:
    """Pushes one run until it has ended for good or `close` is called. Errors of the store are retried."""

    def __init__(self, source: RunSource, channel: Channel) -> None:
        self._source = source
        self._channel = channel
        self._lock = Lock()  # the thread below and the kernel's message loop
        self._stop = Event()
        self._wake = Event()
        self._seq = 0
        self._shown: tuple[str, int] | None = None
        self._cursor = Cursor()
        self._spoke = time.monotonic()
        self._thread = Thread(target=self._work, name=f"imgcls-live-{source.run_id}", daemon=True)

    def start(self) -> None:
        """Send the first snapshot, then go on in the thread. Raises what the source raises."""
        self.snapshot(first=True)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._wake.set()

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    # ── pushed ──────────────────────────────────────────────────────────────────────────────────────────────
    def snapshot(self, *, first: bool = False) -> RunDetail:
        """Send the run as a whole. A page that has all batches ignores it.

        The cursor stays: what came since the last batch goes out again with the next one, for pages that ignored it.
        """
        with self._lock:
            run = self._source.run()
            reply = self._source.series(None, SNAPSHOT_POINTS)
            heads, points = pack(reply.series)
            cursor = reply.cursors.get(run.id, Cursor())
            if first:
                self._cursor, self._shown = cursor, (run.state, run.revision)
            self._channel.set_snapshot(
                {
                    "seq": self._seq,
                    "run": run.model_dump(mode="json"),
                    "heads": heads,
                    "cursors": {run.id: cursor.model_dump()},
                    "points": points,
                }
            )
            return run

    def batch(self) -> tuple[RunDetail, bool]:
        """Send what is new. Returns the run and whether anything was."""
        with self._lock:
            run = self._source.run()
            news = self._source.points_since(self._cursor)
            changed = (run.state, run.revision) != self._shown
            if not changed and not news.series and not news.superseded:
                self._say_alive()
                return run, False
            self._seq += 1
            self._spoke = time.monotonic()
            heads, points = pack(news.series)
            self._cursor = news.cursors.get(run.id, self._cursor)
            self._shown = (run.state, run.revision)
            message = {
                "op": "batch",
                "seq": self._seq,
                "run": run.model_dump(mode="json") if changed else None,
                "heads": heads,
                "cursors": {run.id: self._cursor.model_dump()},
                "superseded": news.superseded,
            }
            self._channel.post(message, [points])
            return run, True

    def _say_alive(self) -> None:
        """Without a word for long the page says that it stands still."""
        if time.monotonic() - self._spoke >= ALIVE:
            self._spoke = time.monotonic()
            self._channel.post({"op": "alive"})

    def _work(self) -> None:
        period, last_snapshot, dirty = PERIOD, time.monotonic(), False
        while not self._stop.is_set():
            self._wake.wait(period)
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                run, new = self.batch()
                dirty = dirty or new
                ended = run.state in FINAL and not new
                if dirty and (ended or time.monotonic() - last_snapshot > REST):
                    self.snapshot()  # what a page that comes later, or a saved notebook, starts from
                    last_snapshot, dirty = time.monotonic(), False
                if ended:
                    return
                period = REST if run.state in RESUMABLE else PERIOD
            except ImgclsError as error:
                if error.status == 404:  # the run was deleted
                    return
                period = REST

    # ── asked ───────────────────────────────────────────────────────────────────────────────────────────────
    def answer(self, message: dict[str, Any]) -> None:
        """Handle one message of the page."""
        if message.get("op") == "resync":
            self.snapshot()
            return
        reply: dict[str, Any] = {"op": "reply", "id": message.get("id")}
        buffers: list[bytes] | None = None
        try:
            if message.get("op") == "picture":
                request = message.get("request")
                buffers = [self._picture(request if isinstance(request, dict) else {})]
            else:
                reply["result"] = self._result(message)
        except ImgclsError as error:
            reply["error"] = {"message": str(error), "status": error.status}
        self._channel.post(reply, buffers)

    def _picture(self, request: dict[str, Any]) -> bytes:
        """An image of the run as WebP. Raises ImgclsError with a sentence."""
        if (request.get("kind"), request.get("id")) != ("run", self._source.run_id):
            raise InputError("A live cell shows images of its run alone; the panel shows the others.")
        return picture_of(request, self._source.image_file)

    def _result(self, message: dict[str, Any]) -> Any:
        name = message.get("kind") or message.get("name")
        given = message.get("params") or message.get("args") or {}
        if not isinstance(given, dict) or given.get("id") != self._source.run_id:
            raise InputError("This cell shows one run and answers for no other.")
        if message.get("op") == "command" and name in ("stop", "kill", "resume"):
            view = self._source.command(name)
            self._wake.set()
            return view.model_dump(mode="json")
        if message.get("op") == "query" and isinstance(name, str) and name in _QUERIES:
            answer = _QUERIES[name](self._source, given)
            return json.loads(answer.model_dump_json())  # its numbers are finite or null
        raise InputError(f"A live cell cannot do “{name}”; the panel can.")


def picture_of(request: dict[str, Any], find: Callable[[str], FoundImage]) -> bytes:
    """The image that a page asks for, as WebP. Raises ImgclsError with a sentence."""
    size = request.get("size")
    if not isinstance(size, int) or size not in get_args(ThumbnailSize):
        raise InputError(f"A picture has one of the sizes {', '.join(map(str, get_args(ThumbnailSize)))}.")
    found = find(str(request.get("image", "")))
    return picture(found.root, found.path, found.image, size)


def _evaluated(source: RunSource, given: dict[str, Any]) -> Wire:
    values = {name: value for name, value in given.items() if name != "id" and value is not None}
    try:
        return source.evaluated(EvaluatedQuery(**values))
    except ValidationError as error:
        found = problems(error, lambda: {name: name for name in EvaluatedQuery.model_fields})
        raise InputError(joined(found), found) from None


def _whole(given: dict[str, Any], name: str, fallback: int | None) -> int | None:
    value = given.get(name)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise InputError(f"{name} must be a whole number.")
    return fallback if value is None else value


def _image(source: RunSource, given: dict[str, Any]) -> Wire:
    wanted = Wanted(str(given.get("image", "")), str(given.get("split", "val")), _whole(given, "epoch", None))
    return source.image(wanted)


# what a page may ask about its run, by the names of `labextension/src/views/data/source.ts`
_QUERIES: dict[str, Callable[[RunSource, dict[str, Any]], Wire]] = {
    "log": lambda source, given: source.log(
        _whole(given, "offset", -65_536) or 0,
        min(_whole(given, "limit", 262_144) or 0, MAX_LOG),
        min(max(_whole(given, "node", 0) or 0, 0), MAX_NODES),
    ),
    "report": lambda source, given: source.report(_whole(given, "epoch", None), str(given.get("split", "val"))),
    "evaluation": lambda source, given: source.evaluation(str(given.get("split", "val")), _whole(given, "epoch", None)),
    "evaluated": _evaluated,
    "curves": lambda source, given: source.curves(
        str(given.get("label", "")), str(given.get("split", "val")), _whole(given, "epoch", None)
    ),
    "image": _image,
    "flips": lambda source, given: source.flips(
        None if given.get("against") is None else str(given["against"]), str(given.get("split", "val"))
    ),
}


def pack(series: Sequence[Series]) -> tuple[list[dict[str, Any]], bytes]:
    """Series as heads and one buffer of little-endian 64-bit floats: steps, epochs, times, values of each in turn."""
    heads = [
        {"run_id": item.run_id, "tag": item.tag, "count": len(item.step), "thinned": item.thinned} for item in series
    ]
    columns: list[list[float] | list[int]] = []
    for item in series:
        values = [float("nan") if value is None else value for value in item.value]
        columns += [item.step, item.epoch, item.time, values]
    data = np.concatenate([np.asarray(column, dtype="<f8") for column in columns]) if columns else np.empty(0)
    return heads, data.tobytes()

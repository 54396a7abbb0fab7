"""What each topic of the stream has news of. One feed a subscription; its cursor is all that it remembers.

Called by the stream's poller in a thread, one round at a time. A feed whose client is slow is not asked, and tells
later from where it was: nothing piles up and nothing is lost.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable

from imgcls_lab.errors import NotFoundError
from imgcls_lab.run_layout import is_run_id
from imgcls_lab.schemas import (
    AlertsBatch,
    AlertsTopic,
    Batch,
    Cursor,
    DevicesBatch,
    DevicesReply,
    DevicesTopic,
    LogBatch,
    LogTopic,
    MetricsBatch,
    MetricsTopic,
    RunsBatch,
    RunsTopic,
    Topic,
)
from imgcls_lab.store import Store

RUNS_A_QUERY = 8  # of a metrics feed
POINTS_A_BATCH = 50_000  # about; the rest comes in the next round
LOG_CHUNK = 262_144  # bytes
LOG_BEHIND = 2**20  # bytes that a log's reader may be behind before it is taken to the end
LOG_TAIL = 65_536  # bytes that it then gets
DEVICES_EVERY = 10  # rounds


def _ask_devices(store: Store) -> DevicesReply:
    return store.executors.status()


class Round:
    """One look at the store, shared by all topics: what several want is asked once."""

    def __init__(self, store: Store, number: int, devices: Callable[[Store], DevicesReply] = _ask_devices) -> None:
        self.store = store
        self._ask_devices = devices
        self.number = number
        self._runs: dict[float, tuple[RunsBatch, float]] = {}
        self._devices: DevicesReply | None = None
        self._unattended: frozenset[str] | None = None

    def unattended_hosts(self) -> frozenset[str]:
        if self._unattended is None:
            self._unattended = frozenset(self.store.executors.unattended_hosts())
        return self._unattended

    def runs(self, since: float) -> tuple[RunsBatch, float]:
        """Runs changed since, and the value to ask with next time."""
        if since not in self._runs:
            self._runs[since] = self.store.runs.changed_since(since, {})
        return self._runs[since]

    def devices(self) -> DevicesReply:
        if self._devices is None:
            self._devices = self._ask_devices(self.store)
        return self._devices


class Feed(ABC):
    """News of one topic for one subscription."""

    def note(self, changed: set[str]) -> None:  # noqa: B027 — most feeds need no note
        """Runs that changed since the last round; told also while the client is not asked for."""

    @abstractmethod
    def news(self, look: Round) -> Batch | None:
        """What is new since the last call, or None. Raises ImgclsError: the subscription has ended."""


class RunsFeed(Feed):
    """Changed and deleted runs; at first those that changed last, so that none is missed in between."""

    def __init__(self) -> None:
        self._since = 0.0
        self._unattended: frozenset[str] = frozenset()

    def news(self, look: Round) -> RunsBatch | None:
        batch, self._since = look.runs(self._since)
        if look.unattended_hosts() != self._unattended:  # no row of these runs has changed, and yet they show otherwise
            told = {run.id for run in batch.changed}
            more = look.store.runs.live_on(look.unattended_hosts() ^ self._unattended)
            batch = batch.model_copy(update={"changed": batch.changed + [run for run in more if run.id not in told]})
            self._unattended = look.unattended_hosts()
        return batch if batch.changed or batch.deleted else None


class MetricsFeed(Feed):
    """New points of some runs. Only runs that changed are asked about."""

    def __init__(self, topic: MetricsTopic) -> None:
        wrong = next((run_id for run_id in topic.run_ids if not is_run_id(run_id)), None)
        if wrong is not None:
            raise NotFoundError(f"There is no run “{wrong[:60]}”.")
        self._cursors = {run_id: topic.since.get(run_id, Cursor()) for run_id in topic.run_ids}
        self._pending = set(self._cursors)

    def note(self, changed: set[str]) -> None:
        self._pending |= changed & self._cursors.keys()

    def news(self, look: Round) -> MetricsBatch | None:
        whole = MetricsBatch(series=[], cursors={})
        points = 0
        for run_ids in _chunks(sorted(self._pending), RUNS_A_QUERY):
            batch = look.store.metrics.points_since({run_id: self._cursors[run_id] for run_id in run_ids})
            told = {series.run_id for series in batch.series}
            self._pending -= set(run_ids) - told  # one that told something may have more
            self._cursors |= batch.cursors
            whole.series += batch.series
            whole.superseded |= batch.superseded
            whole.cursors |= {run_id: batch.cursors[run_id] for run_id in told | batch.superseded.keys()}
            points += sum(len(series.step) for series in batch.series)
            if points >= POINTS_A_BATCH:
                break
        return whole if whole.series or whole.superseded else None


class LogFeed(Feed):
    """New text of one run's log. A reader that is far behind is taken to the end; the chunk's offset shows the gap."""

    def __init__(self, topic: LogTopic) -> None:
        if not is_run_id(topic.run_id):
            raise NotFoundError(f"There is no run “{topic.run_id[:60]}”.")
        self._run_id = topic.run_id
        self._offset = topic.offset

    def news(self, look: Round) -> LogBatch | None:
        chunk = look.store.runs.log(self._run_id, self._offset, LOG_CHUNK)
        if chunk.size - chunk.end > LOG_BEHIND:
            chunk = look.store.runs.log(self._run_id, -LOG_TAIL, LOG_TAIL)
        if chunk.end == self._offset or not chunk.text:
            return None
        self._offset = chunk.end
        return LogBatch(run_id=self._run_id, chunk=chunk)


class DevicesFeed(Feed):
    """Executors and devices, when something about them changed."""

    def __init__(self) -> None:
        self._last: str | None = None

    def news(self, look: Round) -> DevicesBatch | None:
        if self._last is not None and look.number % DEVICES_EVERY:
            return None
        devices = look.devices()
        still = {"executors": {"__all__": {"heartbeat_at"}}}  # the beat alone is no news
        text = devices.model_dump_json(exclude=still)
        if text == self._last:
            return None
        self._last = text
        return DevicesBatch(devices=devices)


class AlertsFeed(Feed):
    """Alerts from the subscription on."""

    def __init__(self) -> None:
        self._since: int | None = None

    def news(self, look: Round) -> AlertsBatch | None:
        found, self._since = look.store.alerts.since(self._since)
        return AlertsBatch(alerts=found) if found else None


def feed_of(topic: Topic) -> Feed:
    """The feed of a topic. Raises NotFoundError for a run id that is none."""
    match topic:
        case RunsTopic():
            return RunsFeed()
        case MetricsTopic():
            return MetricsFeed(topic)
        case LogTopic():
            return LogFeed(topic)
        case DevicesTopic():
            return DevicesFeed()
        case AlertsTopic():
            return AlertsFeed()


def _chunks(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))

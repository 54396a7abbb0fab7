"""The subscriptions of the stream, one class for each topic. A subscription remembers its cursor and nothing else.

Called by the stream's poller in a thread, once a poll. A subscription whose client is slow is skipped, and goes on
later from its cursor: nothing accumulates in memory and nothing is lost.
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
from imgcls_lab.schemas.limits import NEWEST_ALERTS
from imgcls_lab.server.kernel_lookup import without_notebooks
from imgcls_lab.store import Store
from imgcls_lab.store.executors import Place

RUNS_A_QUERY = 8  # of a metrics subscription
POINTS_A_BATCH = 50_000  # about; the rest comes with the next poll
LOG_CHUNK = 262_144  # bytes
LOG_BEHIND = 2**20  # bytes that a reader of a log may be behind before it is moved to the end
LOG_TAIL = 65_536  # bytes that it then gets
DEVICES_EVERY = 10  # polls


def _ask_devices(store: Store) -> DevicesReply:
    return store.executors.status()


class Poll:
    """One poll of the store, for all subscriptions: each query runs at most once."""

    def __init__(self, store: Store, number: int, devices: Callable[[Store], DevicesReply] = _ask_devices) -> None:
        self.store = store
        self._ask_devices = devices
        self.number = number
        self._runs: dict[float, tuple[RunsBatch, float]] = {}
        self._devices: DevicesReply | None = None
        self._unattended: frozenset[Place] | None = None

    def unattended_places(self) -> frozenset[Place]:
        if self._unattended is None:
            self._unattended = frozenset(self.store.executors.unattended_places())
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


class Subscription(ABC):
    """One client's subscription to one topic. runs: whose metrics it follows."""

    runs = 0

    def mark_changed(self, run_ids: set[str]) -> None:  # noqa: B027 — most subscriptions need no marks
        """These runs changed since the last poll. Called even while the client is slow."""

    @abstractmethod
    def next_batch(self, poll: Poll) -> Batch | None:
        """What is new since the last call, or None. Raises ImgclsError, which ends the subscription."""


class RunsSubscription(Subscription):
    """Changed and deleted runs; at first those that changed last, so that none is missed in between."""

    def __init__(self) -> None:
        self._since = 0.0
        self._unattended: frozenset[Place] = frozenset()

    def next_batch(self, poll: Poll) -> RunsBatch | None:
        batch, self._since = poll.runs(self._since)
        if poll.unattended_places() != self._unattended:  # no row has changed, but the page must show these runs anew
            known = {run.id for run in batch.changed}
            more = poll.store.runs.live_at(poll.unattended_places() ^ self._unattended)
            batch = batch.model_copy(update={"changed": batch.changed + [run for run in more if run.id not in known]})
            self._unattended = poll.unattended_places()
        return batch if batch.changed or batch.deleted else None


class MetricsSubscription(Subscription):
    """New points of some runs. Only runs that changed are queried."""

    def __init__(self, topic: MetricsTopic) -> None:
        wrong = next((run_id for run_id in topic.run_ids if not is_run_id(run_id)), None)
        if wrong is not None:
            raise NotFoundError(f"There is no run “{wrong[:60]}”.")
        self._cursors = {run_id: topic.since.get(run_id, Cursor()) for run_id in topic.run_ids}
        self._pending = set(self._cursors)
        self.runs = len(self._cursors)

    def mark_changed(self, run_ids: set[str]) -> None:
        self._pending |= run_ids & self._cursors.keys()

    def next_batch(self, poll: Poll) -> MetricsBatch | None:
        whole = MetricsBatch(series=[], cursors={})
        points = 0
        for run_ids in _chunks(sorted(self._pending), RUNS_A_QUERY):
            batch = poll.store.metrics.points_since({run_id: self._cursors[run_id] for run_id in run_ids})
            known = {series.run_id for series in batch.series}
            self._pending -= set(run_ids) - known  # a run with new points may have more
            self._cursors |= batch.cursors
            whole.series += batch.series
            whole.superseded |= batch.superseded
            whole.cursors |= {run_id: batch.cursors[run_id] for run_id in known | batch.superseded.keys()}
            points += sum(len(series.step) for series in batch.series)
            if points >= POINTS_A_BATCH:
                break
        return whole if whole.series or whole.superseded else None


class LogSubscription(Subscription):
    """New text of one run's log. A reader that is far behind is moved to the end; the chunk's offset shows the gap."""

    def __init__(self, topic: LogTopic) -> None:
        if not is_run_id(topic.run_id):
            raise NotFoundError(f"There is no run “{topic.run_id[:60]}”.")
        self._run_id = topic.run_id
        self._offset = topic.offset

    def next_batch(self, poll: Poll) -> LogBatch | None:
        chunk = poll.store.runs.log(self._run_id, self._offset, LOG_CHUNK)
        if chunk.size - chunk.end > LOG_BEHIND:
            chunk = poll.store.runs.log(self._run_id, -LOG_TAIL, LOG_TAIL)
        if chunk.end == self._offset or not chunk.text:
            return None
        self._offset = chunk.end
        return LogBatch(run_id=self._run_id, chunk=chunk)


class DevicesSubscription(Subscription):
    """Executors and devices, when something about them changed. named: with the notebooks of processes."""

    def __init__(self, *, named: bool) -> None:
        self._named = named
        self._last: str | None = None

    def next_batch(self, poll: Poll) -> DevicesBatch | None:
        if self._last is not None and poll.number % DEVICES_EVERY:
            return None
        devices = poll.devices() if self._named else without_notebooks(poll.devices())
        still = {"executors": {"__all__": {"heartbeat_at"}}}  # the beat alone is no news
        text = devices.model_dump_json(exclude=still)
        if text == self._last:
            return None
        self._last = text
        return DevicesBatch(devices=devices)


class AlertsSubscription(Subscription):
    """Alerts from the subscription on; at first the newest ones, so that none is missed in between."""

    def __init__(self) -> None:
        self._since: int | None = None

    def next_batch(self, poll: Poll) -> AlertsBatch | None:
        begins = self._since is None
        batch, self._since = poll.store.alerts.since(self._since)
        if begins:
            batch.alerts = [*reversed(poll.store.alerts.list(NEWEST_ALERTS))]
        return batch if batch.alerts or batch.dismissed or batch.restored else None


def subscription_to(topic: Topic, *, named: bool) -> Subscription:
    """A new subscription to a topic; named: see DevicesSubscription. Raises NotFoundError for a malformed run id."""
    match topic:
        case RunsTopic():
            return RunsSubscription()
        case MetricsTopic():
            return MetricsSubscription(topic)
        case LogTopic():
            return LogSubscription(topic)
        case DevicesTopic():
            return DevicesSubscription(named=named)
        case AlertsTopic():
            return AlertsSubscription()


def _chunks(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[start : start + size] for start in range(0, len(items), size))

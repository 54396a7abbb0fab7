"""The one WebSocket: topics that a client asks for, and the batches that come."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from imgcls_lab.schemas.base import Wire
from imgcls_lab.schemas.executor import AlertView, DevicesReply
from imgcls_lab.schemas.limits import MAX_RUNS, Id, Whole
from imgcls_lab.schemas.runs import RunView
from imgcls_lab.schemas.series import Cursor, LogChunk, Series


class RunsTopic(Wire):
    """Changed and deleted runs of all projects."""

    kind: Literal["runs"] = "runs"


class MetricsTopic(Wire):
    """New points of some runs."""

    kind: Literal["metrics"] = "metrics"
    run_ids: list[Id] = Field(max_length=MAX_RUNS)
    since: dict[Id, Cursor] = Field({}, max_length=MAX_RUNS)


class LogTopic(Wire):
    """New text of one run's log."""

    kind: Literal["log"] = "log"
    run_id: Id
    offset: Whole = 0


class DevicesTopic(Wire):
    kind: Literal["devices"] = "devices"


class AlertsTopic(Wire):
    """Alerts from now on; those before are asked for by REST."""

    kind: Literal["alerts"] = "alerts"


Topic = Annotated[RunsTopic | MetricsTopic | LogTopic | DevicesTopic | AlertsTopic, Field(discriminator="kind")]


class Subscribe(Wire):
    op: Literal["subscribe"] = "subscribe"
    id: Whole  # chosen by the client
    topic: Topic


class Unsubscribe(Wire):
    op: Literal["unsubscribe"] = "unsubscribe"
    id: Whole


class RunsBatch(Wire):
    kind: Literal["runs"] = "runs"
    changed: list[RunView]
    deleted: list[str]


class MetricsBatch(Wire):
    """New points. `superseded`: drop points of the run with step > this before adding (a resume went back)."""

    kind: Literal["metrics"] = "metrics"
    series: list[Series]
    cursors: dict[str, Cursor]
    superseded: dict[str, int] = {}


class LogBatch(Wire):
    kind: Literal["log"] = "log"
    run_id: str
    chunk: LogChunk


class DevicesBatch(Wire):
    kind: Literal["devices"] = "devices"
    devices: DevicesReply


class AlertsBatch(Wire):
    kind: Literal["alerts"] = "alerts"
    alerts: list[AlertView]
    dismissed: list[str] = []  # ids of those that the user has put away
    restored: list[str] = []  # and has taken back


Batch = Annotated[RunsBatch | MetricsBatch | LogBatch | DevicesBatch | AlertsBatch, Field(discriminator="kind")]


class StreamMessage(Wire):
    """Server to client: a batch for a subscription, or why there is none."""

    id: int
    batch: Batch | None = None
    error: str | None = None

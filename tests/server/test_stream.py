"""The WebSocket: what is written into the store arrives, once, soon, and to everybody who asked."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest
from serving import Api, Training

from imgcls_lab.events import DesiredState, Stopped
from imgcls_lab.schemas import ProjectEdit, SubmitRequest
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.server.topics import LOG_BEHIND
from imgcls_lab.store import Store, alerts

SOON = 10.0  # seconds; how soon it really is, `python -m benchmarks live` measures
WITHIN = 10.0  # seconds, on a busy machine


class Link:
    """A client of the stream."""

    def __init__(self, socket: Any) -> None:
        self.socket = socket

    def subscribe(self, number: int, kind: str, **topic: Any) -> None:
        self.socket.write_message(json.dumps({"op": "subscribe", "id": number, "topic": {"kind": kind, **topic}}))

    def unsubscribe(self, number: int) -> None:
        self.socket.write_message(json.dumps({"op": "unsubscribe", "id": number}))

    async def next(self, number: int, within: float = WITHIN) -> Any:
        """The next batch of a subscription."""
        async with asyncio.timeout(within):
            while True:
                text = await self.socket.read_message()
                assert text is not None, "the server closed the link"
                message = json.loads(text)
                if message["id"] == number:
                    assert message["error"] is None, message
                    return message["batch"]

    async def error(self) -> str:
        async with asyncio.timeout(WITHIN):
            message = json.loads(await self.socket.read_message())
        assert message["batch"] is None
        return str(message["error"])

    async def silence(self, seconds: float = 0.7) -> None:
        """Nothing comes."""
        reading = asyncio.ensure_future(self.socket.read_message())
        done, _ = await asyncio.wait([reading], timeout=seconds)
        assert not done, reading.result()
        reading.cancel()


@pytest.fixture
def connect(jp_ws_fetch: Any, jp_serverapp: Any) -> Callable[[], Any]:
    async def open_link() -> Link:
        return Link(await jp_ws_fetch("imgcls", "api", "stream"))

    return open_link


def tasks() -> set[str]:
    return {task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("imgcls-")}


async def until(condition: Callable[[], bool], within: float = 2.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


async def test_new_points_arrive_soon_and_once(
    connect: Callable[[], Any], train: Callable[..., Training], api: Api
) -> None:
    training = train()
    training.points(1, 2)
    run_id = training.run.id
    cursors = (await api("GET", "series", run=run_id)).json["cursors"]
    link = await connect()
    link.subscribe(7, "metrics", run_ids=[run_id], since=cursors)
    await asyncio.sleep(0.3)

    began = time.monotonic()
    await asyncio.to_thread(training.points, 3, 4)
    batch = await link.next(7)
    assert time.monotonic() - began < SOON
    assert [(s["tag"], s["step"]) for s in batch["series"]] == [("loss/train", [3, 4])]
    assert batch["cursors"][run_id] == {"attempt": 1, "seq": 5}
    await link.silence()
    await asyncio.to_thread(training.points, 5)
    assert (await link.next(7))["series"][0]["step"] == [5]


async def test_a_reader_without_a_cursor_gets_all_points(
    connect: Callable[[], Any], train: Callable[..., Training]
) -> None:
    training = train()
    training.points(1, 2, 3)
    link = await connect()
    link.subscribe(1, "metrics", run_ids=[training.run.id])
    assert (await link.next(1))["series"][0]["step"] == [1, 2, 3]


async def test_a_resume_takes_points_back(
    connect: Callable[[], Any], train: Callable[..., Training], store: Store
) -> None:
    training = train()
    training.points(1, 2, 3, 4)
    link = await connect()
    link.subscribe(1, "metrics", run_ids=[training.run.id])
    assert (await link.next(1))["superseded"] == {}
    training.end(Stopped(step=4))
    store.runs.resume(training.run.id)
    training.begin(resume_step=2)
    training.points(3)
    batches = [await link.next(1)]
    while not batches[-1]["series"]:
        batches.append(await link.next(1))
    assert batches[0]["superseded"] == {training.run.id: 2}
    assert [s["step"] for b in batches for s in b["series"]] == [[3]]


async def test_changed_and_deleted_runs_are_told_to_every_socket(
    connect: Callable[[], Any], config: dict[str, Any], store: Store
) -> None:
    earlier = store.runs.submit(SubmitRequest(config=config, name="earlier"))
    links = [await connect(), await connect()]
    for link in links:
        link.subscribe(1, "runs")
        assert [run["name"] for run in (await link.next(1))["changed"]] == ["earlier"]
    later = await asyncio.to_thread(store.runs.submit, SubmitRequest(config=config, name="later"))
    for link in links:
        assert [run["id"] for run in (await link.next(1))["changed"]] == [later.id]
    await asyncio.to_thread(
        lambda: (store.runs.set_desired_state(earlier.id, DesiredState.KILL), store.runs.delete(earlier.id))
    )
    for link in links:
        gone = await link.next(1)
        while not gone["deleted"]:
            gone = await link.next(1)
        assert gone["deleted"] == [earlier.id]


async def test_a_log_grows_and_a_reader_far_behind_is_taken_to_its_end(
    connect: Callable[[], Any], train: Callable[..., Training]
) -> None:
    training = train()
    log = training.folder / "output.log"
    log.write_text("one\n")
    link = await connect()
    link.subscribe(1, "log", run_id=training.run.id)
    assert (await link.next(1))["chunk"]["text"] == "one\n"
    with log.open("a") as file:
        file.write("two\n")
    chunk = (await link.next(1))["chunk"]
    assert (chunk["text"], chunk["offset"]) == ("two\n", 4)
    with log.open("a") as file:
        file.write("x" * (3 * LOG_BEHIND) + "end\n")
    chunk = (await link.next(1))["chunk"]
    assert chunk["text"].endswith("end\n")
    assert chunk["offset"] > 2 * LOG_BEHIND
    assert chunk["end"] == chunk["size"]


async def test_devices_are_told_at_once_and_then_only_when_they_change(connect: Callable[[], Any]) -> None:
    link = await connect()
    link.subscribe(1, "devices")
    assert (await link.next(1))["devices"]["devices"] == []
    await link.silence(1.3)


async def test_alerts_from_before_a_subscription_come_at_first_and_each_new_one_once(
    connect: Callable[[], Any], store: Store
) -> None:
    def tell(name: str) -> None:
        with store.database.write() as session:
            alerts.add(session, name, "stalled", f"“{name}” stands still.", host="here")

    tell("first")
    tell("second")
    link = await connect()
    link.subscribe(1, "alerts")
    assert [alert["id"] for alert in (await link.next(1))["alerts"]] == ["first", "second"]
    tell("third")
    assert [alert["id"] for alert in (await link.next(1))["alerts"]] == ["third"]
    await link.silence()


async def test_nothing_comes_after_unsubscribing(
    connect: Callable[[], Any], train: Callable[..., Training], extension: ImgclsLab
) -> None:
    training = train()
    link = await connect()
    link.subscribe(1, "metrics", run_ids=[training.run.id])
    link.subscribe(2, "runs")
    await link.next(2)
    link.unsubscribe(1)
    link.unsubscribe(2)
    await until(lambda: not extension.hub.watched)
    await asyncio.to_thread(training.points, 1)
    await link.silence()
    assert "imgcls-poll" not in tasks()
    link.subscribe(3, "metrics", run_ids=[training.run.id])
    assert (await link.next(3))["series"][0]["step"] == [1]


async def test_a_dropped_client_leaves_no_task_behind(connect: Callable[[], Any], extension: ImgclsLab) -> None:
    link = await connect()
    link.subscribe(1, "runs")
    link.subscribe(2, "devices")
    await until(lambda: "imgcls-poll" in tasks())
    link.socket.protocol.stream.close()  # as a lost network does: no word of farewell
    await until(lambda: not extension.hub.watched and not tasks())


async def test_a_client_that_does_not_read_gets_the_rest_later_and_costs_no_memory(
    train: Callable[..., Training], extension: ImgclsLab
) -> None:
    from imgcls_lab.schemas import MetricsTopic
    from imgcls_lab.server.stream import Client

    gate, sent = asyncio.Event(), []

    async def write(text: str) -> None:
        sent.append(json.loads(text))
        await gate.wait()

    training = train()
    client = Client(write, lambda: None, named=True)
    extension.hub.join(client)
    extension.hub.subscribe(client, 1, MetricsTopic(run_ids=[training.run.id]))
    await asyncio.to_thread(training.points, 1)
    await until(lambda: len(sent) == 1)
    for step in range(2, 6):
        await asyncio.to_thread(training.points, step)
        await asyncio.sleep(0.3)
    assert len(sent) == 1
    gate.set()
    await until(lambda: len(sent) == 2)
    assert sent[1]["batch"]["series"][0]["step"] == [2, 3, 4, 5]
    extension.hub.leave(client)


async def test_what_cannot_be_used_is_answered_with_a_sentence(connect: Callable[[], Any]) -> None:
    link = await connect()
    for message in (
        "{",
        '{"op": "dance", "id": 1}',
        '{"op": "subscribe", "id": 1, "topic": {"kind": "secrets"}}',
        '{"op": "subscribe", "id": 1, "topic": {"kind": "log", "run_id": "../../etc/passwd"}}',
        '{"op": "subscribe", "id": 1, "topic": {"kind": "log", "run_id": "20260101-000000-abcdef"}}',
        '{"op": "subscribe", "id": 1, "topic": {"kind": "metrics", "run_ids": [".."]}}',
        '{"op": "subscribe", "id": NaN}',
        "[" * 10_000,
    ):
        link.socket.write_message(message)
        assert (await link.error()).endswith("."), message
    link.subscribe(1, "devices")
    assert await link.next(1)


async def test_a_socket_follows_at_most_a_hundred_topics(connect: Callable[[], Any], extension: ImgclsLab) -> None:
    link = await connect()
    for number in range(101):
        link.subscribe(number, "devices")
    errors = 0
    async with asyncio.timeout(5):
        while not errors:
            errors += json.loads(await link.socket.read_message())["error"] is not None
    assert sum(len(client.subscriptions) for client in extension.hub._clients) == 100


async def test_a_database_that_fails_is_said_once_and_the_stream_goes_on(
    connect: Callable[[], Any], extension: ImgclsLab, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    from imgcls_lab.errors import StoreError
    from imgcls_lab.server import stream

    monkeypatch.setattr(stream, "PAUSE", 0.2)
    link = await connect()
    link.subscribe(1, "runs")
    await until(lambda: "imgcls-poll" in tasks())

    def fail(*_: object) -> None:
        raise StoreError("The run database does not answer.")

    with monkeypatch.context() as patch:
        patch.setattr(store.runs, "changed_since", fail)
        assert await link.error() == "The run database does not answer."
        await link.silence(0.6)
    link.subscribe(2, "devices")
    assert await link.next(2)


async def test_two_hundred_subscribed_runs_are_asked_about_only_when_they_change(
    connect: Callable[[], Any], train: Callable[..., Training], store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    training = train()
    others = [f"20260101-000000-{number:06d}" for number in range(199)]
    asked: list[int] = []
    points_since = store.metrics.points_since
    monkeypatch.setattr(
        store.metrics, "points_since", lambda cursors: (asked.append(len(cursors)), points_since(cursors))[1]
    )
    link = await connect()
    link.subscribe(1, "metrics", run_ids=[training.run.id, *others])
    await until(lambda: sum(asked) == 200)
    await asyncio.sleep(0.6)
    assert sum(asked) == 200
    await asyncio.to_thread(training.points, 1)
    assert (await link.next(1))["series"][0]["step"] == [1]
    await asyncio.sleep(0.6)
    assert sum(asked) == 202  # once for the news, once to see that there is no more


async def test_projects_do_not_wake_readers_of_runs(
    connect: Callable[[], Any], config: dict[str, Any], store: Store
) -> None:
    link = await connect()
    earlier = await asyncio.to_thread(store.runs.submit, SubmitRequest(config=config))
    link.subscribe(1, "runs")
    assert [run["id"] for run in (await link.next(1))["changed"]] == [earlier.id]
    await asyncio.to_thread(store.projects.add, ProjectEdit(name="p"))
    await link.silence()
    later = await asyncio.to_thread(store.runs.submit, SubmitRequest(config=config))
    assert [run["id"] for run in (await link.next(1))["changed"]] == [later.id]

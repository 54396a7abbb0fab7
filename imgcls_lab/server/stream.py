"""The WebSocket, and the poller that all sockets of this server share.

The poller queries the store ten times a second, in a thread, and only while somebody subscribes. Each client has the
messages of at most one poll in flight: until they are sent, its subscriptions are skipped. So a slow or dead client
costs no memory, and gets the rest later, from its own cursors.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from jupyter_server.base.websocket import WebSocketMixin
from pydantic import Field, TypeAdapter
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from imgcls_lab.errors import ImgclsError, InputError
from imgcls_lab.schemas import Batch, StreamMessage, Subscribe, Topic, Unsubscribe
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.permissions import SESSIONS, Guarded, Route, permitted, route
from imgcls_lab.server.request_parsing import read_as, read_json
from imgcls_lab.server.topics import DEVICES_EVERY, Poll, Subscription, subscription_to
from imgcls_lab.store import Store

PERIOD = 0.1  # seconds between two polls
PAUSE = 2.0  # seconds after a poll that failed
MAX_SUBSCRIPTIONS = 100  # of one socket
MAX_FOLLOWED = 1000  # runs whose metrics one socket gets
MAX_SOCKETS = 200  # of one server: each page has one
MAX_MESSAGE = 64 * 1024  # bytes from a client
MESSAGES = 200  # that a client may send at once
MESSAGES_A_SECOND = 20.0  # that it may send for long
_REQUEST: TypeAdapter[Subscribe | Unsubscribe] = TypeAdapter(
    Annotated[Subscribe | Unsubscribe, Field(discriminator="op")]
)


class Client:
    """One socket as the poller sees it: its subscriptions, and the messages in flight.

    named: whether its user may read which notebook has which kernel.
    """

    def __init__(self, write: Callable[[str], Awaitable[None]], close: Callable[[], None], *, named: bool) -> None:
        self._write = write
        self.named = named
        self.close = close
        self.subscriptions: dict[int, Subscription] = {}
        self._sending: asyncio.Task[None] | None = None
        self._allowance, self._heard = float(MESSAGES), time.monotonic()

    @property
    def ready(self) -> bool:
        """Whether all that was sent has left this process."""
        return self._sending is None or self._sending.done()

    def may_ask(self) -> bool:
        """Whether a message that came now is one that a page sends. Each call counts as one."""
        now = time.monotonic()
        self._allowance = min(MESSAGES, self._allowance + (now - self._heard) * MESSAGES_A_SECOND) - 1
        self._heard = now
        return self._allowance >= 0

    def followed(self, without: int) -> int:
        """How many runs' metrics it gets by its subscriptions but one."""
        return sum(each.runs for number, each in self.subscriptions.items() if number != without)

    def send(self, texts: list[str]) -> None:
        """Send messages in order. Only when `ready`."""
        self._sending = asyncio.create_task(self._send(texts), name="imgcls-send")

    async def _send(self, texts: list[str]) -> None:
        with contextlib.suppress(WebSocketClosedError, StreamClosedError):
            for text in texts:
                await self._write(text)

    def drop(self) -> None:
        """Remove all subscriptions: the socket has closed."""
        self.subscriptions.clear()
        if self._sending is not None:
            self._sending.cancel()


class Hub:
    """The poller. All methods are called on the event loop; the store is queried in a thread."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self._clients: set[Client] = set()
        self._task: asyncio.Task[None] | None = None
        self._since = 0.0
        self._number = 0

    def join(self, client: Client) -> bool:
        """Whether there is room for one more socket."""
        if len(self._clients) >= MAX_SOCKETS:
            return False
        self._clients.add(client)
        return True

    def leave(self, client: Client) -> None:
        self._clients.discard(client)
        client.drop()

    def subscribe(self, client: Client, number: int, topic: Topic) -> None:
        """Send news of a topic from now on; an earlier subscription of this number ends.

        Raises NotFoundError, and InputError for more than a page follows.
        """
        subscription = subscription_to(topic, named=client.named)
        if len(client.subscriptions) >= MAX_SUBSCRIPTIONS and number not in client.subscriptions:
            raise InputError(f"A page may follow at most {MAX_SUBSCRIPTIONS} topics.")
        if subscription.runs and client.followed(number) + subscription.runs > MAX_FOLLOWED:
            raise InputError(f"A page may follow the metrics of at most {MAX_FOLLOWED} runs.")
        client.subscriptions[number] = subscription
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll(), name="imgcls-poll")

    async def close(self) -> None:
        """Close all sockets and end the poller."""
        for client in list(self._clients):
            client.close()
            self.leave(client)
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    @property
    def watched(self) -> bool:
        return any(client.subscriptions for client in self._clients)

    async def _poll(self) -> None:
        outage = False
        while self.watched:
            start = time.monotonic()
            try:
                await self._poll_once(recovered=outage)
                outage = False
                await asyncio.sleep(max(0.0, PERIOD - (time.monotonic() - start)))
            except Exception as error:
                if not outage:
                    self._report_outage(error)
                outage = True
                await asyncio.sleep(PAUSE)

    async def _poll_once(self, *, recovered: bool) -> None:
        """Query the store once, and send each client that is ready what is new for it."""
        self._number += 1
        if self._number % DEVICES_EVERY == 0:
            await self._backend.kernels.refresh()
        everyone = [each for client in self._clients for each in client.subscriptions.values()]
        asked = [
            (client, number, each)
            for client in self._clients
            if client.ready
            for number, each in client.subscriptions.items()
        ]
        answers = await self._backend.ask(
            lambda store: self._next_batches(store, everyone, [each for _, _, each in asked]), "poll"
        )
        texts: dict[Client, list[str]] = {}
        for (client, number, subscription), (batch, error) in zip(asked, answers, strict=True):
            if client.subscriptions.get(number) is not subscription:
                continue  # unsubscribed meanwhile
            if error is not None:
                del client.subscriptions[number]
            if batch or error:
                texts.setdefault(client, []).append(_message(number, batch, error))
        for client, messages in texts.items():
            if client in self._clients:
                client.send(messages)
        if recovered:
            self._backend.log.info("The run database answers again.")

    def _next_batches(
        self, store: Store, everyone: list[Subscription], asked: list[Subscription]
    ) -> list[tuple[str | None, str | None]]:
        """For each subscription asked: its batch as JSON text, or why it ends. Runs in a thread."""
        poll = Poll(store, self._number, self._backend.kernels.devices)
        changed, self._since = poll.runs(self._since)
        ids = {run.id for run in changed.changed}
        for subscription in everyone:
            subscription.mark_changed(ids)
        answers: list[tuple[str | None, str | None]] = []
        for subscription in asked:
            try:
                batch: Batch | None = subscription.next_batch(poll)
            except ImgclsError as error:
                if error.status >= 500:
                    raise  # the server's error, and no subscription's
                answers.append((None, str(error)))
            else:
                answers.append((None if batch is None else batch.model_dump_json(), None))
        return answers

    def _report_outage(self, error: Exception) -> None:
        if isinstance(error, ImgclsError):
            sentence = self._backend.scrub(str(error))
            self._backend.log.warning("The stream waits: %s", sentence)
        else:
            sentence = "The server could not read the run database; the reason is in the Jupyter server's log."
            self._backend.log.error("The stream failed.\n%s", self._backend.describe(error))
        for client in self._clients:
            if client.ready and client.subscriptions:
                client.send([_message(number, None, sentence) for number in client.subscriptions])


class StreamHandler(WebSocketMixin, WebSocketHandler, Guarded):
    """A client's socket. Takes Subscribe and Unsubscribe, gives StreamMessage."""

    def initialize(self, backend: Backend, hub: Hub) -> None:
        self._backend = backend
        self._hub = hub
        self._client: Client | None = None
        self._named = False

    @property
    def max_message_size(self) -> int:
        return MAX_MESSAGE

    def set_default_headers(self) -> None:
        """Set none: Jupyter's headers are for pages."""

    @permitted
    async def get(self, *args: Any, **kwargs: Any) -> None:
        self._named = await self.may(SESSIONS)
        await super().get(*args, **kwargs)

    def open(self, *args: str, **kwargs: str) -> None:
        super().open(*args, **kwargs)
        self._client = Client(self._write, lambda: self.close(1001, "The server stops."), named=self._named)
        if not self._hub.join(self._client):
            self._client = None
            self.close(1013, f"This server has {MAX_SOCKETS} pages open already. Close some.")

    async def _write(self, text: str) -> None:
        await self.write_message(text)

    def on_message(self, message: str | bytes) -> None:
        if self._client is None:
            return
        if not self._client.may_ask():
            self.close(1008, "Too many messages.")
            return
        number = 0
        try:
            value = read_json(message)
            if isinstance(value, dict) and isinstance(value.get("id"), int):
                number = value["id"]
            request = read_as(_REQUEST, value)
            if isinstance(request, Unsubscribe):
                self._client.subscriptions.pop(request.id, None)
            else:
                self._hub.subscribe(self._client, request.id, request.topic)
        except ImgclsError as error:
            self._refuse(number, str(error))

    def _refuse(self, number: int, sentence: str) -> None:
        """Report what was wrong with a message. A client that sends wrong ones and reads no answers is disconnected."""
        if self._client is None:
            return
        if self._client.ready:
            self._client.send([_message(number, None, sentence)])
        else:
            self.close(1008, "Too many messages that cannot be used.")

    def on_close(self) -> None:
        if self._client is not None:
            self._hub.leave(self._client)
            self._client = None


def _message(number: int, batch: str | None, error: str | None) -> str:
    """A StreamMessage around a batch that is JSON text already."""
    if batch is None:
        return StreamMessage(id=number, error=error).model_dump_json()
    return f'{{"id":{number},"batch":{batch},"error":null}}'


def routes(backend: Backend, hub: Hub) -> list[Route]:
    return [route("api/stream", StreamHandler, backend=backend, hub=hub)]

"""The base of all REST handlers: access to the store, reading of a request, and the one mapping of errors.

Each handler decorates its verbs by `permitted`. What a verb needs stands in the table of `permissions.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any, TypeVar

from jupyter_server.base.handlers import APIHandler
from pydantic import BaseModel
from tornado import web
from tornado.iostream import StreamClosedError

from imgcls_lab.errors import BusyError, ImgclsError, InputError, NotFoundError, Problem
from imgcls_lab.run_layout import is_run_id
from imgcls_lab.schemas import ErrorReply, FieldProblem, Queued
from imgcls_lab.schemas.limits import MAX_ARGUMENTS, MAX_PATH
from imgcls_lab.server.backend import Backend
from imgcls_lab.server.permissions import Guarded
from imgcls_lab.server.pools import RETRY_AFTER, Work
from imgcls_lab.server.request_parsing import MAX_BYTES, read_json, read_model
from imgcls_lab.store import Store

PREFIX = "imgcls/api"
MAX_PROBLEMS = 50
_DIGITS = frozenset("0123456789abcdef")  # of the id of an image
MAX_ID = 2**31 - 1  # of a row in PostgreSQL
DRAIN_BYTES = 64 * 2**20  # of a refused body that are read before the connection is closed
DRAIN_SECONDS = 10.0
BODY_GRACE = 15.0  # seconds that a body may come as slowly as it likes
BODY_RATE = 16_384  # bytes a second that it must have come with since
M = TypeVar("M", bound=BaseModel)
Answer = BaseModel | Sequence[BaseModel] | bytes | None  # bytes: the JSON text


@web.stream_request_body  # a body is counted while it arrives, and a huge one is never held
class ApiHandler(Guarded, APIHandler):
    """A REST handler with a backend. Subclasses decorate their verbs. max_bytes: of a request's body."""

    max_bytes = MAX_BYTES

    def initialize(self, backend: Backend) -> None:
        self.backend = backend
        self._chunks: list[bytes] = []
        self._received = 0
        self._drain: asyncio.Task[None] | None = None  # sends an early answer, and reads the rest of the body
        self._enough = asyncio.Event()  # of that rest
        self._watch: asyncio.Task[None] | None = None  # sees that the body comes

    # ── the request ─────────────────────────────────────────────────────────────────────────────────────────
    async def prepare(self) -> None:  # type: ignore[override]
        length = self.request.headers.get("Content-Length", "0")
        if not (length.isascii() and length.isdigit()):
            raise web.HTTPError(400, "The request's Content-Length is no number.")
        if len(length) > 12 or int(length) > self.max_bytes:
            self.request.connection.set_max_body_size(2**62)  # type: ignore[union-attr]  # `_drain_body` has a bound
            raise _too_large(self.max_bytes)
        await super().prepare()
        if not self.current_user and self.request.method != "OPTIONS":
            raise web.HTTPError(403)  # before a byte of the body is kept
        self._check_query()
        if int(length) or "Transfer-Encoding" in self.request.headers:
            self._watch = asyncio.create_task(self._limit_time(), name="imgcls-body")

    async def _limit_time(self) -> None:
        """Answer 408 where the body stalls: an upload holds memory and a place while it comes."""
        began = time.monotonic()
        while not self.answered:
            await asyncio.wait({self.request._body_future}, timeout=BODY_GRACE / 10)
            if self.request._body_future.done() or self.answered:
                return
            if self._received < (time.monotonic() - began - BODY_GRACE) * BODY_RATE:
                error = web.HTTPError(408, "The request's body comes too slowly. Try again on a better connection.")
                self.send_error(error.status_code, exc_info=(type(error), error, None))

    def on_finish(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().on_finish()

    def on_connection_close(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().on_connection_close()

    def _check_query(self) -> None:
        """Raises InputError for more arguments behind the address, or longer ones, than any request has."""
        values = [value for found in self.request.query_arguments.values() for value in found]
        if len(values) > MAX_ARGUMENTS:
            raise InputError(f"A request may have at most {MAX_ARGUMENTS} arguments.")
        if any(len(value) > MAX_PATH for value in values):
            raise InputError(f"An argument of a request may have at most {MAX_PATH} characters.")

    def data_received(self, chunk: bytes) -> None:
        """Keep a piece of the body. Never raises: Tornado would close the connection without an answer."""
        self._received += len(chunk)
        if self.answered:
            if self._received > DRAIN_BYTES:
                self._enough.set()
        elif self._received > self.max_bytes:
            self._chunks.clear()
            error = _too_large(self.max_bytes)
            self.send_error(error.status_code, exc_info=(type(error), error, None))
        else:
            self._chunks.append(chunk)

    @property
    def answered(self) -> bool:
        return self._drain is not None

    def finish(self, *args: Any, **kwargs: Any) -> asyncio.Future[Any]:
        """As Jupyter's. An answer that is due before the whole body has come is sent at once, and the rest is read.

        Otherwise the connection would be reset, and a client that is still sending would not see the answer.
        """
        if self._drain is not None:
            return self._drain
        headers = self.request.headers
        length = headers.get("Content-Length", "0")
        coming = "Transfer-Encoding" in headers or (length.isdigit() and int(length) > self._received)
        waits = self._received == 0 and headers.get("Expect", "").lower() == "100-continue"
        if not coming or waits or self.request._body_future.done():
            return super().finish(*args, **kwargs)
        self._drain = asyncio.create_task(self._drain_body(*args), name="imgcls-drain")
        return self._drain

    async def _drain_body(self, answer: str | bytes = b"") -> None:
        text = answer.encode() if isinstance(answer, str) else answer
        self.set_header("Content-Type", "application/json")
        self.set_header("Content-Length", str(len(text)))
        self.set_header("Connection", "close")
        self.write(text)
        with contextlib.suppress(StreamClosedError):
            await self.flush()
        enough = asyncio.create_task(self._enough.wait())
        ends: set[asyncio.Future[Any]] = {self.request._body_future, enough}
        await asyncio.wait(ends, timeout=DRAIN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        enough.cancel()
        super().finish()
        self.request.connection.close()  # type: ignore[union-attr]  # as the answer says

    def check_origin(self, origin_to_satisfy_tornado: str = "") -> bool:
        """Whether the page that asks is one of this server's. Raises 403 otherwise, where Jupyter says 404."""
        if not super().check_origin(origin_to_satisfy_tornado):
            raise web.HTTPError(403, "Requests from another site are refused.")
        return True

    @property
    def raw_body(self) -> bytes:
        """The request's body as it came, at most `max_bytes`."""
        return b"".join(self._chunks)

    def body(self, model: type[M]) -> M:
        """The request's JSON body. Raises InputError with a problem for each wrong field."""
        return read_model(model, read_json(self.raw_body or b"null"))

    def optional_body(self, model: type[M]) -> M:
        """As `body`; what the model is by default where the request has none."""
        return self.body(model) if self._received else model()

    def whole(self, name: str, fallback: int, *, low: int = 0, high: int = 2**53) -> int:
        """A whole number of the query, within bounds. Raises InputError if it is not a whole number."""
        value = self.optional_whole(name)
        return fallback if value is None else min(max(value, low), high)

    def optional_whole(self, name: str) -> int | None:
        text = self.get_query_argument(name, "")
        if not text:
            return None
        try:
            if len(text) <= 17:
                return int(text)
        except ValueError:
            pass
        raise InputError(f"{name} must be a whole number, not “{text[:60]}”.")

    def optional_number(self, name: str) -> float | None:
        text = self.get_query_argument(name, "")
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if value - value != 0:
            raise InputError(f"{name} must be a number, not “{text[:60]}”.")
        return value

    def compared_run(self) -> str:
        """The run that a request names to compare with. Raises InputError where it names none."""
        named = self.get_query_argument("against", "")
        if not named:
            raise InputError("Name the run to compare with: against=….")
        return run_id_of(named)

    def choice(self, name: str, allowed: Iterable[str], fallback: str) -> str:
        value = self.get_query_argument(name, fallback)
        if value not in (names := list(allowed)):
            raise InputError(f"{name} must be one of {', '.join(names)}, not “{value[:60]}”.")
        return value

    # ── the answer ──────────────────────────────────────────────────────────────────────────────────────────
    async def answer(self, query: Callable[[Store], Answer], status: int = 200, work: Work = "query") -> None:
        """Query the store in a thread and send the result. The thread also makes the JSON text: curves are long."""
        data = await self.backend.ask(lambda store: to_json(query(store)), work)
        self.reply(data, status)

    async def answer_queued(self, submit: Callable[[Store], Queued | Sequence[Queued]], work: Work = "query") -> None:
        """Answer with runs that were asked for: 201, or 200 where the same request had made all of them before."""

        def submitted(store: Store) -> tuple[bytes | None, bool]:
            queued = submit(store)
            return to_json(queued), any(run.made for run in ([queued] if isinstance(queued, Queued) else queued))

        data, made = await self.backend.ask(submitted, work)
        self.reply(data, 201 if made else 200)
        self.backend.wake_executor()

    def reply(self, data: bytes | None, status: int = 200) -> None:
        self.set_header("Cache-Control", "no-store")
        if data is None:
            self.set_status(204)
            self.finish()
        else:
            self.set_status(status)
            self.finish(data)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Every error as an ErrorReply: ours with their status and sentence, any other as a plain 500."""
        error = kwargs.get("exc_info", (None, None, None))[1]
        status, reply = error_reply(error, status_code)
        reply = reply.model_copy(update={"message": self.backend.scrub(reply.message)})
        self.set_status(status)
        if isinstance(error, BusyError):
            self.set_header("Retry-After", str(RETRY_AFTER))
        self.finish(reply.model_dump_json())

    def log_exception(
        self,
        typ: type[BaseException] | None,  # noqa: ARG002
        value: BaseException | None,
        tb: TracebackType | None,  # noqa: ARG002
    ) -> None:
        """A refused request is one line; an unexpected error is a traceback, without the database's password."""
        summary = f"{self.request.method} {self.request.path}"
        if isinstance(value, ImgclsError) and value.status < 500:
            self.log.debug("%s: %s", summary, value)
        elif isinstance(value, ImgclsError):
            self.log.warning("%s: %s", summary, self.backend.scrub(str(value)))
        elif isinstance(value, web.HTTPError):
            self.log.debug("%s: %s", summary, value)
        elif value is not None:
            self.log.error("%s failed.\n%s", summary, self.backend.describe(value))


def _too_large(most: int) -> web.HTTPError:
    return web.HTTPError(413, f"A request may hold at most {most // 1000} kB.")


def error_reply(error: BaseException | None, status: int = 500) -> tuple[int, ErrorReply]:
    """The HTTP status and the reply for an error. What a client sent comes back in it only in part."""
    if isinstance(error, ImgclsError):
        problems = getattr(error, "problems", ())
        return error.status, ErrorReply(message=shorten(str(error), 4000), problems=field_problems(problems))
    if isinstance(error, web.HTTPError):
        fallback = _SENTENCES.get(error.status_code, f"The request was refused ({error.status_code}).")
        return error.status_code, ErrorReply(message=shorten(error.log_message or error.reason or fallback, 1000))
    return status, ErrorReply(message=_SENTENCES.get(status, _SENTENCES[500]))


def field_problems(problems: Sequence[Problem]) -> list[FieldProblem]:
    """Problems as an answer has them: the first ones, and of what a client sent only a part."""
    return [
        FieldProblem(field=shorten(problem.field, 200), message=shorten(problem.message, 1000))
        for problem in problems[:MAX_PROBLEMS]
    ]


def shorten(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


_SENTENCES = {
    403: "You may not do this here. Reload the page and log in again.",
    404: "There is nothing here.",
    405: "This cannot be done here.",
    500: "The server could not answer; the reason is in the Jupyter server's log.",
}


def to_json(answer: Answer) -> bytes | None:
    """JSON text of a wire model or a list of them; text that a query made itself."""
    if answer is None or isinstance(answer, bytes):
        return answer
    if isinstance(answer, BaseModel):
        return answer.model_dump_json().encode()
    return b"[" + b",".join(item.model_dump_json().encode() for item in answer) + b"]"


def run_id_of(text: str) -> str:
    """A run id from a URL. Raises NotFoundError if it is malformed, so that no path gets further."""
    if not is_run_id(text):
        raise NotFoundError(f"There is no run “{text[:60]}”.")
    return text


def image_id_of(text: str) -> str:
    """The id of an image from a URL. Raises NotFoundError if it is malformed, so that no name gets further."""
    if len(text) != 64 or not _DIGITS.issuperset(text):
        raise NotFoundError(f"There is no image “{text[:80]}”.", reason="no_image")
    return text


def number_of(text: str, kind: str) -> int:
    """The id of a registry's entry from a URL. Raises NotFoundError if no row can have it."""
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and 0 < int(text) <= MAX_ID):
        raise NotFoundError(f"There is no {kind} “{text[:60]}”.")
    return int(text)


def check_reference(number: int | None, kind: str) -> None:
    """Raises NotFoundError for an id in a request that no row can have."""
    if number is not None and not 0 < number <= MAX_ID:
        raise NotFoundError(f"There is no {kind} {number}.")

"""What a hostile client may send: huge, deep and odd bodies cost little and are refused with a sentence."""

from __future__ import annotations

import asyncio
import contextlib
import time
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from serving import Api

from imgcls_lab.run_layout import new_run_id
from imgcls_lab.server import handlers
from imgcls_lab.server.handlers import DRAIN_SECONDS
from imgcls_lab.store import Store

QUICK = 2.0  # seconds


async def refused(api: Api, body: bytes | str, path: str = "runs") -> tuple[int, str]:
    began = time.monotonic()
    reply = await api("POST", path, body)
    assert time.monotonic() - began < QUICK
    assert 400 <= reply.status < 500, reply.status
    assert len(reply.body) < 20_000
    return reply.status, reply.json["message"]


async def test_odd_json_is_refused(api: Api, store: Store) -> None:
    for body in (
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"config": {"root": "\xc3"}}',
        '{"config": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"config": ' + '{"a":' * 100 + "1" + "}" * 100 + "}",
        '{"config": {"lr": NaN}}',
        '{"config": {"lr": -Infinity}}',
        '{"config": {"lr": 1e999}}',
        '{"config": {"seed": ' + "9" * 900_000 + "}}",
        '{"config": {"seed": 9223372036854775808}}',
        '{"config": {"root": "a\\u0000b"}}',
        '{"config": {"root": "\\ud800"}}',
        '{"config": {' + ",".join(f'"k{i}": 1' for i in range(60_000)) + "}}",
        '{"config": {"' + "k" * 900_000 + '": 1}}',
        '{"config": ' + "[1," * 20 + "1" + "]" * 20 + "}",
    ):
        for path in ("runs", "configs"):
            assert (await refused(api, body, path))[0] == 400, body[:60]
    assert store.runs.list().total == 0


async def test_a_check_survives_what_a_run_refuses(api: Api) -> None:
    for body in (
        '{"config": {"lr": NaN}}',
        '{"config": ' + "[" * 5000 + "]" * 5000 + "}",
        '{"config": {"root": "\\ud800"}}',
        '{"config": {"seed": ' + "9" * 500_000 + "}}",
    ):
        assert (await refused(api, body, "configs/check"))[0] == 400


async def test_a_body_of_two_megabytes_is_refused_and_not_kept(api: Api, store: Store) -> None:
    status, message = await refused(api, b'{"name": "' + b"x" * 2_000_000 + b'"}', "projects")
    assert status == 413
    assert "1000 kB" in message
    assert len(store.projects.list()) == 1


async def test_an_endless_body_is_dropped_as_it_comes(
    api: Api, jp_http_port: int, jp_base_url: str, jp_auth_header: dict[str, str]
) -> None:
    reader, writer = await asyncio.open_connection("localhost", jp_http_port)
    writer.write(
        f"POST {jp_base_url}imgcls/api/projects HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n"
        f"Authorization: {jp_auth_header['Authorization']}\r\n\r\n".encode()
    )
    tracemalloc.start()
    chunk = b"100000\r\n" + b"x" * 2**20 + b"\r\n"
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(64):
            writer.write(chunk)
            await asyncio.wait_for(writer.drain(), 5)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16 * 2**20
    answer = await asyncio.wait_for(reader.read(200), 5)
    assert b" 413 " in answer.split(b"\r\n")[0]
    writer.close()
    assert len((await api("GET", "projects")).json) == 1


class TestARefusedBody:
    """Its client gets an answer and no reset, also one that reads only when all is sent."""

    MEGABYTES = 24  # far more than the buffers of both sockets hold

    @pytest.fixture
    def ask(self, api: Api, jp_http_port: int, jp_base_url: str) -> Any:
        async def ask(body: Iterable[bytes], path: str = "projects", login: bool = True, **headers: str) -> bytes:
            """What the server answers to one who sends all before reading. Raises ConnectionError for a reset."""
            given = {"Host": "localhost", **(api.headers if login else {})}
            given |= {name.replace("_", "-"): value for name, value in headers.items()}
            lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
            reader, writer = await asyncio.open_connection("localhost", jp_http_port)
            writer.write(f"POST {jp_base_url}imgcls/api/{path} HTTP/1.1\r\n{lines}\r\n".encode())
            for piece in body:
                writer.write(piece)
                await writer.drain()
            answer = await asyncio.wait_for(reader.read(), 20)
            writer.close()
            return answer

        return ask

    async def test_of_any_size_and_form(self, ask: Any) -> None:
        piece = b"x" * 2**20
        for megabytes in (1, 2, self.MEGABYTES):
            answer = await ask([piece] * megabytes, Content_Length=str(megabytes * 2**20))
            assert answer.startswith(b"HTTP/1.1 413 "), megabytes
            assert answer.endswith(b"}"), megabytes
            chunks = [b"100000\r\n" + piece + b"\r\n"] * megabytes
            answer = await ask([*chunks, b"0\r\n\r\n"], Transfer_Encoding="chunked")
            assert answer.startswith(b"HTTP/1.1 413 "), megabytes

    async def test_of_a_length_that_no_server_would_read(self, ask: Any) -> None:
        began = time.monotonic()
        answer = await ask([b"x" * 2**20] * 2, Content_Length="999999999999")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - began < DRAIN_SECONDS + 5

    async def test_of_a_client_that_waits_for_leave(self, ask: Any) -> None:
        began = time.monotonic()
        answer = await ask([], Content_Length=str(2**22), Expect="100-continue")
        assert answer.startswith(b"HTTP/1.1 413 ")
        assert time.monotonic() - began < DRAIN_SECONDS / 2

    async def test_of_a_client_without_a_login_or_of_another_host(self, ask: Any) -> None:
        for other in ({"login": False}, {"Host": "evil.example"}):
            answer = await ask([b"x" * 900_000], Content_Length="900000", **other)
            assert answer.startswith(b"HTTP/1.1 403 "), other
            assert b'"message"' in answer, other


async def test_uploads_that_stall_give_their_places_back(
    api: Api, jp_http_port: int, jp_base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Four clients that send nothing more would hold all places for as long as they like."""
    monkeypatch.setattr(handlers, "BODY_GRACE", 1.0)
    path = f"runs/{new_run_id()}/predict"
    lines = f"Host: localhost\r\nAuthorization: {api.headers['Authorization']}\r\nContent-Length: 1000000\r\n"
    stalled = []
    for start in (b"", b"x", b"x" * 20, b"x" * 900):
        reader, writer = await asyncio.open_connection("localhost", jp_http_port)
        writer.write(f"POST {jp_base_url}imgcls/api/{path} HTTP/1.1\r\n{lines}\r\n".encode() + start)
        await writer.drain()
        stalled.append((reader, writer))
    until = time.monotonic() + 5
    while (reply := await api("POST", path, b"image")).status != 503:
        assert time.monotonic() < until, "they do not hold the places yet"
    for reader, writer in stalled:
        answer = await asyncio.wait_for(reader.read(2000), 10)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"too slowly" in answer
        writer.close()
    while (reply := await api("POST", path, b"image")).status == 503:
        assert time.monotonic() < until + 10, "they still hold the places"
    assert reply.status == 404  # there is no such run


async def test_a_slow_body_that_comes_is_waited_for(
    api: Api, jp_http_port: int, jp_base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handlers, "BODY_GRACE", 0.5)
    monkeypatch.setattr(handlers, "BODY_RATE", 10)
    reader, writer = await asyncio.open_connection("localhost", jp_http_port)
    body = b'{"name": "' + b"s" * 60 + b'"}'
    lines = f"Host: localhost\r\nAuthorization: {api.headers['Authorization']}\r\nContent-Length: {len(body)}\r\n"
    writer.write(f"POST {jp_base_url}imgcls/api/projects HTTP/1.1\r\n{lines}\r\n".encode())
    for start in range(0, len(body), 6):
        writer.write(body[start : start + 6])
        await writer.drain()
        await asyncio.sleep(0.1)
    assert (await asyncio.wait_for(reader.read(100), 5)).startswith(b"HTTP/1.1 201 ")
    writer.close()


async def test_a_client_that_waits_for_leave_and_gets_it_is_served(
    api: Api, jp_http_port: int, jp_base_url: str
) -> None:
    reader, writer = await asyncio.open_connection("localhost", jp_http_port)
    body = b'{"name": "waited"}'
    writer.write(
        f"POST {jp_base_url}imgcls/api/projects HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        f"Content-Length: {len(body)}\r\nAuthorization: {api.headers['Authorization']}\r\n\r\n".encode()
    )
    assert b" 100 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
    writer.write(body)
    assert (await asyncio.wait_for(reader.read(100), 5)).startswith(b"HTTP/1.1 201 ")
    writer.close()


async def test_a_wrong_length_is_no_way_around_the_limit(
    jp_http_port: int, jp_base_url: str, jp_auth_header: dict[str, str], api: Api
) -> None:
    for length in ("-1", "x", "99999999999999999999", "1e3"):
        reader, writer = await asyncio.open_connection("localhost", jp_http_port)
        writer.write(
            f"POST {jp_base_url}imgcls/api/projects HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n"
            f"Authorization: {jp_auth_header['Authorization']}\r\n\r\n".encode()
        )
        answer = await asyncio.wait_for(reader.read(500), 5)
        assert answer == b"" or b" 4" in answer.split(b"\r\n")[0], (length, answer)
        writer.close()
    assert len((await api("GET", "projects")).json) == 1


async def test_an_error_nobody_foresaw_says_nothing_of_the_inside(
    api: Api, store: Store, monkeypatch: Any, caplog: Any
) -> None:
    def explode(**_: Any) -> None:
        raise RuntimeError("secret detail")

    monkeypatch.setattr(store.runs, "list", explode)
    reply = await api("GET", "runs")
    assert reply.status == 500
    assert "secret detail" not in reply.body.decode()
    assert reply.json["message"].endswith("log.")
    assert "secret detail" in caplog.text

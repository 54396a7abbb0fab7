"""Who may ask the server: every route and the stream, without a token, from another site, with half a login."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from serving import Api
from tornado.httpclient import HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.server.handlers import PREFIX, ApiHandler
from imgcls_lab.store import Store

FILLED = {"runs": "20260101-000000-abcdef", "sweeps": "20260101-000000-abcdef"}


def routes(extension: ImgclsLab) -> list[tuple[str, str]]:
    """Every (verb, path) of the API that some handler implements, from the handlers themselves."""
    found = []
    for pattern, handler, arguments in extension.handlers:
        if issubclass(handler, ApiHandler):
            path = pattern.removeprefix(PREFIX).lstrip("/")
            path = path.replace("([^/]+)", FILLED.get(path.split("/")[0], "1"))
            found += [(verb, path) for verb in arguments["needs"]]
    return found


def test_the_list_of_routes_is_the_promised_one(extension: ImgclsLab) -> None:
    kinds = ("projects", "configs", "datasets", "models")
    promised = {
        ("GET", "info"), ("GET", "configs/schema"), ("POST", "configs/check"), ("POST", "demo"), ("GET", "devices"),
        ("POST", "executor/start"), ("GET", "series"), ("GET", "runs"), ("POST", "runs"),
        *((verb, f"runs/{FILLED['runs']}") for verb in ("GET", "PATCH", "DELETE")),
        ("POST", f"runs/{FILLED['runs']}/stop"), ("GET", f"runs/{FILLED['runs']}/log"),
        ("GET", f"runs/{FILLED['runs']}/report"), ("GET", f"runs/{FILLED['runs']}/notebook"),
        ("GET", "notebooks"), ("POST", "notebooks"), ("POST", "sweeps"), ("GET", f"sweeps/{FILLED['sweeps']}"),
        *((verb, kind) for kind in kinds for verb in ("GET", "POST")),
        *((verb, f"{kind}/1") for kind in kinds for verb in ("GET", "PATCH", "DELETE")), ("POST", "datasets/1/rescan"),
    }  # fmt: skip
    assert promised <= set(routes(extension))


async def test_no_route_answers_without_a_token(api: Api, extension: ImgclsLab, store: Store) -> None:
    projects = store.projects.list()
    for verb, path in routes(extension):
        for headers in ({}, {"Authorization": "token wrong"}):
            body = {"name": "x"} if verb in {"POST", "PATCH"} else None
            reply = await api(verb, path, body, headers=headers)
            assert reply.status == 403, (verb, path)
    assert store.projects.list() == projects


async def test_the_stream_is_refused_before_the_upgrade(api: Api, jp_http_port: int, jp_base_url: str) -> None:
    url = f"ws://localhost:{jp_http_port}{jp_base_url}imgcls/api/stream"
    for headers in ({}, {"Authorization": "token wrong"}):
        with pytest.raises(HTTPClientError, match="403"):
            await websocket_connect(HTTPRequest(url, headers=headers))


class TestWithUnauthenticatedAccessOff:
    @pytest.fixture
    def jp_argv(self) -> list[str]:
        return ["--ServerApp.allow_unauthenticated_access=False"]

    async def test_jupyter_finds_no_undecorated_route(self, api: Api, jp_serverapp: Any, caplog: Any) -> None:
        from tornado.routing import PathMatches

        app = jp_serverapp.web_app
        checked = []
        for pattern, handler, *_ in jp_serverapp.extension_manager.extension_points["imgcls_lab"].app.handlers:
            checked.append(handler)
            assert app._check_handler_auth(PathMatches(pattern), handler) == [], pattern
        assert checked
        assert (await api("GET", "info", headers={})).status in {302, 403}
        assert (await api("GET", "info")).status == 200


class TestWithACookie:
    """A browser that is logged in by cookie, as a foreign page would abuse it."""

    async def login(self, api: Api) -> dict[str, str]:
        token = api.headers["Authorization"].removeprefix("token ")
        reply = await api("GET", "info", token=token, headers={})
        assert reply.status == 200
        cookie = "; ".join(value.split(";")[0] for value in reply.headers.get_list("Set-Cookie"))
        page = await api.client.fetch(f"{api.base_url}login", raise_error=False, follow_redirects=False)
        xsrf = next(v.split(";")[0] for v in page.headers.get_list("Set-Cookie") if v.startswith("_xsrf"))
        return {"login": cookie, "xsrf": xsrf}

    async def test_writing_needs_the_xsrf_token(self, api: Api, store: Store, extension: ImgclsLab) -> None:
        cookies = await self.login(api)
        projects = store.projects.list()
        cookie = f"{cookies['login']}; {cookies['xsrf']}"
        for verb, path in routes(extension):
            if verb != "GET":
                body = {"name": "x"} if verb in {"POST", "PATCH"} else None
                reply = await api(verb, path, body, headers={"Cookie": cookie})
                assert reply.status == 403, (verb, path)
        assert store.projects.list() == projects
        good = {"Cookie": cookie, "X-XSRFToken": cookies["xsrf"].split("=", 1)[1]}
        assert (await api("POST", "projects", {"name": "x"}, headers=good)).status == 201

    async def test_a_foreign_page_reads_and_writes_nothing(self, api: Api, store: Store, extension: ImgclsLab) -> None:
        cookies = await self.login(api)
        projects = store.projects.list()
        headers = {
            "Cookie": f"{cookies['login']}; {cookies['xsrf']}",
            "X-XSRFToken": cookies["xsrf"].split("=", 1)[1],
            "Origin": "https://evil.example",
        }
        for verb, path in routes(extension):
            body = {"name": "x"} if verb in {"POST", "PATCH"} else None
            reply = await api(verb, path, body, headers=headers)
            assert reply.status == 403, (verb, path)
            assert "Access-Control-Allow-Origin" not in reply.headers
        assert store.projects.list() == projects

    async def test_a_foreign_page_gets_no_stream(self, api: Api, jp_http_port: int, jp_base_url: str) -> None:
        cookies = await self.login(api)
        url = f"ws://127.0.0.1:{jp_http_port}{jp_base_url}imgcls/api/stream"
        headers = {"Cookie": cookies["login"], "Origin": "https://evil.example"}
        with pytest.raises(HTTPClientError, match="403"):
            await websocket_connect(HTTPRequest(url, headers=headers))
        own = await websocket_connect(HTTPRequest(url, headers={"Cookie": cookies["login"]}))
        own.write_message(json.dumps({"op": "subscribe", "id": 1, "topic": {"kind": "devices"}}))
        assert json.loads(await own.read_message())["id"] == 1


async def test_reading_changes_nothing(
    api: Api, extension: ImgclsLab, store: Store, config: dict[str, Any], home: Path
) -> None:
    await api("POST", "runs", {"config": config})

    def state() -> Any:
        return store.runs.list().model_dump(), store.projects.list(), store.configs.list(), sorted(home.rglob("*.json"))

    before = state()
    for verb, path in routes(extension):
        if verb == "GET":
            await api("GET", path)
    assert state() == before

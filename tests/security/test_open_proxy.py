"""jupyter-server-proxy's open proxy is closed by default, whichever extension loads first; what has a name works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from jupyter_server_proxy.handlers import LocalProxyHandler, RemoteProxyHandler
from serving import Api
from tornado.httpclient import HTTPClientError
from traitlets.config import Config

WAYS = (
    "proxy/{port}", "proxy/{port}/", "proxy/{port}/a?b=c", "proxy/absolute/{port}/a", "proxy/localhost:{port}/",
    "proxy/127.0.0.1:{port}/a", "proxy/absolute/localhost:{port}", "proxy/[::1]:{port}/", "proxy/0:{port}/",
    "proxy/0{port}/", "proxy//{port}/", "/proxy/{port}/", "proxy/absolute/{port}", "x/../proxy/{port}/",
    "proxy/{port}/%2e%2e/", "%70roxy/{port}/", "proxy%2f{port}/", "proxy/{port}:{port}/", "PROXY/{port}/",
)  # fmt: skip


class _Answering(BaseHTTPRequestHandler):
    def _answer(self) -> None:
        self.server.asked.append(self.requestline)  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "6")
        self.end_headers()
        self.wfile.write(b"secret")

    do_GET = do_POST = do_DELETE = do_OPTIONS = _answer  # noqa: N815

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def service() -> Iterator[tuple[int, list[str]]]:
    """Another program on this machine: its port, and what it was asked."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    server.asked = []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port, server.asked  # type: ignore[attr-defined]
    server.shutdown()
    server.server_close()


@pytest.fixture
def jp_server_config(jp_server_config: Config, service: tuple[int, list[str]]) -> Config:
    jp_server_config.ServerApp.jpserver_extensions["jupyter_server_proxy"] = True
    jp_server_config.ServerProxy.servers = {"named": {"command": [], "port": service[0]}}
    return jp_server_config


async def tried(api: Api, port: int) -> dict[str, int]:
    """The status of each way to the port, for GET and POST."""
    found = {}
    for way in WAYS:
        for method, body in (("GET", None), ("POST", "x"), ("DELETE", None), ("OPTIONS", None)):
            reply = await api(method, "/" + way.format(port=port), body)
            assert b"secret" not in reply.body, way
            found[f"{method} {way}"] = reply.status
    return found


async def refused(api: Api, service: tuple[int, list[str]], jp_ws_fetch: Any) -> None:
    port, asked = service
    found = await tried(api, port)
    assert not {way: status for way, status in found.items() if status not in {302, 403, 404, 405}}
    assert {status for way, status in found.items() if way.endswith(" proxy/{port}")} == {403}
    with pytest.raises(HTTPClientError, match="403"):
        await jp_ws_fetch("proxy", str(port), "ws")
    assert asked == []
    reply = await api("GET", f"/proxy/{port}/")
    assert "IMGCLS_OPEN_PROXY=1" in reply.body.decode()
    print(f"{len(found)} requests to another port: none reached it")


async def test_no_other_port_is_reached(api: Api, service: Any, jp_ws_fetch: Any) -> None:
    await refused(api, service, jp_ws_fetch)


async def test_nor_where_the_proxys_extension_has_loaded_before(
    api: Api, service: Any, jp_serverapp: Any, jp_ws_fetch: Any
) -> None:
    """Its routes stand before all of ours but the refusal then: the same as if they were added first."""
    rules = jp_serverapp.web_app.default_router.rules
    own = [rule for rule in rules if _serves_ports(rule)]
    assert len(own) == 1
    rules.remove(own[0])
    rules.insert(1, own[0])
    await refused(api, service, jp_ws_fetch)


def test_the_refusal_covers_every_route_of_that_package(jp_serverapp: Any, jp_base_url: str) -> None:
    rules = jp_serverapp.web_app.default_router.rules
    closed = rules[0].matcher.regex
    (own,) = [rule for rule in rules if _serves_ports(rule)]
    patterns = [rule.matcher.regex for rule in own.target.rules]
    assert len(patterns) == 4
    samples = [jp_base_url + way.format(port=1) for way in WAYS]
    for pattern in patterns:
        served = [path for path in samples if pattern.match(path)]
        assert served
        assert all(closed.match(path) for path in served), pattern


def _serves_ports(rule: Any) -> bool:
    inner = getattr(rule.target, "rules", [])
    return any(each.target in (LocalProxyHandler, RemoteProxyHandler) for each in inner)


async def test_a_server_with_a_name_is_served(api: Api) -> None:
    assert (await api("GET", "/named/")).body == b"secret"


class TestOpened:
    """By the setting, with the proxy's own traits as the user set them."""

    @pytest.fixture
    def jp_server_config(self, jp_server_config: Config) -> Config:
        jp_server_config.Settings.open_proxy = True
        jp_server_config.ServerProxy.host_allowlist = ["127.0.0.1"]
        return jp_server_config

    async def test_it_serves_ports_and_the_hosts_of_the_users_list(self, api: Api, service: Any) -> None:
        port, asked = service
        assert (await api("GET", f"/proxy/{port}/")).body == b"secret"
        assert (await api("GET", f"/proxy/localhost:{port}/")).status == 403
        assert len(asked) == 1

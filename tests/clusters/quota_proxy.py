"""An S3 server with a quota: passes requests on to a real one, and refuses each write while `full` is set."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

ANSWER = b"<?xml version='1.0'?><Error><Code>QuotaExceeded</Code><Message>Quota exceeded</Message></Error>"


class QuotaProxy(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, endpoint: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.target = urlsplit(endpoint).netloc
        self.full = threading.Event()
        self.refused = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: QuotaProxy

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.full.is_set() and self.command in ("PUT", "POST"):
            self.server.refused += 1
            self._answer(403, {"Content-Type": "application/xml"}, ANSWER)
            return
        server = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            server.request(self.command, self.path, body, dict(self.headers))
            reply = server.getresponse()
            kept = {name: value for name, value in reply.getheaders() if name.lower() not in _OF_CONNECTION}
            self._answer(reply.status, kept, reply.read(), reply.getheader("Content-Length"))
        finally:
            server.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass  # noqa: N815 - the names of `http.server`

    def _answer(self, status: int, headers: dict[str, str], body: bytes, length: str | None = None) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", length if self.command == "HEAD" and length else str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Says nothing."""


_OF_CONNECTION = frozenset({"connection", "content-length", "transfer-encoding", "keep-alive"})


@contextmanager
def with_quota(endpoint: str) -> Iterator[QuotaProxy]:
    with QuotaProxy(endpoint) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        yield proxy
        proxy.shutdown()

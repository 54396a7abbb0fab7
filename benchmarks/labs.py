"""What the benchmarks of server and store stand on: a home, a claimed run in it, and real servers over HTTP.

The servers and the stub trainers are those of the tests; nothing is simulated but the training.
"""

from __future__ import annotations

import http.client
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit

from imgcls_lab.events import Started
from imgcls_lab.schemas import RunView, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from tests.executor.stub_lab import StubLab
from tests.server.server_process import Server

API = "/imgcls/api/"
CONFIG = {"root": "/data/digits", "model_flavour": "stub", "device": "cpu"}


def settings(folder: Path, **traits: Any) -> Settings:
    return Settings(home=str(folder / "home"), autostart=False, **traits)


def demo_lab(folder: Path) -> StubLab:
    """A lab for the demo's data, with the poll interval of a user's; its daemon is to be the real one."""
    return StubLab(
        folder / "home",
        poll_interval=Settings().poll_interval,
        datasets_dir=str(folder / "data"),
        lease=30.0,
    )


def claimed(store: Store, name: str | None = None) -> tuple[RunView, int, Path]:
    """A run as if a daemon had just started it: its view, its attempt and its folder."""
    run = store.runs.submit(SubmitRequest(config=CONFIG, name=name))
    with store.database.write() as session:
        claim = attempts.claim(session, "bench-host", "bench", lambda run: [f"cpu:{run.number}"])
    assert claim is not None
    assert claim.run.id == run.id
    folder = store.settings.run_dir(run.id)
    folder.mkdir(mode=0o700, exist_ok=True)
    return run, claim.attempt, folder


def started(steps: int, per_epoch: int = 1000) -> Started:
    return Started(
        total_steps=steps, steps_per_epoch=per_epoch, epochs=max(1, steps // per_epoch), train_images=1000,
        val_images=100, classes=10, device="cpu", precision="fp32", threads=1,
    )  # fmt: skip


class Site(Protocol):
    """Where a Jupyter server answers; the url ends with a slash."""

    @property
    def url(self) -> str: ...
    @property
    def token(self) -> str: ...


class Asker:
    """Questions to a Jupyter server over one connection that is kept and with its cookies, as a browser's."""

    def __init__(self, server: Site) -> None:
        parts = urlsplit(server.url)
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=120)
        self._headers = {"Authorization": f"token {server.token}"}
        self._cookies: dict[str, str] = {}

    def get(self, path: str, **query: Any) -> tuple[float, bytes]:
        """What the extension answers, as `fetch`."""
        return self.fetch(f"{API}{path}" + (f"?{urlencode(query, doseq=True)}" if query else ""))

    def fetch(self, place: str) -> tuple[float, bytes]:
        """Seconds until the whole answer is here, and the answer. Raises RuntimeError for one that is no 200."""
        begin = time.perf_counter()
        cookies = "; ".join(f"{name}={value}" for name, value in self._cookies.items())
        self._connection.request("GET", place, headers={**self._headers, "Cookie": cookies})
        reply = self._connection.getresponse()
        body = reply.read()
        for cookie in reply.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self._cookies[name] = value
        took = time.perf_counter() - begin
        if reply.status != 200:
            raise RuntimeError(f"{place}: {reply.status} {body[:300]!r}")
        return took, body

    def close(self) -> None:
        self._connection.close()


@contextmanager
def serving(folder: Path, home: Path, variables: dict[str, str] | None = None) -> Iterator[tuple[Server, Asker]]:
    """A Jupyter server with the extension on a home, and a connection to it."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Server(folder, home, {"IMGCLS_AUTOSTART": "0", **(variables or {})})
    asker = Asker(server)
    try:
        asker.get("info")
        yield server, asker
    finally:
        asker.close()
        server.close()


def quiet_environment() -> dict[str, str]:
    """This process's environment for children that are to find the package of this checkout."""
    return {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}

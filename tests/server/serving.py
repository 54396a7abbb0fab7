"""Fixtures of a Jupyter server with the extension, for the tests of server and security.

The server runs inside the test's process and event loop, under pytest-jupyter's base URL (not the root).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pytest_jupyter.jupyter_server import *  # noqa: F403
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from traitlets.config import Config

from imgcls_lab.events import EventWriter, Metrics, Started
from imgcls_lab.schemas import RunView, SubmitRequest
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest


@pytest.fixture
def jp_server_config(home: Path) -> Config:
    return Config(
        {
            "ServerApp": {"jpserver_extensions": {"imgcls_lab": True, "jupyter_server_terminals": False}},
            "Settings": {"home": str(home), "autostart": False},
        }
    )


@pytest.fixture
def extension(jp_serverapp: Any) -> ImgclsLab:
    return jp_serverapp.extension_manager.extension_points["imgcls_lab"].app


@pytest.fixture
def settings(extension: ImgclsLab) -> Settings:
    return extension.backend.settings


@pytest.fixture
def store(extension: ImgclsLab) -> Store:
    return extension.backend.store()


@dataclass
class Reply:
    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Api:
    """`await api("GET", "runs", limit=5)` asks the server and never raises for a status; "/x" is outside the API."""

    client: AsyncHTTPClient
    base_url: str
    headers: dict[str, str]

    async def __call__(self, method: str, path: str, body: Any = None, *, headers: Any = None, **query: Any) -> Reply:
        from urllib.parse import urlencode

        place = path[1:] if path.startswith("/") else f"imgcls/api/{path}"
        url = f"{self.base_url}{place}" + (f"?{urlencode(query, doseq=True)}" if query else "")
        data = body if body is None or isinstance(body, bytes | str) else json.dumps(body)
        response: HTTPResponse = await self.client.fetch(
            url,
            method=method,
            body=data,
            headers=self.headers if headers is None else headers,
            raise_error=False,
            allow_nonstandard_methods=True,
            connect_timeout=60,  # in which many requests at once wait for a connection, too
            request_timeout=60,
            follow_redirects=False,
        )
        return Reply(response.code, response.body or b"", response.headers)


@pytest.fixture
def api(jp_serverapp: Any, http_server_client: Any, jp_auth_header: dict[str, str], jp_base_url: str) -> Api:
    return Api(http_server_client, jp_base_url, dict(jp_auth_header))


@pytest.fixture
def images(settings: Settings) -> Path:
    """A data set under DATASETS_DIR: train/ with 6 cats and 4 dogs, val/ with 2 of each."""
    root = Path(settings.datasets_dir) / "pets"
    for split, counts in {"train": {"cat": 6, "dog": 4}, "val": {"cat": 2, "dog": 2}}.items():
        for name, count in counts.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for index in range(count):
                Image.new("RGB", (4, 4), (index, 0, 0)).save(folder / f"{index}.png")
    return root


@pytest.fixture
def model(settings: Settings) -> Path:
    folder = settings.models_dir / "tiny"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "resnet"}')
    return folder


@pytest.fixture
def config(images: Path, model: Path) -> dict[str, Any]:
    return {"root": str(images), "model_flavour": str(model), "load_pretrained": False, "epochs": 3, "batch_size": 4}


class Training:
    """A run as an engine would write it: started, with points that are ingested as the daemon would."""

    def __init__(self, store: Store, run: RunView) -> None:
        self.store, self.run = store, run
        self.folder = store.settings.run_dir(run.id)
        self.folder.mkdir(mode=0o700, exist_ok=True)  # one that waited has it already
        self._writer: EventWriter | None = None
        self.begin(resume_step=0)

    def begin(self, *, resume_step: int) -> None:
        with self.store.database.write() as session:
            claimed = attempts.claim(session, "test-host", "test", lambda run: [f"cpu:{run.number}"])
        assert claimed is not None
        assert claimed.run.id == self.run.id
        self.attempt = claimed.attempt
        self._writer = EventWriter(self.folder, self.attempt)
        self._writer.write(
            Started(
                resume_step=resume_step, total_steps=100, steps_per_epoch=10, epochs=10, train_images=10, val_images=4,
                classes=2, device="cpu", precision="fp32", threads=1,
            )
        )  # fmt: skip
        self.ingest()

    def points(self, *steps: int, **values: float) -> None:
        assert self._writer is not None
        for step in steps:
            self._writer.write(Metrics(step=step, epoch=step / 10, values=values or {"loss/train": 1 / step}))
        self.ingest()

    def write(self, event: Any) -> None:
        assert self._writer is not None
        self._writer.write(event)
        self.ingest()

    def ingest(self) -> None:
        assert ingest(self.store.database, self.store.settings, self.run.id, self.attempt)

    def end(self, event: Any) -> None:
        """Write the last event and do what the daemon does when the process has ended."""
        assert self._writer is not None
        self._writer.write(event)
        self._writer.close()
        self.ingest()
        from imgcls_lab.store.tables import Attempt

        with self.store.database.write() as session:
            row = session.get(Attempt, (self.run.id, self.attempt))
            verdict = attempts.reported(row) if row else None
            assert verdict is not None
            attempts.finish(session, self.run.id, self.attempt, verdict, None)


@pytest.fixture
def train(store: Store, config: dict[str, Any]) -> Callable[..., Training]:
    def begin(**changes: Any) -> Training:
        return Training(store, store.runs.submit(SubmitRequest(config={**config, **changes})))

    return begin


async def ended(api: Api, job: Any) -> Any:
    """A task of the server, when it has ended."""
    async with asyncio.timeout(30):
        while job["state"] in ("waiting", "running"):
            await asyncio.sleep(0.02)
            job = (await api("GET", f"jobs/{job['id']}")).json
    return job

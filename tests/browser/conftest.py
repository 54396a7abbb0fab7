"""A real JupyterLab in a process of its own, and a real Chromium that looks at it.

A test fails on any error in the page's console that it did not announce, and leaves a picture where it failed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, expect, sync_playwright

from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from tests.browser.desk import PATIENCE, STARTS, Desk
from tests.conftest import missing
from tests.waiting import free_port

TOKEN = "browser-tests"
PICTURES = Path(__file__).parents[2] / "test-results"
FLAGS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

# on two cores with a load of 28 the first list of runs took more than 15 s
expect.set_options(timeout=PATIENCE)


class Lab:
    """A JupyterLab server with a home, data sets and settings of its own. Can be killed and started again."""

    answers = "imgcls/api/info"  # what it answers once it is up

    def __init__(self, folder: Path, base_url: str = "/", theme: str | None = None, *, exposed: bool = False) -> None:
        """exposed: the page's scripts can execute commands, by `window.jupyterapp`."""
        self.folder = folder
        self.base_url = base_url
        self.exposed = exposed
        self.work = folder / "work"  # the folder that the page shows
        self.home = folder / "home"
        self.datasets = folder / "datasets"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        for name in ("home", "datasets", "work", "config", "data", "runtime", "workspaces"):
            (folder / name).mkdir()
        self._write_settings("apputils-extension/notification", {"fetchNews": "false", "checkForUpdates": False})
        self._write_settings("docmanager-extension/plugin", {"renameUntitledFileOnSave": False})  # a dialog
        if theme:
            self._write_settings("apputils-extension/themes", {"theme": theme})

    def _write_settings(self, plugin: str, values: dict[str, Any]) -> None:
        path = self.folder / "settings" / "@jupyterlab" / f"{plugin}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

    @property
    def application(self) -> list[str]:
        """The module that serves the page, and its own options."""
        return ["jupyterlab", f"--LabApp.expose_app_in_browser={self.exposed}"]

    @property
    def root(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.base_url}"

    @property
    def url(self) -> str:
        return f"{self.root}lab?token={TOKEN}"

    def start(self) -> None:
        """Start the server and wait until it answers."""
        environment = {
            **os.environ,
            "IMGCLS_HOME": str(self.home),
            "DATASETS_DIR": str(self.datasets),
            "IMGCLS_POLL_INTERVAL": "0.2",
            "JUPYTER_CONFIG_DIR": str(self.folder / "config"),
            "JUPYTER_DATA_DIR": str(self.folder / "data"),
            "JUPYTER_RUNTIME_DIR": str(self.folder / "runtime"),
            "JUPYTERLAB_SETTINGS_DIR": str(self.folder / "settings"),
            "JUPYTERLAB_WORKSPACES_DIR": str(self.folder / "workspaces"),
        }
        command = [
            sys.executable, "-m", *self.application, "--no-browser", "--allow-root",
            f"--port={self.port}", "--port-retries=0",
            f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={self.work}",
            f"--ServerApp.base_url={self.base_url}", "--LanguageServerManager.autodetect=False",
        ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + STARTS
        request = urllib.request.Request(f"{self.root}{self.answers}", headers={"Authorization": f"token {TOKEN}"})
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(request, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.1)
        pytest.fail(f"{self.application[0]} did not come up:\n{(self.folder / 'server.log').read_text()[-4000:]}")

    def kill(self) -> None:
        """kill -9 of the server alone: what it started belongs to others."""
        assert self.process
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def close(self) -> None:
        """Stop the server, its executor and their runs."""
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.kill()
        client.stop(Settings(home=str(self.home), datasets_dir=str(self.datasets)), stop_runs=True)


@pytest.fixture
def no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon starts: runs that a test writes into the database have no folders for it to look at."""
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")


def chromium_path() -> str:
    """The browser that is installed; without one the test is skipped."""
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        missing("Chromium")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=chromium_path(), args=FLAGS)
        yield chromium
        chromium.close()


AnyLab = TypeVar("AnyLab", bound=Lab)


@contextmanager
def started(server: AnyLab) -> Iterator[AnyLab]:
    """A server that runs within the block."""
    try:
        server.start()
        yield server
    finally:
        server.close()


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lab]:
    """A running JupyterLab; `@pytest.mark.parametrize("lab", [{...}], indirect=True)` sets base_url or theme."""
    folder = tmp_path / "lab"
    folder.mkdir()
    with started(Lab(folder, **getattr(request, "param", {}))) as server:
        yield server


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(viewport={"width": 1440, "height": 900})
    yield made
    made.close()


@pytest.fixture
def desk(request: pytest.FixtureRequest, lab: Lab, context: BrowserContext) -> Iterator[Desk]:
    page = context.new_page()
    made = Desk(page, lab)
    failed_before = request.session.testsfailed
    made.open()
    yield made
    if request.session.testsfailed > failed_before or made.errors:
        PICTURES.mkdir(exist_ok=True)
        page.screenshot(path=PICTURES / f"{request.node.name}.png")
    assert made.errors == [], "errors in the page's console"

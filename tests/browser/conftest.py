"""A real JupyterLab in a process of its own, and a real Chromium that looks at it.

A test fails on any error in the page's console that it did not announce, and leaves a picture where it failed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, TypeVar

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect, sync_playwright

from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from tests.conftest import missing
from tests.waiting import free_port

TOKEN = "browser-tests"
AWAY = re.compile(r"ERR_(CONNECTION_\w+|EMPTY_RESPONSE)|WebSocket|Failed to fetch|NetworkError")
PICTURES = Path(__file__).parents[2] / "test-results"
FLAGS = [
    "--no-sandbox", "--headless", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip

expect.set_options(timeout=15_000)


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
        deadline = time.monotonic() + 60
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


class Site(Protocol):
    """Where a page finds JupyterLab: root ends with a slash, url is the page's, work is the folder that it shows."""

    @property
    def root(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def work(self) -> Path: ...


class Desk:
    """What a user does in the page, in the user's words."""

    def __init__(self, page: Page, lab: Site) -> None:
        self.page = page
        self.lab = lab
        self.errors: list[str] = []
        self._allowed: list[re.Pattern[str]] = []
        self._always: list[re.Pattern[str]] = []
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._complain(f"uncaught: {error.message}", f"\n{error.stack}"))

    def _heard(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self._complain(f"{message.text} {message.location.get('url', '')}")

    def _complain(self, text: str, stack: str = "") -> None:
        if not any(pattern.search(text) for pattern in (*self._allowed, *self._always)):
            self.errors.append(text + stack)

    @contextmanager
    def server_down(self) -> Iterator[None]:
        """While the server is away its page may complain of that, and of nothing else."""
        self._allowed = [AWAY]
        try:
            yield
        finally:
            self.page.wait_for_timeout(300)
            self._allowed = []

    @contextmanager
    def refused(self, status: int = 400) -> Iterator[None]:
        """While the server refuses a request, which Chromium writes into the console."""
        self._allowed = [re.compile(rf"status of {status}")]
        try:
            yield
        finally:
            self.page.wait_for_timeout(100)
            self._allowed = []

    def allow(self, pattern: str) -> None:
        """From now on the page may say this in its console: it is no fault of ours."""
        self._always.append(re.compile(pattern))

    def open(self, *, reset: bool = True) -> None:
        self.page.goto(f"{self.lab.url}{'&' if '?' in self.lab.url else '?'}reset" if reset else self.lab.url)
        self.page.wait_for_selector("#jp-main-dock-panel")
        self.page.wait_for_selector("#main.jp-mod-restored, #main", state="attached")

    def open_output(self, mime: str, data: dict[str, Any], also: dict[str, Any] | None = None) -> Locator:
        """A saved notebook with one output of this type, without a kernel; what is shown of it.

        also: the other types of the output.
        """
        output = {"output_type": "display_data", "metadata": {}, "data": {mime: data, **(also or {})}}
        cell = {"cell_type": "code", "execution_count": 1, "metadata": {}, "source": "it", "outputs": [output]}
        notebook = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]}
        (self.lab.work / "live.ipynb").write_text(json.dumps(notebook))
        self.page.goto(f"{self.lab.root}lab/tree/live.ipynb?reset")  # without the tabs of before
        self.page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click()
        return self.page.locator(".imgcls-live")

    def open_panel(self) -> Locator:
        """The panel. A page that is loaded again may show it by itself; Lab takes its splash away once it has."""
        panel = self.page.locator("#imgcls-lab-sidebar")
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=30_000)
        if not panel.is_visible():
            self.page.locator("li[data-id='imgcls-lab-sidebar']").click()
        expect(panel.get_by_role("button", name="+ New run")).to_be_visible()
        return panel

    @property
    def main(self) -> Locator:
        """The tab in front."""
        return self.page.locator(".imgcls-main:visible")

    def run_page(self, state: str | None = None, timeout: float = 60) -> Locator:
        """The run page in front, once it says `state`."""
        page = self.main.locator(".imgcls-run")
        if state:
            expect(page).to_have_attribute("data-run-state", state, timeout=timeout * 1000)
        return page

    def points(self, title: str = "Loss") -> int:
        """How many points a chart in front holds."""
        return int(self.main.locator(f".imgcls-chart[aria-label='{title}']").get_attribute("data-points") or 0)

    def step(self) -> int:
        """The step that the run page in front stands at."""
        return int(self.main.locator(".imgcls-run").get_attribute("data-step") or 0)

    def wait_for_points(self, more_than: int, title: str = "Loss", timeout: float = 60) -> int:
        return self._wait_for_more(lambda: self.points(title), more_than, f"points of “{title}”", timeout)

    def wait_for_step(self, more_than: int, timeout: float = 60) -> int:
        return self._wait_for_more(self.step, more_than, "steps", timeout)

    def _wait_for_more(self, number: Callable[[], int], more_than: int, what: str, timeout: float) -> int:
        deadline = time.monotonic() + timeout
        while (now := number()) <= more_than:
            assert time.monotonic() < deadline, f"the page stands still at {now} {what}"
            self.page.wait_for_timeout(150)
        return now


@pytest.fixture
def no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """No daemon starts: runs that a test writes into the database have no folders for it to look at."""
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        missing("Chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=FLAGS)
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

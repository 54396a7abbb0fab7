"""What a user does in a page of JupyterLab, in the user's words; each wait is for what is there in the end.

`BROWSER_SLOWNESS=6` makes the page's thread six times as slow and its network late, as a loaded machine does: a test
that passes only where the page is quick fails then.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response, expect

AWAY = re.compile(r"ERR_(CONNECTION_\w+|EMPTY_RESPONSE)|WebSocket|Failed to fetch|NetworkError")
PATIENCE = 60_000  # ms for a click or a load of the page
STARTS = 180.0  # s for what a process has to start for: on two cores with a load of 28 a kernel alone took a minute
SLOWNESS = int(os.environ.get("BROWSER_SLOWNESS", "1"))
LATENCY = 60  # ms that a request takes longer, for each time that the page is slower
TWO_FRAMES = "() => new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done())))"


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
        self._asked: set[Request] = set()  # what the page asks the server and has no answer to yet
        page.set_default_timeout(PATIENCE)
        page.on("request", self._ask)
        page.on("requestfinished", self._answered)
        page.on("requestfailed", self._answered)
        page.on("response", self._refused)
        page.on("domcontentloaded", lambda _: self._asked.clear())  # nobody answers the page of before
        if SLOWNESS > 1:
            slow_down(page)
        page.on("console", self._heard)
        page.on("pageerror", lambda error: self._complain(f"uncaught: {error.message}", f"\n{error.stack}"))

    def _ask(self, request: Request) -> None:
        root = self.lab.root
        if request.url.startswith((f"{root}imgcls/api/", f"{root}api/")):
            self._asked.add(request)

    def _refused(self, response: Response) -> None:
        """Of a refusal a page need not read the body, and Chromium then never calls the request finished."""
        if not response.ok:
            self._asked.discard(response.request)

    def _answered(self, request: Request) -> None:
        self._asked.discard(request)

    def until(
        self, condition: Callable[[], object], seconds: float = 60, why: Callable[[], str] = lambda: "it did not happen"
    ) -> None:
        """Look at the page until the condition holds, and leave it its time in between; AssertionError with `why`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, why()
            self.page.wait_for_timeout(150)  # between two looks

    def quiet(self) -> None:
        """Once the page waits for no answer of the server, and has drawn what came."""

        def drawn() -> bool:
            self.page.evaluate(TWO_FRAMES)
            return not self._asked

        self.until(drawn, 60, lambda: f"the page still waits for {[request.url for request in self._asked]}")

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
            self.quiet()
            self._allowed = []

    @contextmanager
    def refused(self, status: int = 400) -> Iterator[None]:
        """While the server refuses a request, which Chromium writes into the console."""
        self._allowed = [re.compile(rf"status of {status}")]
        try:
            yield
        finally:
            self.quiet()
            self._allowed = []

    def allow(self, pattern: str) -> None:
        """From now on the page may say this in its console: it is no fault of ours."""
        self._always.append(re.compile(pattern))

    def open(self, *, reset: bool = True) -> None:
        self.page.goto(f"{self.lab.url}{'&' if '?' in self.lab.url else '?'}reset" if reset else self.lab.url)
        self.page.wait_for_selector("#jp-main-dock-panel")
        # before it is gone, JupyterLab hears no keys and may not know our commands
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0, timeout=30_000)

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

    def by_palette(self, typed: str, command: str) -> None:
        """Execute the command that the palette has in front for what is typed, once it has looked for it."""
        expect(self.page.locator("#jupyterlab-splash")).to_have_count(0)
        self.page.keyboard.press("Control+Shift+C")
        palette = self.page.locator("#modal-command-palette")
        palette.locator("input").fill(typed)
        expect(palette.locator(".lm-CommandPalette-item.lm-mod-active")).to_contain_text(command)
        palette.locator("input").press("Enter")

    def choose_theme(self, name: str) -> None:
        """By Lab's menu."""
        self.page.get_by_role("menuitem", name="Settings", exact=True).click()
        self.page.get_by_text("Theme", exact=True).hover()
        self.page.get_by_role("menuitem", name=name, exact=True).click()
        expect(self.page.locator(f"body[data-jp-theme-name='{name}']")).to_have_count(1)
        self.quiet()

    @property
    def main(self) -> Locator:
        """The tab in front."""
        return self.page.locator(".imgcls-main:visible")

    def run_page(self, state: str | None = None, timeout: float = STARTS, run: str | None = None) -> Locator:
        """The run page in front, once it says `state`. run: the one of this id, since another was in front before."""
        page = self.main.locator(".imgcls-run")
        if run:
            expect(page).to_have_attribute("data-run", run)
        if state:
            expect(page).to_have_attribute("data-run-state", state, timeout=timeout * 1000)
        return page

    def points(self, title: str = "Loss") -> int:
        """How many points a chart in front holds."""
        return int(self.main.locator(f".imgcls-chart[aria-label='{title}']").get_attribute("data-points") or 0)

    def step(self) -> int:
        """The step that the run page in front stands at."""
        return int(self.main.locator(".imgcls-run").get_attribute("data-step") or 0)

    def wait_for_points(self, more_than: int, title: str = "Loss", timeout: float = STARTS) -> int:
        return self._wait_for_more(lambda: self.points(title), more_than, f"points of “{title}”", timeout)

    def wait_for_step(self, more_than: int, timeout: float = STARTS) -> int:
        return self._wait_for_more(self.step, more_than, "steps", timeout)

    def _wait_for_more(self, number: Callable[[], int], more_than: int, what: str, timeout: float) -> int:
        self.until(lambda: number() > more_than, timeout, lambda: f"the page stands still at {number()} {what}")
        return number()


def slow_down(page: Page) -> None:
    """As on a machine whose processors are busy with other things."""
    session = page.context.new_cdp_session(page)
    session.send("Emulation.setCPUThrottlingRate", {"rate": SLOWNESS})
    late = {"offline": False, "latency": LATENCY * SLOWNESS, "downloadThroughput": -1, "uploadThroughput": -1}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", late)

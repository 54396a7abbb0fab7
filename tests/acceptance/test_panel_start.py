"""What the panel adds to the start of JupyterLab: the same page with the extension and without it, in turn."""

from __future__ import annotations

import json
import re
from statistics import median
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Route

from tests.browser.conftest import Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600)]

ROUNDS = 7
MOST = 400  # ms
OURS = "imgcls-lab"
SETTLES = 1500  # ms after the start in which a plugin may still work

# `window.started` is the time at which Lab says that it has started
WATCH = """
let app;
Object.defineProperty(window, 'jupyterapp', {
  configurable: true,
  get: () => app,
  set: made => { app = made; made.restored.then(() => { window.started = performance.now(); }); },
});
"""
CONFIG = re.compile(r'(<script id="jupyter-config-data" type="application/json">)(.*?)(</script>)', re.DOTALL)


class Start(NamedTuple):
    """Both in ms. started: until Lab says so; work: of the page's thread on a CPU, until a while after."""

    started: float
    work: float
    ours: int  # files of the panel that the page asked for


def without_panel(route: Route) -> None:
    """The page as a JupyterLab without the panel gives it."""
    reply = route.fetch()

    def cut(found: re.Match[str]) -> str:
        config = json.loads(found[2])
        kept = [each for each in config["federated_extensions"] if each["name"] != OURS]
        assert len(kept) == len(config["federated_extensions"]) - 1
        return found[1] + json.dumps({**config, "federated_extensions": kept}) + found[3]

    page, changed = CONFIG.subn(cut, reply.text())
    assert changed == 1
    route.fulfill(response=reply, body=page)


def untouched(route: Route) -> None:
    """The page as it is, by the same way."""
    reply = route.fetch()
    route.fulfill(response=reply, body=reply.text())


def start(chromium: Browser, lab: Lab, *, panel: bool) -> Start:
    """Lab in a browser that has nothing of it yet."""
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    try:
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.add_init_script(WATCH)
        page.route(re.compile(r"/lab\?"), untouched if panel else without_panel)
        session = context.new_cdp_session(page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        page.goto(f"{lab.url}&reset")
        page.wait_for_function("() => window.started", timeout=60_000)
        page.wait_for_timeout(SETTLES)  # what the page does in this time is counted
        metrics = session.send("Performance.getMetrics")["metrics"]
        work = next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration") * 1000
        ours = sum(f"/extensions/{OURS}/" in url for url in asked)
        return Start(page.evaluate("() => window.started"), work, ours)
    finally:
        context.close()


@pytest.mark.parametrize("lab", [{"exposed": True}], indirect=True)
def test_the_panel_adds_little_to_the_start(lab: Lab, browser: Browser) -> None:
    for panel in (True, False):
        start(browser, lab, panel=panel)  # the server's caches are warm
    pairs = [(start(browser, lab, panel=True), start(browser, lab, panel=False)) for _ in range(ROUNDS)]
    assert all(plain.ours == 0 and with_panel.ours > 0 for with_panel, plain in pairs)
    adds = median(with_panel.started - plain.started for with_panel, plain in pairs)
    work = median(with_panel.work - plain.work for with_panel, plain in pairs)
    plain = median(plain.started for _, plain in pairs)
    print(f"JupyterLab starts in {plain:.0f} ms; the panel adds {adds:.0f} ms (CPU {work:.0f} ms), wanted {MOST}")
    assert adds <= MOST
    assert work <= MOST

"""A long curve in the browser: from the click on a run of a million points to the first paint of its curve.

A real JupyterLab and a real Chromium. The run's page has been opened before with a short run, so that what is timed
is the question to the server and the drawing, not the loading of JupyterLab.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.frame import Line, reported
from benchmarks.series import POINTS, long_run
from benchmarks.timing import percentile
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import FLAGS, Lab
from tests.browser.desk import Desk

# from a click until the chart has points and the frame after that is on its way: milliseconds
CLICK = """
row => new Promise(done => {
  const begin = performance.now();
  const drawn = () => {
    const page = [...document.querySelectorAll('.imgcls-main')].find(main => main.offsetParent !== null);
    const chart = page?.querySelector(`.imgcls-run[data-run="${row.dataset.run}"] .imgcls-chart[aria-label=Loss]`);
    if (Number(chart?.dataset.points) > 0 && chart.querySelector('canvas'))
      requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
    else requestAnimationFrame(drawn);
  };
  row.click();
  drawn();
})
"""


def measure(folder: Path, quick: bool) -> list[Line]:
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if chromium is None:
        return [Line("first paint", 500, None, "ms", note="no Chromium here; `make system` installs it")]
    lab = Lab(folder)
    with Store.open(Settings(home=str(lab.home)), migrate=True) as store:
        ids = [long_run(store, POINTS, f"long {number}") for number in range(1 if quick else 5)]
        long_run(store, 100, "short")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        try:
            lab.start()
            desk = Desk(browser.new_page(viewport={"width": 1440, "height": 900}), lab)
            desk.open()
            panel = desk.open_panel()
            rows = {run_id: panel.locator(f"[data-run='{run_id}']").first for run_id in ids}
            panel.locator("[data-run]", has_text="short").first.evaluate(CLICK)
            times = [float(row.evaluate(CLICK)) for row in rows.values()]
            points = desk.points()
        finally:
            browser.close()
            lab.close()
    return [
        Line(f"from the click to the curve of {POINTS:,} points", 500, percentile(times, 0.5), "ms"),
        reported("the slowest", max(times), "ms"),
        reported("points of them that it draws", points, ""),
    ]

"""How soon 50 and 100 runs are compared in the page, each with a line style of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, expect

from imgcls_lab.events import RunState
from imgcls_lab.run_layout import MANIFEST, events_name
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.verdict import Verdict
from tests.browser.conftest import Desk, Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

STEPS, EPOCHS = 1000, 20  # of each run
OPENS_WITHIN = {50: 2000, 100: 3000}  # ms, by the number of runs

# ms from the command until both charts have the points of all runs and the frame after that is on its way
OPEN = """async ids => {
  const begun = performance.now();
  const found = await new Promise((done, fail) => {
    const seen = () => {
      const page = [...document.querySelectorAll('[data-compared]')].find(each => each.offsetParent);
      const charts = [...(page?.querySelectorAll('.imgcls-chart') ?? [])];
      charts.at(-1)?.scrollIntoView({ block: 'center' });  // what differs stands above, and charts are drawn in sight
      const full = charts.length >= 2 && charts.every(
        chart => Number(chart.dataset.points) >= ids.length * 10 && chart.querySelector('canvas'));
      if (full && Number(page.dataset.compared) === ids.length)
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - begun)));
      else if (performance.now() - begun > 60000)
        fail(new Error(`compares ${page?.dataset.compared}, points ${charts.map(chart => chart.dataset.points)}`));
      else requestAnimationFrame(seen);
    };
    window.jupyterapp.commands.execute('imgcls-lab:compare-runs', { ids }).catch(fail);
    seen();
  });
  return found;
}"""


def write_run(store: Store, number: int) -> str:
    """A run that has ended, with curves of training and validation and with a manifest."""
    config = {"root": "/data/digits", "model_flavour": "tiny", "lr": 10 ** -(2 + number % 20 / 10), "seed": number % 5}
    config |= {"optimizer": ("sgd", "adamw")[number % 2], "batch_size": 32 * (1 + number % 3), "epochs": EPOCHS}
    run_id = store.runs.submit(SubmitRequest(config=config, name=f"run {number:03d}")).id
    with store.database.write() as session:
        claimed = attempts.claim(session, "host", "host-1", lambda _: [f"cpu:{number}"])
    assert claimed is not None
    folder = store.settings.run_dir(run_id)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    plan = {"resume_step": 0, "total_steps": STEPS, "steps_per_epoch": STEPS // EPOCHS, "epochs": EPOCHS}
    data = {"train_images": 1600, "val_images": 400, "classes": 2, "device": "cpu", "precision": "fp32", "threads": 1}
    lines = [_event(1, "started", **plan, **data)]
    for step in range(1, STEPS + 1):
        values = {"loss/train": 2 / math.sqrt(step) + 0.1 * math.sin(step * (number + 1)), "lr": 1e-3}
        lines.append(_event(len(lines) + 1, "metrics", step=step, epoch=step * EPOCHS / STEPS, values=values))
        if step % (STEPS // EPOCHS) == 0:
            epoch = step * EPOCHS // STEPS
            values = {"loss/val": 2 / epoch + number / 1000, "metric/accuracy": 1 - 1 / (epoch + 1) - number / 1000}
            lines.append(_event(len(lines) + 1, "epoch", step=step, epoch=epoch, seconds=1, values=values, best=True))
    (folder / events_name(claimed.attempt)).write_text("\n".join(lines) + "\n")
    packages = {f"package-{n}": "1.0" for n in range(300)} | {"torch": f"2.{number % 2}"}
    facts = {"packages": packages, "hardware": {"gpu": "H200"}, "git": {"commit": "a" * 40, "diff": ""}}
    facts |= {"data": {"fingerprint": "f" * 64, "train_images": 1600, "val_images": 400, "test_images": 0}}
    (folder / MANIFEST).write_text(json.dumps(facts))
    assert ingest(store.database, store.settings, run_id, claimed.attempt)
    with store.database.write() as session:
        attempts.finish(session, run_id, claimed.attempt, Verdict(RunState.SUCCEEDED), None)
    return run_id


def _event(seq: int, kind: str, **fields: object) -> str:
    return json.dumps({"v": 1, "attempt": 1, "seq": seq, "t": 1_700_000_000 + seq, "type": kind, **fields})


def close_tabs(page: Page) -> None:
    page.evaluate("() => window.jupyterapp.commands.execute('application:close-all')")
    expect(page.locator("[data-compared]")).to_have_count(0)


@pytest.fixture
def lab(tmp_path: Path) -> Iterator[Lab]:
    """A JupyterLab that is not started: no executor of its own takes the runs before they are written."""
    folder = tmp_path / "lab"
    folder.mkdir()
    server = Lab(folder, exposed=True)
    yield server
    server.close()


def test_many_runs_are_compared_at_once(lab: Lab, context: BrowserContext) -> None:
    with Store.open(Settings(home=str(lab.home), datasets_dir=str(lab.datasets)), migrate=True) as store:
        ids = [write_run(store, number) for number in range(100)]
    lab.start()
    desk = Desk(context.new_page(), lab)
    desk.open()
    desk.page.evaluate(OPEN, ids[:3])  # what the page needs is loaded
    close_tabs(desk.page)
    took = {}
    for count, wanted in OPENS_WITHIN.items():
        times = []
        for _ in range(3):
            times.append(desk.page.evaluate(OPEN, ids[:count]))
            if len(times) < 3:
                close_tabs(desk.page)
        took[count] = min(times)
        listed = [round(time) for time in times]
        print(f"{count} runs are compared in {took[count]:.0f} ms (of {listed}), wanted {wanted}")
        legend = desk.main.get_by_role("group", name="Legend of all charts").get_by_role("listitem")
        expect(legend).to_have_count(count)
        styles = legend.locator("line").evaluate_all(
            "lines => lines.map(line => line.style.stroke + line.getAttribute('stroke-dasharray'))"
        )
        assert len(set(styles)) == count
        close_tabs(desk.page)
    assert all(took[count] <= OPENS_WITHIN[count] for count in took)
    assert desk.errors == []

"""What a live run costs the page that shows it: 20 events a second, in a real Chromium."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import pytest
from playwright.sync_api import BrowserContext, CDPSession

from benchmarks.labs import claimed, started
from imgcls_lab.run_layout import events_name
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.ingest import ingest
from tests.browser.conftest import Desk, Lab

pytestmark = [pytest.mark.browser, pytest.mark.slow]

EVENTS = 20  # a second
BEFORE = 2000  # steps that are there when the page is opened
SECONDS = 12
MOST = 0.1  # of a core


class Trainer:
    """Writes the events of a run that is under way, as its process would, and takes them into the database."""

    def __init__(self, store: Store) -> None:
        self.store = store
        run, self.attempt, folder = claimed(store, "live")
        self.id, self.path, self.step = run.id, folder / events_name(self.attempt), 0
        head = started(1_000_000).model_copy(update={"attempt": self.attempt, "seq": 1, "t": time.time()})
        self.path.write_text(head.model_dump_json() + "\n")

    def write(self, steps: int) -> None:
        with self.path.open("a") as file:
            for _ in range(steps):
                self._event(file)
        assert ingest(self.store.database, self.store.settings, self.id, self.attempt)

    def _event(self, file: TextIO) -> None:
        self.step += 1
        values = {"loss/train": 2 / self.step**0.5, "lr": 1e-3, "grad_norm": 1.0 + self.step % 7 / 10}
        values["throughput/images_per_second"] = 400.0 + self.step % 11
        event = {"v": 1, "attempt": self.attempt, "seq": self.step + 1, "t": time.time(), "type": "metrics"}
        file.write(json.dumps({**event, "step": self.step, "epoch": self.step / 1000, "values": values}) + "\n")

    @contextmanager
    def training(self) -> Iterator[None]:
        """Meanwhile EVENTS steps a second are written."""
        stop = threading.Event()

        def train() -> None:
            while not stop.wait(1 / EVENTS):
                self.write(1)

        thread = threading.Thread(target=train)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def busy(session: CDPSession) -> float:
    """Seconds that the page's thread has been on a CPU."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(metric["value"] for metric in metrics if metric["name"] == "TaskDuration"))


def share(desk: Desk, session: CDPSession) -> float:
    """The part of a core that the page's thread takes over some seconds."""
    before, begun = busy(session), time.monotonic()
    desk.page.wait_for_timeout(SECONDS * 1000)  # what the page costs in this time is measured
    return (busy(session) - before) / (time.monotonic() - begun)


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A JupyterLab that is not started, and will have no executor: the run is the test's own."""
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    folder = tmp_path / "lab"
    folder.mkdir()
    server = Lab(folder)
    yield server
    server.close()


def test_a_live_run_leaves_the_page_its_time(lab: Lab, context: BrowserContext) -> None:
    with Store.open(Settings(home=str(lab.home), datasets_dir=str(lab.datasets)), migrate=True) as store:
        trainer = Trainer(store)
        trainer.write(BEFORE)
        lab.start()
        desk = Desk(context.new_page(), lab)
        desk.open()
        desk.open_panel().locator(f"[data-run='{trainer.id}']").first.click()
        seen = desk.wait_for_points(100)
        session = context.new_cdp_session(desk.page)
        session.send("Performance.enable", {"timeDomain": "threadTicks"})
        still = share(desk, session)
        first = trainer.step
        with trainer.training():
            desk.wait_for_points(seen)
            live = share(desk, session)
        written = trainer.step - first
        print(
            f"{written} events in {SECONDS} s: the page's thread is busy {live:.1%} of the time, {still:.1%} without; "
            f"wanted {MOST:.0%}"
        )
        assert written > SECONDS * EVENTS / 2, "the test itself was too slow"
        assert desk.points() > seen + SECONDS * EVENTS / 4
        assert live <= MOST
        assert desk.errors == []

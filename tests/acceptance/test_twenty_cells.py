"""Twenty live cells in one notebook, four of them of runs that train: the page stays fluent, and the file small."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import nbformat
import pytest
from browser.conftest import PICTURES, Desk
from browser.notebook_cells import notebook_file, save
from browser.scrolling import scrolled
from playwright.sync_api import expect

from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api.display import RUN_TYPE, LiveCell
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.api.training import make_run_folder
from imgcls_lab.events import EventWriter, Finished, Metrics, Started
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings

CELLS, RUNNING = 20, 4
STEPS, EPOCHS = 2000, 20
FILE = 600_000  # bytes
FRAMES = 50  # a second
COST = 1000 / FRAMES  # ms of the page's thread for a frame, whatever else the machine does


def begin(folder: Path, events: EventWriter) -> None:
    events.write(
        Started(
            total_steps=STEPS, steps_per_epoch=STEPS // EPOCHS, epochs=EPOCHS, train_images=100, val_images=20,
            classes=2, device="cpu", precision="fp32", threads=1,
        )
    )  # fmt: skip


def write_step(events: EventWriter, step: int) -> None:
    epoch = step * EPOCHS / STEPS
    values = {"loss/train": 2 * math.exp(-epoch / 5) + 0.2 * math.sin(step)}
    if step % (STEPS // EPOCHS) == 0:
        values |= {"loss/val": 2 * math.exp(-epoch / 5), "metric/accuracy": 1 - 0.8 * math.exp(-epoch / 5)}
    events.write(Metrics(step=step, epoch=epoch, values=values))


@pytest.fixture
def folders(lab: object, tmp_path: Path) -> Iterator[list[Path]]:
    """Runs of this process: sixteen have finished, four write a step every tenth of a second."""
    settings = Settings(home=str(tmp_path / "lab" / "home"))
    config = TrainConfig(root="/data/flowers", model_flavour="/models/small", epochs=EPOCHS)
    made = [make_run_folder(config, settings, name=f"run {number}", project=None) for number in range(CELLS)]
    for folder in made[RUNNING:]:
        with EventWriter(folder, 1) as events:
            begin(folder, events)
            for step in range(1, STEPS + 1):
                write_step(events, step)
            events.write(Finished(step=STEPS, best_epoch=EPOCHS, values={}))
        (folder / run_layout.OWNER).unlink()
    over = Event()

    def train(folder: Path) -> None:
        with EventWriter(folder, 1) as events:
            begin(folder, events)
            for step in range(1, STEPS):
                if over.wait(0.1):
                    return
                write_step(events, step)

    threads = [Thread(target=train, args=(folder,), daemon=True) for folder in made[:RUNNING]]
    for thread in threads:
        thread.start()
    client.start(settings)
    yield made
    over.set()
    for thread in threads:
        thread.join()
    client.stop(settings, stop_runs=True)


@pytest.mark.slow
@pytest.mark.browser
def test_a_page_with_twenty_cells_is_fluent_and_its_file_small(desk: Desk, folders: list[Path]) -> None:
    cells = []
    for folder in folders:
        bundle = LiveCell(RunFolder(folder), served=True).bundle()
        bundle[RUN_TYPE]["home"] = str(desk.lab.work.parent / "home")
        cell = nbformat.v4.new_code_cell("run")
        cell.outputs = [nbformat.v4.new_output("display_data", data=bundle)]
        cells.append(cell)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), notebook_file(desk))
    known = f"{desk.lab.root}imgcls/api/runs?token=browser-tests"
    deadline = time.monotonic() + 120
    while desk.page.request.get(known).json()["total"] < CELLS:
        assert time.monotonic() < deadline, "the executor does not find the runs"
        desk.page.wait_for_timeout(500)  # between two looks

    desk.page.goto(f"{desk.lab.root}lab/tree/live.ipynb?reset")
    desk.page.locator(".jp-Dialog").get_by_role("button", name="No Kernel").click()
    expect(desk.page.locator(".imgcls-live [data-state=running]").first).to_be_visible(timeout=90_000)
    down = scrolled(desk.page, ".jp-WindowedPanel-outer", 40)
    desk.page.screenshot(path=PICTURES / "twenty-cells.png")
    up = scrolled(desk.page, ".jp-WindowedPanel-outer", -40)
    for way, seen in (("down", down), ("up", up)):
        print(f"{way}: {seen.rate:.0f} frames/s (above {FRAMES}), {seen.cost:.1f} ms of CPU a frame (below {COST:.0f})")
        assert seen.cost < COST
    save(desk)
    size = notebook_file(desk).stat().st_size
    print(f"the file of {CELLS} cells: {size:,} bytes (below {FILE:,})")
    assert size < FILE

"""A recording of what a user does in the panel, executed from top to bottom in an empty home, does it again.

The same registries, the same runs, and the same bits in each of their best models.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from browser.conftest import PICTURES, Desk, Lab
from browser.notebook_cells import save
from playwright.sync_api import expect

from imgcls_lab import run_layout
from imgcls_lab.events import ACTIVE
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.test_panel import launch, start_demo
from tests.registry_facts import registry
from tests.waiting import until

WITHIN = 600  # seconds of the replay, on a machine where nothing is left for it


def look(desk: Desk, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"recording-{name}.png")


def written(desk: Desk, cells: int) -> None:
    """The panel says that the notebook has so many cells."""
    said = "1 cell" if cells == 1 else f"{cells} cells"
    expect(desk.page.get_by_role("status", name="Recording")).to_contain_text(f"· {said}", timeout=60_000)


def stopped_and_resumed(desk: Desk) -> None:
    desk.run_page("running", timeout=120)
    desk.wait_for_step(60)  # in its third epoch
    desk.main.get_by_role("button", name="Stop", exact=True).click()
    desk.run_page("stopped", timeout=120)
    written(desk, 3)
    desk.main.get_by_role("button", name="Resume", exact=True).click()
    desk.run_page("succeeded", timeout=300)
    written(desk, 4)


def tagged_and_extended(desk: Desk) -> None:
    desk.main.get_by_role("button", name="Add a tag").click()
    box = desk.main.get_by_role("textbox", name="Tags of first")
    box.fill("baseline, slow")
    box.press("Enter")
    expect(desk.main.get_by_role("button", name="Tags: baseline, slow")).to_be_visible()
    written(desk, 5)
    desk.main.get_by_role("tab", name="Checkpoints").click()
    desk.main.get_by_role("button", name="Make a model").first.click()
    expect(desk.main.get_by_text("Registered as the model")).to_be_visible()
    written(desk, 6)
    desk.main.get_by_role("button", name="Fork…", exact=True).first.click()
    form = desk.main.get_by_role("group", name="Fork this run")
    form.get_by_label("Epochs", exact=True).fill("6")
    form.get_by_role("button", name="Extend to 6 epochs").click()
    expect(desk.main.get_by_text("forked from")).to_be_visible(timeout=60_000)
    desk.run_page("succeeded", timeout=300)
    written(desk, 7)


def project_and_config(desk: Desk) -> None:
    desk.page.locator("#imgcls-lab-sidebar footer").get_by_role("button", name="Registries").click()
    desk.main.get_by_role("tab", name="Projects").click()
    desk.main.get_by_role("button", name="Add a project…").click()
    desk.main.get_by_role("textbox", name="Name").fill("it's a project")
    desk.main.get_by_role("button", name="Add", exact=True).click()
    expect(desk.main.get_by_role("button", name="it's a project", exact=True)).to_be_visible()
    written(desk, 8)


def launched_and_deleted(desk: Desk) -> None:
    desk.open_panel().get_by_role("button", name="+ New run").click()
    expect(desk.main.get_by_role("heading", name="New run")).to_be_visible()
    launch(desk, **{"run-name": "second", "epochs": "1"})
    desk.run_page("succeeded", timeout=300)
    written(desk, 9)
    desk.main.get_by_role("button", name="Delete…", exact=True).click()
    desk.main.get_by_role("alertdialog").get_by_role("button", name="Delete", exact=True).click()
    written(desk, 10)


def facts(settings: Settings) -> tuple[dict[str, Any], dict[str, str]]:
    """What a home has, and the SHA-256 of the best model of each of its runs."""
    with Store.open(settings) as store:
        bits = {}
        for run in store.runs.list(limit=100).items:
            file = settings.run_dir(run.id) / run_layout.CHECKPOINTS / run_layout.BEST / "model.safetensors"
            if file.is_file():
                bits[run.name] = hashlib.sha256(file.read_bytes()).hexdigest()
        found = registry(store)
    for model in found["models"]:  # of a checkpoint: its path holds the id of the run
        model[1:2] = [Path(model[1]).name]
    return found, bits


def wait_for_all(settings: Settings) -> None:
    """Until no run waits or trains."""
    with Store.open(settings) as store:
        until(lambda: store.runs.list(states=[*ACTIVE]).total == 0, WITHIN, lambda: "the last runs have not ended")


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.timeout(1800)
def test_ten_actions_are_done_again_by_the_notebook(desk: Desk, lab: Lab) -> None:
    panel = desk.open_panel()
    panel.get_by_role("button", name="Record", exact=True).click()
    expect(desk.page.get_by_role("status", name="Recording")).to_contain_text("Untitled.ipynb", timeout=90_000)
    expect(desk.page.locator("#jp-main-statusbar")).to_contain_text("Recording")
    desk.open_panel()
    start_demo(desk)
    written(desk, 1)
    look(desk, "panel")
    launch(desk, **{"run-name": "first", "epochs": "5"})
    written(desk, 2)
    stopped_and_resumed(desk)
    tagged_and_extended(desk)
    project_and_config(desk)
    launched_and_deleted(desk)
    panel.get_by_role("button", name="Stop", exact=True).click()
    expect(desk.page.get_by_role("status", name="Recording")).to_have_count(0)
    desk.page.locator(".lm-TabBar-tab", has_text="Untitled.ipynb").click()
    expect(desk.page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible()
    look(desk, "notebook")
    file = lab.work / "Untitled.ipynb"
    save(desk, file)
    desk.page.goto("about:blank")
    lab.close()

    settings = Settings(home=str(lab.home), datasets_dir=str(lab.datasets))
    recorded, bits = facts(settings)
    lab.home.rename(lab.folder / "recorded")
    cells = [cell.source for cell in nbformat.read(file, as_version=4).cells]
    print("\n\n".join(cells))
    environment = {**os.environ, "IMGCLS_HOME": str(lab.home), "DATASETS_DIR": str(lab.datasets)}
    command = [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output", "replayed", file.name]
    try:
        done = subprocess.run(
            command, cwd=lab.work, env=environment, capture_output=True, text=True, check=False, timeout=WITHIN
        )
        assert done.returncode == 0, done.stderr[-4000:]
        wait_for_all(settings)
        replayed, again = facts(settings)
    finally:
        client.stop(settings, stop_runs=True)
    print(f"{len(cells)} cells; models: {bits}")
    assert replayed == recorded
    assert again == bits
    assert len(bits) == 2

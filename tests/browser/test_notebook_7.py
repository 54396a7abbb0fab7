"""The panel in Notebook 7: tabs beside the list of files, a side panel beside a notebook."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, expect

from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import PICTURES, TOKEN, Desk, Lab, started
from tests.browser.test_panel import launch

pytest.importorskip("notebook")
pytestmark = [pytest.mark.browser]


class Notebook(Lab):
    """A server of Notebook 7."""

    @property
    def application(self) -> list[str]:
        return ["notebook"]

    @property
    def url(self) -> str:
        return f"{self.root}tree?token={TOKEN}"


@pytest.fixture
def notebook(tmp_path: Path) -> Iterator[Notebook]:
    folder = tmp_path / "notebook"
    folder.mkdir()
    with started(Notebook(folder)) as server:
        yield server


@pytest.fixture
def desk(notebook: Notebook, context: BrowserContext) -> Iterator[Desk]:
    made = Desk(context.new_page(), notebook)
    # the shortcuts of Notebook 7 itself ask for settings before they are there, with no extension at all, too
    made.allow(r"uncaught: Cannot read properties of undefined \(reading 'schema'\)")
    PICTURES.mkdir(exist_ok=True)
    yield made
    assert made.errors == [], "errors in the page's console"


def open_page(desk: Desk, path: str) -> None:
    desk.page.goto(f"{desk.lab.root}{path}?token={TOKEN}")
    expect(desk.page.locator(".lm-MenuBar-itemLabel").get_by_text("View", exact=True)).to_be_visible()


def by_menu(desk: Desk, side: str, name: str) -> None:
    """The menu that Notebook 7 has for what stands at its sides."""
    desk.page.locator(".lm-MenuBar-itemLabel").get_by_text("View", exact=True).click()
    desk.page.locator(".lm-Menu-itemLabel").get_by_text(f"{side} Sidebar").hover()
    desk.page.locator(".lm-Menu-itemLabel").get_by_text(f"Show {name}").click()


def write_notebook(folder: Path, name: str, outputs: list[object]) -> None:
    cell = {
        "id": "one",
        "cell_type": "code",
        "execution_count": None,
        "metadata": {},
        "source": "1",
        "outputs": outputs,
    }
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    notebook = {"nbformat": 4, "nbformat_minor": 5, "metadata": kernel, "cells": [cell]}
    (folder / name).write_text(json.dumps(notebook))


def test_a_run_is_launched_and_watched_beside_the_list_of_files(desk: Desk) -> None:
    open_page(desk, "tree")
    desk.by_palette("Show Image Lab", "Image Lab")
    panel = desk.page.locator("#imgcls-lab-sidebar")
    panel.get_by_role("button", name="Try the demo").click()
    tabs = desk.page.locator("#main li.lm-TabBar-tab")
    expect(tabs).to_contain_text(["Files", "Running", "New run"])
    expect(desk.main.locator("select[name=root] option:checked")).to_contain_text("digits")
    desk.page.screenshot(path=PICTURES / "notebook-new.png")
    name = "beside the files"
    run = launch(desk, **{"run-name": name, "epochs": "2"})
    expect(desk.main.get_by_role("heading", name=name).first).to_be_visible()
    desk.wait_for_points(0)
    desk.run_page("succeeded")
    desk.page.screenshot(path=PICTURES / "notebook-run.png")
    expect(tabs).to_contain_text(["Files", "Running", name])  # the form has closed itself
    expect(panel.locator(f"[data-run='{run}']").first).to_have_attribute("aria-current", "true")

    desk.by_palette("All Training Runs", "All Training Runs")
    expect(desk.main.get_by_role("treegrid", name="Runs")).to_contain_text(name)
    desk.page.screenshot(path=PICTURES / "notebook-runs.png")
    panel.locator(f"[data-run='{run}']").first.click()  # brings the tab of before to the front
    desk.run_page("succeeded")
    expect(tabs).to_have_count(4)
    tabs.filter(has_text=name).locator(".lm-TabBar-tabCloseIcon").click()
    expect(tabs).to_have_count(3)
    desk.by_palette("Settings: Notifications", "Settings: Notifications")
    expect(desk.page.locator(".jp-SettingsForm").filter(has_text="Colours of curves").first).to_be_visible()


def test_pages_have_room_beside_a_notebook_and_code_goes_into_it(desk: Desk, notebook: Notebook) -> None:
    open_page(desk, "tree")
    desk.by_palette("Show Image Lab", "Image Lab")
    expect(desk.page.locator("#imgcls-lab-sidebar")).to_contain_text("No runs yet")
    with Store.open(Settings(home=str(notebook.home))) as store:
        config = {"root": "/data/x", "model_flavour": "a/b"}
        run = store.runs.submit(SubmitRequest(config=config, name="waits", host="nowhere")).id
    shown = {"application/vnd.imgcls.run+json": {"run_id": run, "version": 1}}
    write_notebook(notebook.work, "mine.ipynb", [{"output_type": "display_data", "metadata": {}, "data": shown}])
    open_page(desk, "notebooks/mine.ipynb")
    expect(desk.page.locator(".imgcls-live")).to_contain_text("waits")
    by_menu(desk, "Left", "Image Lab")
    panel = desk.page.locator("#imgcls-lab-sidebar")
    panel.locator(f"[data-run='{run}']").first.click()
    page = desk.run_page("queued")
    desk.until(lambda: (page.bounding_box() or {"width": 0})["width"] > 480, why=lambda: f"{page.bounding_box()}")
    desk.page.screenshot(path=PICTURES / "notebook-beside.png")
    page.get_by_role("button", name="Cancel", exact=True).click()
    desk.run_page("cancelled")
    expect(desk.page.locator(".imgcls-live")).to_contain_text("cancelled")

    panel.get_by_role("button", name="+ New run").click()
    desk.main.get_by_role("button", name="As code").click()
    desk.main.get_by_role("button", name="Insert as a cell").click()
    expect(desk.page.locator(".jp-Notebook .jp-Cell")).to_have_count(2)
    expect(desk.page.locator(".jp-Notebook .jp-Cell").last).to_contain_text("lab.launch")
    desk.page.screenshot(path=PICTURES / "notebook-code.png")
    by_menu(desk, "Right", "waits")
    desk.run_page("cancelled")

"""What is done in the panel becomes cells of a notebook while it records. That they do it again: tests/acceptance."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.accessibility import SERIOUS, faults
from tests.browser.conftest import PICTURES, Desk, Lab

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("no_executor")]


def recording(desk: Desk) -> Locator:
    return desk.page.get_by_role("status", name="Recording")


def add_project(desk: Desk, name: str) -> None:
    desk.page.locator("#imgcls-lab-sidebar footer").get_by_role("button", name="Registries").click()
    desk.main.get_by_role("tab", name="Projects").click()
    desk.main.get_by_role("button", name="Add a project…").click()
    desk.main.get_by_role("textbox", name="Name").fill(name)
    desk.main.get_by_role("button", name="Add", exact=True).click()
    expect(desk.main.get_by_role("button", name=name, exact=True)).to_be_visible(timeout=60_000)


@pytest.mark.parametrize("lab", [{}, {"theme": "JupyterLab Dark"}], indirect=True, ids=["light", "dark"])
def test_actions_become_cells_of_a_notebook(desk: Desk, lab: Lab, request: pytest.FixtureRequest) -> None:
    theme = request.node.callspec.id
    desk.allow("Could not restore the debugger state")  # Lab's word where a notebook is closed while it asks its kernel
    panel = desk.open_panel()
    switch = panel.get_by_role("button", name="Record", exact=True)
    expect(switch).to_have_attribute("aria-pressed", "false")
    switch.click()
    expect(recording(desk)).to_contain_text("Untitled.ipynb · no action yet", timeout=120_000)
    expect(switch).to_have_attribute("aria-pressed", "true")
    expect(desk.page.locator("#jp-main-statusbar").get_by_role("button", name="Recording")).to_be_visible()
    add_project(desk, "birds")
    expect(recording(desk)).to_contain_text("· 1 cell", timeout=60_000)
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"recorder-{theme}.png")
    assert faults(desk.page, "#imgcls-lab-sidebar", impacts=SERIOUS) == []

    desk.by_palette("record actions", "Record Actions as Python Cells")
    expect(recording(desk)).to_have_count(0)
    expect(switch).to_have_attribute("aria-pressed", "false")
    add_project(desk, "bees")  # is not recorded
    desk.page.locator("#jp-main-dock-panel .lm-TabBar-tab", has_text="Untitled.ipynb").click()
    cells = desk.page.locator(".jp-Notebook .jp-CodeCell .cm-content")
    expect(cells).to_have_count(1, timeout=60_000)
    expect(cells).to_contain_text('lab.projects().add("birds")')

    switch.click()  # into the same notebook, which is the one that was used last
    expect(recording(desk)).to_contain_text("Untitled.ipynb · no action yet", timeout=60_000)
    add_project(desk, "wasps")
    expect(recording(desk)).to_contain_text("· 1 cell", timeout=60_000)
    tab = desk.page.locator("#jp-main-dock-panel .lm-TabBar-tab", has_text="Untitled.ipynb")
    tab.click()
    expect(cells).to_have_count(2, timeout=60_000)
    tab.locator(".lm-TabBar-tabCloseIcon").click()
    desk.page.locator(".jp-Dialog").get_by_role("button", name="Discard").click()
    expect(panel.get_by_text("Recording has ended: the notebook Untitled.ipynb was closed.")).to_be_visible()
    expect(recording(desk)).to_have_count(0)

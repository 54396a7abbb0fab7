"""Runs as a tree in the panel: a run is extended by a form, forked from a checkpoint, and the tree is drawn."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.mark.parametrize("lab", [{}, {"theme": "JupyterLab Dark"}], indirect=True, ids=["light", "dark"])
def test_a_run_is_extended_forked_and_shown_as_a_tree(desk: Desk, lab: Lab, request: pytest.FixtureRequest) -> None:
    theme = request.node.callspec.id
    start_demo(desk)
    parent = launch(desk, **{"run-name": "digits", "epochs": "2"})
    desk.run_page("succeeded", timeout=240)

    desk.main.get_by_role("button", name="Fork…", exact=True).click()
    form = desk.main.get_by_role("group", name="Fork this run")
    expect(form.get_by_label("From")).to_contain_text("2 epochs")
    expect(form.get_by_label("Seed")).to_have_count(0)
    desk.page.screenshot(path=PICTURES / f"fork-form-{theme}.png")
    form.get_by_role("button", name="Extend to 4 epochs").click()

    expect(desk.main.get_by_text("forked from")).to_be_visible(timeout=30_000)
    extended = desk.run_page("succeeded", timeout=240)
    expect(extended).not_to_have_attribute("data-run", parent)
    tree = desk.main.get_by_role("region", name="Lineage")
    expect(tree.get_by_role("listitem")).to_have_count(2)
    expect(tree.locator("[aria-current]")).to_contain_text("digits, to 4 epochs")
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"lineage-{theme}.png")
    desk.page.set_viewport_size({"width": 1000, "height": 900})
    desk.page.screenshot(path=PICTURES / f"lineage-{theme}-1000.png")
    desk.page.set_viewport_size({"width": 1440, "height": 900})

    desk.main.get_by_role("tab", name="Checkpoints").click()
    desk.main.get_by_role("row").filter(has_text="last").get_by_role("button", name="Fork…").click()
    again = desk.main.get_by_role("group", name="Fork this run")
    again.get_by_label("Epochs", exact=True).fill("5")
    expect(again.get_by_role("button", name="Extend to 5 epochs")).to_be_enabled()
    tree_button = desk.main.get_by_role("tab", name="Curves")
    tree_button.click()
    tree.get_by_role("button", name="digits", exact=True).click()
    expect(desk.run_page("succeeded")).to_have_attribute("data-run", parent)
    expect(tree.locator("[aria-current]")).to_contain_text("digits")

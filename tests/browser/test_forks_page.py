"""Runs as a tree in the panel: a run is extended by a form, forked from a checkpoint, and the tree is drawn."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def pictures(desk: Desk, name: str) -> None:
    for width in (1000, 1440):
        desk.page.set_viewport_size({"width": width, "height": 900})
        desk.quiet()
        desk.page.screenshot(path=PICTURES / f"{name}-{width}.png")


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
    rates = form.get_by_role("figure", name="Learning rate")
    expect(rates).to_have_attribute("data-marks", "1")
    expect(rates.get_by_role("button", name="fork: goes on along its curve")).to_be_visible()
    pictures(desk, f"fork-form-{theme}")
    form.get_by_role("button", name="Extend to 4 epochs").click()

    expect(desk.main.get_by_text("forked from")).to_be_visible(timeout=30_000)
    extended = desk.run_page("succeeded", timeout=240)
    expect(extended).not_to_have_attribute("data-run", parent)
    tree = desk.main.get_by_role("region", name="Lineage")
    expect(tree.get_by_role("listitem")).to_have_count(2)
    expect(tree.locator("[aria-current]")).to_contain_text("digits, to 4 epochs")
    pictures(desk, f"lineage-{theme}")

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
    fork_by_menu(desk, theme)


def fork_by_menu(desk: Desk, theme: str) -> None:
    """On the page of a run that was extended: the menu of its curve, the same fork again, and the button."""
    loss = desk.main.get_by_role("figure", name="Loss")
    expect(loss).not_to_have_attribute("data-points", "0")
    plot = loss.locator(".imgcls-plot[data-menu=fork]")
    expect(plot.locator("canvas")).to_be_visible()
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box
    plot.click(button="right", position={"x": box["width"] - 24, "y": box["height"] / 2})  # at its last epoch
    item = desk.page.get_by_role("menuitem", name="Fork from epoch 2…")
    expect(item).to_be_visible()
    desk.page.screenshot(path=PICTURES / f"fork-menu-{theme}.png")
    item.click()
    form = desk.main.get_by_role("group", name="Fork this run")
    expect(form.get_by_label("From")).to_be_focused()
    again = form.get_by_role("button", name="Extend to 4 epochs")
    expect(again).to_be_enabled()
    again.click()
    said = form.get_by_role("status")
    expect(said).to_contain_text("It is there already: digits, to 4 epochs, succeeded")
    pictures(desk, f"fork-there-{theme}")
    form.get_by_role("button", name="Cancel").click()
    expect(form).to_have_count(0)
    desk.main.get_by_role("button", name="Train longer…", exact=True).click()
    longer = desk.main.get_by_role("group", name="Train this run longer")
    epochs = longer.get_by_label("Epochs", exact=True)
    expect(epochs).to_be_focused()
    expect(epochs).to_have_value("4")

"""Proofs in the panel, each a task in the queue: a run is verified on its page, and two that part are compared."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.mark.parametrize("lab", [{}, {"theme": "JupyterLab Dark"}], indirect=True, ids=["light", "dark"])
def test_a_run_is_verified_on_its_page(desk: Desk, lab: Lab, request: pytest.FixtureRequest) -> None:
    theme = request.node.callspec.id
    start_demo(desk)
    launch(desk, **{"run-name": "digits", "epochs": "2"})
    desk.run_page("succeeded", timeout=240)

    desk.main.get_by_role("tab", name="Environment").click()
    section = desk.main.get_by_role("region", name="Verification")
    steps = section.get_by_label("Steps")
    expect(steps).to_have_value("20", timeout=60_000)
    steps.fill("12")
    section.get_by_role("button", name="Verify", exact=True).click()
    expect(section.get_by_role("button", name="Cancel")).to_be_visible(timeout=60_000)
    certificate = section.locator(".imgcls-certificate")
    expect(certificate).to_have_attribute("data-identical", "true", timeout=300_000)
    expect(certificate).to_contain_text("steps 1 to 12")
    expect(section.get_by_role("button", name="Verify", exact=True)).to_be_enabled(timeout=60_000)
    PICTURES.mkdir(exist_ok=True)
    section.scroll_into_view_if_needed()
    desk.page.screenshot(path=PICTURES / f"verification-{theme}.png")
    desk.page.set_viewport_size({"width": 1000, "height": 900})
    desk.page.screenshot(path=PICTURES / f"verification-{theme}-1000.png")


@pytest.mark.parametrize("lab", [{}, {"theme": "JupyterLab Dark"}], indirect=True, ids=["light", "dark"])
def test_two_runs_that_part_say_at_which_step_and_in_what(desk: Desk, lab: Lab, request: pytest.FixtureRequest) -> None:
    theme = request.node.callspec.id
    start_demo(desk)
    launch(desk, **{"run-name": "one", "epochs": "1"})
    desk.run_page("succeeded", timeout=240)
    desk.main.get_by_role("button", name="Clone…").click()
    expect(desk.main.get_by_role("heading", name="New run")).to_be_visible()
    launch(desk, **{"run-name": "other", "lr": "2e-3"})
    expect(desk.main.get_by_role("heading", name="other")).to_be_visible()
    desk.run_page("succeeded", timeout=240)

    desk.page.locator("#imgcls-lab-sidebar").get_by_role("button", name="Runs", exact=True).click()
    for name in ("one", "other"):
        desk.main.get_by_role("checkbox", name=f"Choose {name}", exact=True).check()
    desk.main.get_by_role("button", name="Compare 2").click()
    card = desk.main.get_by_role("region", name="Where they part")
    card.get_by_role("button", name="Find where they part").click()
    expect(card.get_by_role("button", name="Cancel")).to_be_visible(timeout=60_000)
    found = card.locator("[data-first-step]")
    expect(found).to_have_attribute("data-first-step", "1", timeout=300_000)
    expect(found).to_have_attribute("data-part", "rate")
    expect(found).to_contain_text("the learning rate is")
    expect(card.get_by_role("button", name="Find where they part")).to_be_enabled()
    PICTURES.mkdir(exist_ok=True)
    card.scroll_into_view_if_needed()
    desk.page.screenshot(path=PICTURES / f"bisection-{theme}.png")
    desk.page.set_viewport_size({"width": 1000, "height": 900})
    card.scroll_into_view_if_needed()
    desk.page.screenshot(path=PICTURES / f"bisection-{theme}-1000.png")

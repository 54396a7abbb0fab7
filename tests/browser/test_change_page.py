"""A run's settings are changed on its page while it trains: the form, the mark on its curves, and who asked when."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]


@pytest.mark.parametrize("lab", [{}, {"theme": "JupyterLab Dark"}], indirect=True, ids=["light", "dark"])
def test_settings_are_changed_while_a_run_trains(desk: Desk, lab: Lab, request: pytest.FixtureRequest) -> None:
    theme = request.node.callspec.id
    PICTURES.mkdir(exist_ok=True)
    start_demo(desk)
    launch(desk, **{"run-name": "digits", "epochs": "2000"})
    page = desk.run_page("running", timeout=240)
    loss = page.get_by_role("figure", name="Loss")
    expect(loss).to_have_attribute("data-points", re.compile(r"[1-9]\d*"), timeout=120_000)

    desk.main.get_by_role("button", name="Change…", exact=True).click()
    form = desk.main.get_by_role("group", name="Change settings while it trains")
    send = form.get_by_role("button", name=re.compile("^Change"))
    expect(send).to_be_disabled()
    form.get_by_label("Learning rate times", exact=True).fill("0")
    expect(form.get_by_role("alert")).to_contain_text("above 0")
    form.get_by_label("Learning rate times", exact=True).fill("0.3")
    form.get_by_label(re.compile("^Early stopping")).fill("900")
    expect(send).to_have_text("Change 2 settings")
    desk.page.screenshot(path=PICTURES / f"change-form-{theme}.png")
    send.click()
    expect(form).to_have_count(0, timeout=60_000)

    expect(loss).to_have_attribute("data-marks", "2", timeout=120_000)
    desk.page.screenshot(path=PICTURES / f"changed-curves-{theme}.png")
    desk.page.set_viewport_size({"width": 1000, "height": 900})
    desk.page.screenshot(path=PICTURES / f"changed-curves-{theme}-1000.png")
    desk.page.set_viewport_size({"width": 1440, "height": 900})

    desk.main.get_by_role("tab", name="Config").click()
    changed = desk.main.get_by_role("region", name="Changed while it trained")
    expect(changed.get_by_role("row").filter(has_text="Learning rate")).to_contain_text("from step")
    expect(changed.get_by_role("row").filter(has_text="Early stopping")).to_contain_text("never → 900")
    desk.page.screenshot(path=PICTURES / f"changed-config-{theme}.png")
    desk.main.get_by_role("tab", name="History").click()
    expect(desk.main.get_by_role("row").filter(has_text="Learning rate")).to_contain_text("from step", timeout=60_000)
    desk.page.screenshot(path=PICTURES / f"changed-history-{theme}.png")

    desk.main.get_by_role("button", name="Stop", exact=True).click()
    desk.run_page("stopped", timeout=240)
    expect(desk.main.get_by_role("button", name="Resume with…", exact=True)).to_be_enabled()
    expect(desk.main.get_by_role("button", name="Change…", exact=True)).to_be_disabled()

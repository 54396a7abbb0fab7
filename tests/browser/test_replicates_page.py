"""Replicates from the panel alone: runs of one config with a seed each, and a sweep that is judged by means."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import fill_in, start_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(900)]
WIDTHS = (1440, 1000)


def pictures(desk: Desk, name: str) -> None:
    for width in WIDTHS:
        desk.page.set_viewport_size({"width": width, "height": 900})
        desk.quiet()
        desk.page.screenshot(path=PICTURES / f"{name}-{width}.png")
    desk.page.set_viewport_size({"width": WIDTHS[0], "height": 900})
    desk.quiet()


def test_replicates_of_a_run_are_queued_and_compared(desk: Desk, lab: Lab) -> None:
    start_demo(desk)
    field = desk.main.get_by_label("Replicates", exact=True)
    button = desk.main.get_by_role("button", name="Launch", exact=True)
    fill_in(desk, epochs="1")
    field.fill("0")
    expect(desk.main.get_by_text("Give a whole number from 1 to 100.")).to_be_visible()
    expect(button).to_be_disabled()
    field.fill("2")
    expect(desk.main.get_by_text("2 runs, seeds 0 to 1")).to_be_visible()
    expect(button).to_be_enabled()
    pictures(desk, "replicates-form")
    button.click()
    expect(desk.main.get_by_role("heading", name="Compare", exact=False).first).to_be_visible()
    panel = desk.open_panel()
    for seed in (0, 1):
        expect(panel.get_by_text(f"seed={seed}").first).to_be_visible()


@pytest.mark.slow
def test_a_sweep_with_replicates_shows_mean_and_deviation_and_unfolds(desk: Desk, lab: Lab) -> None:
    start_demo(desk)
    fill_in(desk, epochs="1")
    desk.main.get_by_role("button", name="Try several values of a setting…").click()
    desk.main.locator("[name=sweep-values]").fill("1e-3, 3e-3")
    desk.main.get_by_label("Replicates", exact=True).fill("2")
    expect(desk.main.get_by_text("2 cells: 2 trials, 4 runs")).to_be_visible()
    pictures(desk, "replicates-sweep-form")
    button = desk.main.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    button.click()
    desk.run_page("succeeded", timeout=600)
    sweep = desk.run_page().get_attribute("data-run") or ""
    cells = desk.main.locator(".imgcls-cell[data-trial]")
    expect(cells).to_have_count(2)
    expect(desk.main.locator(".imgcls-cell[data-trial][data-state=succeeded]")).to_have_count(2)
    expect(desk.main.get_by_text("2 seeds each")).to_be_visible()
    for number in (0, 1):
        expect(cells.nth(number)).to_contain_text(re.compile(r"\d\d\.\d ± \d+\.\d %"))
    cells.first.click()
    runs = desk.main.locator(".imgcls-cell[data-seed]")
    expect(runs).to_have_count(2)
    expect(runs.first).to_contain_text("seed 0")
    pictures(desk, "replicates-matrix")
    desk.choose_theme("JupyterLab Dark")
    pictures(desk, "replicates-matrix-dark")
    desk.choose_theme("JupyterLab Light")
    desk.main.get_by_role("tab", name="Plots").click()
    expect(desk.main.locator(".imgcls-spread")).to_have_count(4)
    pictures(desk, "replicates-plots")
    desk.main.get_by_role("tab", name="Trials").click()
    cells.first.click()
    expect(runs).to_have_count(2)
    runs.nth(1).click()
    expect(desk.run_page("succeeded")).not_to_have_attribute("data-run", sweep)

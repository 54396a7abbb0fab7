"""Batches from the panel alone: a notebook by its context menu, and a sweep whose hole is filled."""

from __future__ import annotations

import re

import nbformat
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, TOKEN, Desk, Lab
from tests.browser.desk import STARTS
from tests.browser.test_panel import fill_in, launch, start_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


def write_notebook(lab: Lab) -> None:
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    cell = nbformat.v4.new_code_cell("times = 2  # type: int how often\nword = 'hello'")
    cell.metadata["tags"] = ["parameters"]
    notebook.cells = [cell, nbformat.v4.new_code_cell("print(' '.join([word] * times))")]
    nbformat.write(notebook, lab.work / "greeting.ipynb")


def test_a_notebook_is_run_as_a_batch_by_its_context_menu_and_opens_executed(desk: Desk, lab: Lab) -> None:
    write_notebook(lab)
    desk.open()
    desk.page.locator(".jp-DirListing-item", has_text="greeting.ipynb").click(button="right")
    desk.page.get_by_role("menuitem", name="Run as batch…").click()
    expect(desk.main.get_by_role("heading", name="Run greeting.ipynb as a batch")).to_be_visible()
    times = desk.main.locator("[name=times]")
    times.fill("three")
    expect(desk.main.get_by_role("alert")).to_contain_text("a whole number")
    expect(desk.main.get_by_role("button", name="Launch", exact=True)).to_be_disabled()
    times.fill("3")
    desk.main.get_by_role("button", name="Launch", exact=True).click()
    page = desk.run_page("succeeded")
    expect(page.locator(".imgcls-chip", has_text="notebook")).to_be_visible()
    desk.main.get_by_role("button", name="Open notebook").click()
    expect(desk.page.locator(".jp-Notebook .jp-OutputArea-output", has_text="hello hello hello")).to_be_visible()


def test_an_executed_notebook_is_read_again_by_its_button_and_when_its_run_has_ended(desk: Desk, lab: Lab) -> None:
    go = lab.folder / "go"
    waits = (
        f"import pathlib, time\nwhile not pathlib.Path({str(go)!r}).exists():\n    time.sleep(0.1)\nprint('at its end')"
    )
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in ("print('begun')", waits)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, lab.work / "waiting.ipynb")
    desk.open()
    desk.page.locator(".jp-DirListing-item", has_text="waiting.ipynb").click(button="right")
    desk.page.get_by_role("menuitem", name="Run as batch…").click()
    desk.main.get_by_role("button", name="Launch", exact=True).click()
    desk.run_page("running")
    desk.main.get_by_role("button", name="Open notebook").click()
    refresh = desk.page.get_by_role("button", name="Refresh", exact=True).locator("visible=true")
    output = desk.page.locator(".jp-Notebook .jp-OutputArea-output")
    expect(refresh).to_be_visible()

    def has_begun() -> bool:
        refresh.click()
        desk.page.wait_for_timeout(500)  # between two looks
        return output.filter(has_text="begun").count() > 0

    desk.until(has_begun, STARTS, why=lambda: "the notebook does not show what its first cell printed")
    expect(output.filter(has_text="at its end")).to_have_count(0)
    go.touch()
    expect(output.filter(has_text="at its end")).to_be_visible(timeout=60_000)  # by itself


@pytest.mark.slow
def test_a_sweep_is_made_from_a_run_shows_its_hole_and_fills_it(desk: Desk, lab: Lab) -> None:
    start_demo(desk)
    launch(desk, epochs="1")
    desk.run_page("succeeded")
    desk.main.get_by_role("button", name="Sweep…").click()
    desk.main.locator("[name=sweep-values]").fill("1e-3, 3e-3")
    desk.main.get_by_role("button", name="One more setting").click()
    desk.main.locator("[name=sweep-name]").nth(1).select_option("seed")
    desk.main.locator("[name=sweep-values]").nth(1).fill("0, 1")
    expect(desk.main.get_by_text("4 cells: 4 trials")).to_be_visible()
    desk.main.get_by_role("button", name="Launch", exact=True).click()
    desk.run_page("succeeded", timeout=300)
    cells = desk.main.locator(".imgcls-matrix .imgcls-cell")
    expect(cells).to_have_count(4)
    expect(desk.main.locator(".imgcls-cell[data-state=succeeded]")).to_have_count(4)
    expect(desk.main.get_by_text("4 of 4 trials")).to_be_visible()

    sweep = desk.run_page().get_attribute("data-run") or ""
    cells.nth(2).click()
    expect(desk.run_page()).not_to_have_attribute("data-run", sweep)
    trial = desk.run_page("succeeded").get_attribute("data-run")
    desk.page.get_by_role("tab", name="sweep of lr, seed", exact=True).click()
    desk.run_page("succeeded", run=sweep)
    url = f"{lab.root}imgcls/api/runs/{trial}"
    assert desk.page.request.delete(url, headers={"Authorization": f"token {TOKEN}"}).status == 200
    expect(desk.main.locator(".imgcls-hole")).to_have_count(1)
    desk.main.get_by_role("button", name="Fill 1 hole").click()
    expect(desk.main.locator(".imgcls-cell[data-state=succeeded]")).to_have_count(4, timeout=120_000)
    desk.main.get_by_role("tab", name="Plots").click()
    expect(desk.main.get_by_role("img", name="Timeline of the trials")).to_be_visible()

    # the same in a cell of a saved notebook, live from the server
    live = desk.open_output("application/vnd.imgcls.sweep+json", {"run_id": sweep, "version": 1})
    expect(live.locator(".imgcls-cell[data-state=succeeded]")).to_have_count(4)
    desk.page.screenshot(path=PICTURES / "sweep-cell.png")
    live.get_by_role("tab", name="Plots").click()
    expect(live.get_by_role("img", name="Timeline of the trials")).to_be_visible()
    desk.page.screenshot(path=PICTURES / "sweep-cell-plots.png")
    live.get_by_role("tab", name="Trials").click()
    live.locator(".imgcls-cell").first.click()
    expect(desk.main.locator(".imgcls-run[data-run-state=succeeded]")).to_be_visible()


@pytest.mark.slow
def test_of_three_trials_by_halving_the_best_goes_on_as_the_same_run(desk: Desk) -> None:
    start_demo(desk)
    fill_in(desk, epochs="3")
    desk.main.get_by_role("button", name="Try several values of a setting…").click()
    desk.main.locator("[name=sweep-values]").fill("1e-4 .. 1e-2 log")
    desk.main.locator("[name=strategy]").select_option("halving")
    fill_in(desk, trials="3")
    expect(desk.main.get_by_text("3 trials, 5 epochs together instead of 9")).to_be_visible()
    button = desk.main.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    button.click()
    expect(desk.main.get_by_text("The best third of each rung goes on")).to_be_visible(timeout=180_000)
    sweep = desk.run_page("succeeded", timeout=600).get_attribute("data-run") or ""
    expect(desk.main.locator(".imgcls-cell[data-trial]")).to_have_count(3)
    expect(desk.main.locator(".imgcls-cell[data-state=pruned]")).to_have_count(2)
    expect(desk.main.locator(".imgcls-cell[data-state=pruned]").first).to_contain_text("left at rung 1")
    expect(desk.main.locator(".imgcls-way[data-way=left]")).to_have_count(2)
    expect(desk.main.locator(".imgcls-way[data-way=best] circle")).to_have_count(2)
    for theme in ("Dark", "Light"):
        desk.choose_theme(f"JupyterLab {theme}")
        for width in (1000, 1440):
            desk.page.set_viewport_size({"width": width, "height": 900})
            desk.quiet()
            desk.page.screenshot(path=PICTURES / f"halving-{theme.lower()}-{width}.png")
    desk.main.locator(".imgcls-cell[data-state=succeeded]").click()
    expect(desk.run_page("succeeded")).not_to_have_attribute("data-run", sweep)
    winner = desk.run_page("succeeded")
    expect(winner).to_have_attribute("data-attempt", "2")  # it paused at the first rung, and went on from there
    expect(desk.main.get_by_role("figure", name="Accuracy")).to_have_attribute("data-points", re.compile("^[36]$"))

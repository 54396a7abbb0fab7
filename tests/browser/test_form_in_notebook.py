"""The form of a run in a cell of JupyterLab: search, a problem beside its field, the config in Python, a launch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Desk, Lab

pytestmark = [pytest.mark.browser]
CELLS = (
    "import imgcls_lab as lab\nform = lab.form(lab.demo.prepare().config, epochs=2)\nform",
    "print('held', form.config.epochs, len(form.runs))",
)


@contextmanager
def opened(desk: Desk, lab: Lab) -> Iterator[Locator]:
    """A notebook with the form, its first cell executed; the kernel ends with it."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    notebook.metadata.kernelspec = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, lab.work / "form.ipynb")
    desk.page.goto(f"{lab.root}lab/tree/form.ipynb?reset")
    expect(desk.page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
    cell = desk.page.locator(".jp-CodeCell").first
    cell.locator(".cm-content").press("Control+Enter")
    yield cell.locator(".jp-OutputArea")
    desk.page.get_by_role("menuitem", name="Kernel", exact=True).click()
    desk.page.get_by_role("menuitem", name="Shut Down Kernel", exact=True).click()


@pytest.mark.parametrize("lab", [{}, {"theme": "JupyterLab Dark"}], indirect=True, ids=["light", "dark"])
def test_a_run_is_set_up_and_launched_in_a_cell(desk: Desk, lab: Lab, tmp_path: Path) -> None:
    page = desk.page
    with opened(desk, lab) as output:
        launch = output.get_by_role("button", name="Launch")
        expect(launch).to_be_enabled(timeout=60_000)
        page.screenshot(path=tmp_path / "form.png")
        epochs = output.get_by_label("Epochs", exact=True)
        epochs.fill("none")
        epochs.press("Tab")
        expect(output.get_by_role("alert")).to_have_text("Must be a whole number, not “none”.")
        expect(launch).to_be_disabled()
        page.screenshot(path=tmp_path / "wrong.png")
        epochs.fill("1")
        epochs.press("Tab")
        expect(launch).to_be_enabled()

        output.get_by_label("Find a setting").fill("smoothing")
        output.get_by_label("Find a setting").press("Tab")
        expect(output.get_by_label("Label smoothing")).to_be_visible()
        expect(output.get_by_text("Regularisation", exact=True)).to_be_hidden()
        output.get_by_label("Find a setting").fill("")
        output.get_by_text("Optimisation", exact=True).click()
        expect(output.get_by_label("Weight decay")).to_be_visible()
        for grid in output.locator(".widget-gridbox").all():
            boxes = map(Locator.bounding_box, grid.locator("> .widget-text, > .widget-dropdown").all())
            widths = {round(box["width"]) for box in boxes if box is not None}
            assert len(widths) <= 1, f"controls under each other are {widths} px wide"
        page.screenshot(path=tmp_path / "group.png")

        output.get_by_role("button", name="As code").click()
        expect(output.locator("pre", has_text="lab.launch(")).to_contain_text("epochs=1")
        launch.click()
        standing = re.compile("waits in the queue|is starting|trains|has finished")
        expect(output.get_by_text(standing).first).to_be_visible()
        expect(output.get_by_text("has finished").first).to_be_visible(timeout=120_000)
        page.set_viewport_size({"width": 1000, "height": 1400})
        page.screenshot(path=tmp_path / "launched.png")
        page.locator(".jp-CodeCell").nth(1).locator(".cm-content").press("Control+Enter")
        expect(page.locator(".jp-CodeCell").nth(1).locator(".jp-OutputArea")).to_contain_text("held 1 1")

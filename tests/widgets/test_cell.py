"""The live cell in a real JupyterLab: by the server where the extension is, by the kernel where it is not."""

from __future__ import annotations

import re

import pytest
from browser.conftest import PICTURES, Desk, browser, context, desk, lab
from browser.notebook_cells import end_kernels, open_notebook, run_cell, save, show_notebook, wait_for_points
from playwright.sync_api import Locator, expect

__all__ = ["browser", "context", "desk", "lab"]

LAUNCH = """
import time
import imgcls_lab as lab
config = lab.demo.prepare().config.with_changes(epochs=6, threads=1)
endless = config.with_changes(epochs=500)  # until it is stopped: however slow the page is, it sees the run train
run = lab.launch(endless, name="in a cell")
run.watch()
"""
# what any front end without the extension shows; its thread pushes while this cell keeps the kernel busy
WIDGET = """
from unittest.mock import patch
run = lab.launch(endless, name="by the kernel")
with patch.object(type(run), "_served", False):
    run.watch()
run.wait();
"""
# the line of `wait` stands alone until the run, as the last expression, takes its place
LAST = """
run = lab.launch(config, name="at last")
run.wait()
"""

# the same images twice: as the extension shows them by the server, and as any front end does by the kernel
GALLERIES = """
by_server, by_kernel = run.images(6), run.images(6)
by_kernel.origin = by_kernel.origin._replace(of=None)
display(by_server, by_kernel)
"""


@pytest.mark.browser
def test_the_cell_is_the_servers_and_lives_again_without_a_kernel(desk: Desk) -> None:
    open_notebook(desk, LAUNCH)
    cell = run_cell(desk, 0)
    live = cell.locator(".imgcls-output .imgcls-live")  # the renderer of the extension, not the widget
    expect(live).to_be_visible(timeout=90_000)
    expect(cell.locator("[data-source=kernel]")).to_have_count(0)
    seen = wait_for_points(desk, cell, 0)
    wait_for_points(desk, cell, seen)
    save(desk)

    end_kernels(desk)
    show_notebook(desk)
    live = desk.page.locator(".jp-CodeCell .imgcls-output .imgcls-live")
    expect(live).to_be_visible(timeout=90_000)
    wait_for_points(desk, desk.page.locator(".jp-CodeCell").first, seen)
    stop(live)


@pytest.mark.browser
def test_the_widget_shows_a_live_curve_while_the_kernel_is_busy(desk: Desk) -> None:
    open_notebook(desk, LAUNCH.replace("run.watch()", "run.stop();"), WIDGET, GALLERIES, LAST)
    run_cell(desk, 0)
    cell = run_cell(desk, 1)
    live = cell.locator(".imgcls-live")
    expect(live).to_be_visible(timeout=120_000)
    expect(cell.locator("[data-source=kernel] .imgcls-live")).to_have_count(1)  # the kernel's, not the server's
    seen = wait_for_points(desk, cell, 0)
    wait_for_points(desk, cell, seen)
    wait_for_points(desk, cell, 0, "Accuracy")  # the galleries show what an epoch has got wrong
    expect(cell.locator(".jp-InputPrompt")).to_have_text("[*]:")
    live.get_by_role("button", name="Stop").click()  # the kernel hears it beside the cell, which waits for the run
    # the widget goes when the run has ended, and the picture of the end stays
    expect(cell.locator("img[alt='Curves of by the kernel']")).to_be_visible(timeout=120_000)
    expect(live).to_have_count(0)
    expect(cell.get_by_text("by the kernel was stopped: epoch")).to_be_visible()  # one thing says it
    images_are_galleries(desk, run_cell(desk, 2))
    last = run_cell(desk, 3)
    expect(last.get_by_text(re.compile("at last (is starting|trains)"))).to_be_visible(timeout=60_000)
    expect(last.locator(".imgcls-live [data-state=succeeded]")).to_be_visible(timeout=120_000)
    expect(last.locator("progress")).to_have_count(0)
    expect(last.locator(".jp-OutputArea-output")).to_have_count(1)


def stop(live: Locator) -> None:
    live.get_by_role("button", name="Stop").click()
    expect(live.locator("[data-state=stopped]")).to_be_visible(timeout=120_000)


def images_are_galleries(desk: Desk, cell: Locator) -> None:
    """By the extension and by the widget: pictures with captions; one of them large by Enter."""
    galleries = cell.locator(".imgcls-gallery")
    expect(galleries).to_have_count(2, timeout=60_000)
    expect(cell.locator("[data-source=kernel] .imgcls-gallery")).to_have_count(
        1
    )  # the kernel's; the other is the server's
    for shown in (galleries.first, galleries.last):
        expect(shown.locator(".imgcls-grid-cell img")).to_have_count(6, timeout=60_000)
        shown.locator("[role=gridcell]").first.press("Enter")
        box = desk.page.get_by_role("dialog")
        expect(box.locator("img")).to_be_visible()
        desk.page.keyboard.press("ArrowRight")
        expect(box).to_contain_text("2 of 6")
        desk.page.keyboard.press("Escape")
        expect(box).to_have_count(0)
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / "cell-galleries.png")

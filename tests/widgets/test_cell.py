"""The live cell in a real JupyterLab: by the server where the extension is, by the kernel where it is not."""

from __future__ import annotations

import pytest
from browser.conftest import PICTURES, Desk, browser, context, desk, lab
from browser.notebook_cells import end_kernels, open_notebook, points, run_cell, show_notebook, wait_for_points
from playwright.sync_api import Locator, expect

__all__ = ["browser", "context", "desk", "lab"]

LAUNCH = """
import time
import imgcls_lab as lab
config = lab.demo.prepare().config.with_changes(epochs=6, threads=1)
run = lab.launch(config, name="in a cell")
run.watch()
"""
# what any front end without the extension shows; its thread pushes while this cell keeps the kernel busy
WIDGET = """
from imgcls_lab.api.display import LiveCell
from imgcls_lab.widgets.widget_output import WIDGET_TYPE
from imgcls_lab.api.run_source import StoreRunSource
from imgcls_lab.api import context
run = lab.launch(config, name="by the kernel")
cell = LiveCell(StoreRunSource(context.store(), run.id), served=False)
cell.show()
run.wait()
time.sleep(5)
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
    desk.page.keyboard.press("Control+s")
    expect(desk.page.locator(".lm-TabBar-tab.jp-mod-dirty")).to_have_count(0)

    end_kernels(desk)
    show_notebook(desk)
    live = desk.page.locator(".jp-CodeCell .imgcls-output .imgcls-live")
    expect(live.locator("[data-state=succeeded]")).to_be_visible(timeout=120_000)
    assert points(desk.page.locator(".jp-CodeCell").first, "Accuracy") == 6


@pytest.mark.browser
def test_the_widget_shows_a_live_curve_while_the_kernel_is_busy(desk: Desk) -> None:
    open_notebook(desk, LAUNCH.replace("run.watch()", "run.stop();"), WIDGET, GALLERIES)
    run_cell(desk, 0)
    cell = run_cell(desk, 1)
    live = cell.locator(".imgcls-live")
    expect(live).to_be_visible(timeout=120_000)
    expect(cell.locator("[data-source=kernel] .imgcls-live")).to_have_count(1)  # the kernel's, not the server's
    seen = wait_for_points(desk, cell, 0)
    wait_for_points(desk, cell, seen)
    expect(cell.locator(".jp-InputPrompt")).to_have_text("[*]:")
    # the widget goes when the run has ended, and the picture of the end stays
    expect(cell.locator("img[alt='Curves of by the kernel']")).to_be_visible(timeout=120_000)
    expect(cell.get_by_text("by the kernel has finished: epoch 6 of 6")).to_be_visible()
    expect(live).to_have_count(0)
    images_are_galleries(desk, run_cell(desk, 2))


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

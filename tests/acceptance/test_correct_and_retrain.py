"""From a cell of the confusion matrix to the corrected images to what the child fixed and broke, on real runs.

The digits have planted wrong labels: threes that lie among the fives, and ones among the sevens, in train/ and in val/.
The first are corrected by the mouse, the second by keys alone. Times are of the person, without the trainings.
"""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from imgcls_lab import demo_data
from imgcls_lab.settings import Settings
from tests.browser.conftest import PICTURES, Desk, Lab, browser, context, desk, lab  # noqa: F401
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

PLANTED = {"train": 24, "val": 6}  # images of each pair
PAIRS = [("3", "5"), ("1", "7")]  # what is drawn, and the folder that it was put into
MOST_SECONDS = 60.0
AXE = Path(__file__).parents[2] / "labextension" / "node_modules" / "axe-core" / "axe.min.js"


def plant(lab: Lab) -> dict[str, set[str]]:  # noqa: F811
    """Write the demo's digits with wrong labels. Returns the names of those in val/, by the folder they lie in."""
    root = demo_data.prepare(Settings(home=str(lab.home), datasets_dir=str(lab.datasets))).root
    planted: dict[str, set[str]] = {}
    for drawn, folder in PAIRS:
        for split, number in PLANTED.items():
            for path in sorted((root / split / drawn).iterdir())[:number]:
                shutil.move(path, root / split / folder / f"planted-{path.name}")
                if split == "val":
                    planted.setdefault(folder, set()).add(f"val/{folder}/planted-{path.name}")
    return planted


def serious(page: Page) -> list[str]:
    """What axe finds of serious or critical problems in the tab in front."""
    if not page.evaluate("() => 'axe' in window"):
        page.add_script_tag(content=AXE.read_text())
    found = page.evaluate("() => axe.run(document.querySelector('.imgcls-main:not(.lm-mod-hidden)'))")
    return [
        f"{item['id']} ({item['impact']}): {node['target']} {node['failureSummary']}"
        for item in found["violations"]
        if item["impact"] in ("serious", "critical")
        for node in item["nodes"][:3]
    ]


def picture(desk: Desk, name: str) -> None:  # noqa: F811
    """Keep a picture of the page as it is, once its thumbnails are there."""
    PICTURES.mkdir(exist_ok=True)
    desk.page.wait_for_timeout(600)
    desk.page.screenshot(path=PICTURES / f"{name}.png")


def evaluation(desk: Desk) -> Locator:  # noqa: F811
    return desk.main.locator(".imgcls-evaluation")


def numbers_agree(desk: Desk) -> None:  # noqa: F811
    """The matrix gives the mistakes: its cells, the filter's count, the card's words and the grid are one number."""
    cells = desk.main.locator(".imgcls-confusion td button").evaluate_all(
        "cells => cells.map(cell => [...cell.ariaLabel.matchAll(/true (.+), predicted (.+): (\\d+)/g)][0].slice(1))"
    )
    wrong = sum(int(images) for label, predicted, images in cells if label != predicted)
    right = sum(int(images) for label, predicted, images in cells if label == predicted)
    head = desk.main.get_by_role("region", name="Confusion").locator("h3")
    expect(head).to_contain_text(f"{right} right, {wrong} wrong")
    expect(desk.main.get_by_role("button", name="mistakes", exact=False).first).to_contain_text(str(wrong))
    expect(desk.main.locator(".imgcls-images-card h3")).to_contain_text(f"Mistakes · {wrong} images")
    expect(evaluation(desk).locator(".imgcls-figures")).to_contain_text(f"{100 * right / (right + wrong):.1f} %")


def by_mouse(desk: Desk, drawn: str, folder: str) -> float:  # noqa: F811
    """Relabel the images of a cell, save, and train again. Returns the seconds it took."""
    begun = time.monotonic()
    desk.main.get_by_role("tab", name="Evaluation").click()
    desk.main.get_by_role("button", name=f"true {folder}, predicted {drawn}:").click()
    desk.main.get_by_role("button", name=f"as {drawn}").click()
    desk.main.get_by_role("button", name="Save as v1").click()
    parent = desk.run_page().get_attribute("data-run")
    desk.main.get_by_role("button", name="Train again from the best").click()
    expect(desk.run_page()).not_to_have_attribute("data-run", parent or "")
    return time.monotonic() - begun


def test_labels_are_corrected_and_the_child_says_what_was_fixed(desk: Desk, lab: Lab) -> None:  # noqa: F811
    planted = plant(lab)
    assert {folder: len(names) for folder, names in planted.items()} == {"5": 6, "7": 6}
    start_demo(desk)
    launch(desk, epochs="6")
    desk.run_page("succeeded", timeout=240)
    desk.main.get_by_role("tab", name="Evaluation").click()
    expect(desk.main.locator(".imgcls-confusion tbody tr")).to_have_count(10)
    numbers_agree(desk)
    picture(desk, "evaluation-light")

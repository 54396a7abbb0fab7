"""Each page of the panel with each of its tabs, light and dark, wide and narrow: axe and the console are content."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import Error as PlaywrightError

from tests.browser.accessibility import PAGE, SIDEBAR, faults
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.tour import Stop, change_theme, close_tabs, prepare, stops, visit

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(1800)]

# a run that has ended without one says why by a 404, which Chromium writes into the console
NO_EVALUATION = re.compile(r"status of 404 .*/evaluation\?")
LOOKS = [("light", 1440), ("dark", 1000)]


def look(desk: Desk, name: str, folder: Path) -> list[str]:
    """A picture for a person, and what axe says."""
    desk.page.screenshot(path=folder / f"{name}.png")
    return [f"{folder.name} {name}: {fault}" for fault in faults(desk.page, PAGE, SIDEBAR)]


def visited(desk: Desk, stop: Stop, folder: Path) -> tuple[int, list[str]]:
    """How many pictures were taken of a page, and all that is wrong there."""
    found: list[str] = []
    number = 0
    try:
        for name in visit(desk, stop):
            number += 1
            found += look(desk, name, folder)
    except (AssertionError, PlaywrightError) as error:  # the other pages are looked at, too
        found.append(f"{folder.name} {stop.name}: {error}")
    close_tabs(desk)
    return number, found


@pytest.mark.parametrize("lab", [{"exposed": True}], indirect=True)
def test_every_page_is_whole_in_both_themes_and_widths(desk: Desk, lab: Lab) -> None:
    begun = time.monotonic()
    has = prepare(desk, lab)
    print(f"prepared in {time.monotonic() - begun:.0f} s")
    desk.open_panel()
    found: list[str] = []
    for theme, width in LOOKS:
        begun, seen = time.monotonic(), 0
        folder = PICTURES / f"{theme}-{width}"
        folder.mkdir(parents=True, exist_ok=True)
        change_theme(desk, theme)
        desk.page.set_viewport_size({"width": width, "height": 900})
        for stop in stops(lab, has):
            number, wrong = visited(desk, stop, folder)
            seen, found = seen + number, found + wrong
        print(f"{theme}, {width} px: {seen} pages in {time.monotonic() - begun:.0f} s")
        assert seen > 40 or found
    found += [error for error in desk.errors if not NO_EVALUATION.search(error)]
    desk.errors.clear()
    assert found == [], "\n".join(found)

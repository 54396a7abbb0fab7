"""The table of runs in a browser: filled, opened, counted, looked at."""

from __future__ import annotations

from urllib.parse import urlencode

from playwright.sync_api import Locator, expect

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.accessibility import faults
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.many_runs import write_runs
from tests.browser.tour import ask


def open_filled_table(desk: Desk, lab: Lab, runs: int) -> Locator:
    """The table in front, with so many runs that are written for it."""
    with Store.open(Settings(home=str(lab.home), datasets_dir=str(lab.datasets))) as store:
        write_runs(store, runs)
    return open_table(desk, runs)


def open_table(desk: Desk, runs: int) -> Locator:
    """The table in front, once it has so many runs."""
    desk.open()
    desk.open_panel().locator("footer").get_by_role("button", name="Runs").click()
    table = desk.main.get_by_role("treegrid", name="Runs")
    found(table, runs)
    return table


def found(table: Locator, number: int) -> None:
    expect(table).to_have_attribute("data-runs", str(number))


def some_are_found(desk: Desk, table: Locator, where: str) -> int:
    """The table has the runs of a query, which are not all; how many."""
    number = int(ask(desk, "GET", f"runs?{urlencode({'where': where, 'limit': 1})}")["total"])
    assert 0 < number < int(ask(desk, "GET", "runs?limit=1")["total"])
    found(table, number)
    return number


def look(desk: Desk, name: str) -> None:
    """A picture for a person; axe finds nothing serious or moderate."""
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"runs-{name}.png")
    assert faults(desk.page) == [], name

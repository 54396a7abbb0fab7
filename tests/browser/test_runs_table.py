"""The table of runs, by mouse and by keys: found by a query, chosen, folded."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.many_runs import write_runs
from tests.browser.test_dataset_page import AXE

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
RUNS = 214
FAULTS = """() => axe.run([...document.querySelectorAll('.imgcls-main')].find(tab => tab.checkVisibility()))"""


@pytest.fixture(autouse=True)
def no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    """The runs of this test have no folders, so that no daemon may look at them."""
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")


def rows(table: Locator) -> int:
    return int(table.get_attribute("data-runs") or 0)


def found(table: Locator, number: int) -> None:
    expect(table).to_have_attribute("data-runs", str(number))


def look(desk: Desk, name: str) -> None:
    """A picture for a person; axe finds nothing serious or moderate."""
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"runs-{name}.png")
    result = desk.page.evaluate(FAULTS)
    assert len(result["passes"]) > 10, "axe looked at next to nothing"
    bad = [fault for fault in result["violations"] if fault["impact"] in ("serious", "critical", "moderate")]
    assert [f"{fault['id']}: {node['html'][:160]}" for fault in bad for node in fault["nodes"]] == []


def finds_by_chips(desk: Desk, table: Locator) -> None:
    box = desk.main.get_by_label("Find runs")
    box.fill("lr>0.002")
    box.press("Enter")
    expect(desk.main.locator("[data-term='lr>0.002']")).to_be_visible()
    box.press_sequentially("state=succ")
    expect(desk.main.get_by_role("option", name="state=succeeded")).to_be_visible()
    look(desk, "typing")
    box.press("ArrowDown")
    box.press("Enter")
    expect(desk.main.locator("[data-term]")).to_have_count(2)
    expect(desk.main.get_by_role("status").first).to_contain_text(f"of {RUNS} runs")
    fewer = rows(table)
    assert 0 < fewer < RUNS
    box.press("Backspace")  # takes the last
    expect(desk.main.locator("[data-term]")).to_have_count(1)
    with desk.refused():
        box.fill("loss>>3")
        box.press("Enter")
        expect(desk.main.get_by_role("alert").first).to_contain_text("loss")
        box.press("Backspace")
    desk.main.get_by_role("button", name="Remove lr>0.002").click()
    found(table, RUNS)


def chooses_by_keys(desk: Desk, table: Locator) -> None:
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    table.focus()
    table.press("Space")
    table.press("Shift+ArrowDown")
    table.press("Shift+ArrowDown")
    expect(chosen).to_contain_text("3 selected")
    table.press("End")
    last = int(table.get_attribute("aria-rowcount") or 0) - 2
    expect(table.locator(f"[data-index='{last}']")).to_be_visible()
    table.press("Control+a")
    expect(chosen).to_contain_text(f"{RUNS} selected")
    table.press("Escape")
    expect(chosen).to_have_count(0)
    table.press("Home")
    expect(table.locator("[data-index='0']")).to_be_visible()


def folds(desk: Desk, table: Locator) -> None:
    """A sweep and repetitions are one row each, by mouse and by keys; chosen, they are all their runs."""
    lines = int(table.get_attribute("aria-rowcount") or 0)
    sweep = table.locator("[data-group=sweep]").first
    expect(sweep).to_contain_text("sweep, 8 runs")
    sweep.get_by_role("button", name="Unfold").click()
    expect(table).to_have_attribute("aria-rowcount", str(lines + 8))
    expect(sweep).to_have_attribute("aria-expanded", "true")
    look(desk, "unfolded")
    table.press("ArrowLeft")
    expect(table).to_have_attribute("aria-rowcount", str(lines))
    sweep.get_by_role("checkbox").click()
    expect(desk.main.get_by_role("region", name="Chosen runs")).to_contain_text("9 selected")
    expect(sweep).to_have_attribute("aria-selected", "true")
    table.press("Escape")
    table.press("Home")


def test_runs_are_found_by_chips_chosen_by_keys_and_folded(desk: Desk, lab: Lab) -> None:
    with Store.open(Settings(home=str(lab.home), datasets_dir=str(lab.datasets))) as store:
        write_runs(store, RUNS)
    desk.open()
    desk.page.add_script_tag(path=str(AXE))
    desk.open_panel().locator("footer").get_by_role("button", name="Runs").click()
    table = desk.main.get_by_role("treegrid", name="Runs")
    found(table, RUNS)
    look(desk, "all")
    finds_by_chips(desk, table)
    chooses_by_keys(desk, table)
    folds(desk, table)

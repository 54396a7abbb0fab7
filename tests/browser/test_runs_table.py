"""The table of runs, by mouse and by keys: found by a query, chosen, folded."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect
from sqlmodel import col, select

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.tables import Run
from tests.browser.conftest import Desk, Lab
from tests.browser.many_runs import write_runs
from tests.browser.runs_page import found, look, open_table, some_are_found

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("no_executor")]
RUNS = 214


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
    some_are_found(desk, table, "lr>0.002 state=succeeded")
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


def forked(store: Store) -> str:
    """Make the three newest single runs a lineage: the oldest of them, and two forks of it. The name of the oldest."""
    with store.database.write() as session:
        single = select(Run).where(
            col(Run.parent_id).is_(None), Run.kind == "train", col(Run.name).not_like("% seed %")
        )
        *forks, first = session.exec(single.order_by(col(Run.number).desc()).limit(3))
        for run in (*forks, first):
            run.lineage = first.id
        for step, fork in enumerate(forks, 1):
            fork.parent_id, fork.fork_step = first.id, 100 * step
        return first.name


def folds_a_lineage(desk: Desk, table: Locator, first: str) -> None:
    """A run with its forks is one row where the menu of groups says so."""
    lines = int(table.get_attribute("aria-rowcount") or 0)
    lineage = table.locator("[data-group=children]")
    desk.main.get_by_role("button", name="group: sweep, seeds", exact=True).click()
    others = desk.main.get_by_label("runs that went on from another one")
    others.check()
    others.press("Escape")
    expect(table).to_have_attribute("aria-rowcount", str(lines - 2))
    expect(lineage).to_have_count(1)
    expect(lineage).to_contain_text(first)
    expect(lineage).to_contain_text("2 children")
    lineage.get_by_role("button", name="Unfold").click()
    expect(table).to_have_attribute("aria-rowcount", str(lines))
    look(desk, "lineage")
    lineage.get_by_role("button", name="Fold").click()
    expect(table).to_have_attribute("aria-rowcount", str(lines - 2))
    desk.main.get_by_role("button", name="group: sweep, seeds, children").click()
    others.uncheck()
    expect(lineage).to_have_count(0)
    expect(table).to_have_attribute("aria-rowcount", str(lines))


def fits(desk: Desk, table: Locator) -> None:
    """No column is out of sight: in a narrow tab those leave that nobody chose, and the chooser says which."""

    def whole() -> None:
        desk.until(lambda: table.evaluate("it => it.scrollWidth <= it.clientWidth"), 30, lambda: "it scrolls sideways")

    size = table.get_by_role("columnheader", name="size", exact=True)
    kind = table.locator("[data-group=sweep] .imgcls-runs-group > .imgcls-muted").first
    whole()
    expect(size).to_be_visible()
    expect(kind).to_have_text("sweep, 8 runs")
    desk.page.set_viewport_size({"width": 1000, "height": 900})
    expect(size).to_have_count(0)
    whole()
    expect(kind).to_be_visible()
    look(desk, "narrow")
    desk.main.get_by_role("button", name="columns").click()
    chooser = desk.main.get_by_role("dialog", name="Columns of the table")
    expect(chooser).to_contain_text("No room for")
    chooser.get_by_label("Find a column or metric").fill("size")
    chooser.get_by_role("list", name="Other columns").get_by_text("size", exact=True).click()
    expect(size).to_have_count(1)  # it was chosen, so it stays
    chooser.get_by_role("button", name="Reset").click()
    expect(size).to_have_count(0)
    desk.page.keyboard.press("Escape")
    expect(chooser).to_have_count(0)
    desk.page.set_viewport_size({"width": 1440, "height": 900})
    expect(size).to_be_visible()


def test_runs_are_found_by_chips_chosen_by_keys_and_folded(desk: Desk, lab: Lab) -> None:
    with Store.open(Settings(home=str(lab.home), datasets_dir=str(lab.datasets))) as store:
        write_runs(store, RUNS)
        first = forked(store)
    table = open_table(desk, RUNS)
    look(desk, "all")
    fits(desk, table)
    finds_by_chips(desk, table)
    chooses_by_keys(desk, table)
    folds(desk, table)
    folds_a_lineage(desk, table, first)

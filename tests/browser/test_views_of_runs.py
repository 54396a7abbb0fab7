"""The table of runs, found by the words of people, and kept under a name."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import Desk, Lab
from tests.browser.runs_page import found, look, open_filled_table, some_are_found
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("no_executor")]
RUNS = 120


def finds_the_best_of_last_week(desk: Desk, table: Locator) -> int:
    """By keys alone, as somebody types who has read nothing."""
    box = desk.main.get_by_label("Find runs")
    box.focus()
    expect(desk.main.get_by_role("option", name="state=failed")).to_be_visible()
    look(desk, "examples")
    box.press_sequentially("lr above 1e-3")
    box.press("Enter")
    box.press_sequentially("last we")
    expect(desk.main.get_by_role("option", name="made in the last 7 days")).to_be_visible()
    box.press("ArrowDown")
    box.press("Enter")
    box.press_sequentially("best first")
    box.press("Enter")
    expect(desk.main.locator("[data-term]")).to_have_text(["lr > 1e-3✕", "created > 7d✕"])
    expect(table.get_by_role("columnheader", name="best")).to_have_attribute("aria-sort", "descending")
    box.press("Escape")
    return some_are_found(desk, table, "lr>1e-3 created>7d")


def keeps_a_view(desk: Desk, table: Locator, shown: int) -> None:
    bar = desk.main.get_by_role("toolbar", name="Saved views")
    expect(bar).to_have_count(0)
    desk.main.get_by_role("button", name="Save this view").click()
    desk.main.get_by_label("Name of the view").fill("Best of last week")
    desk.main.get_by_label("Name of the view").press("Enter")
    view = bar.get_by_role("button", name=re.compile("^Best of last week"))
    expect(view).to_have_attribute("aria-pressed", "true")
    expect(desk.main.get_by_text("view changed")).to_have_count(0)
    bar.get_by_role("button", name="All").click()
    found(table, RUNS)
    expect(view.locator(".imgcls-num")).to_have_text(str(shown))  # counted, though it is not what the table shows
    bar.get_by_role("button", name="All").press("ArrowRight")
    view.press("Enter")
    found(table, shown)
    desk.main.get_by_role("button", name="Remove lr>1e-3").click()
    expect(desk.main.get_by_text("view changed")).to_be_visible()
    look(desk, "view-changed")
    desk.main.get_by_role("button", name="Revert").click()
    found(table, shown)
    desk.main.get_by_role("button", name="Remove created>7d").click()
    some_are_found(desk, table, "lr>1e-3")
    desk.main.get_by_role("button", name="Save", exact=True).click()
    expect(desk.main.get_by_text("view changed")).to_have_count(0)


def renames_and_deletes_it(desk: Desk) -> None:
    bar = desk.main.get_by_role("toolbar", name="Saved views")
    bar.get_by_role("button", name="Menu of the view Best of last week").click()
    look(desk, "view-menu")
    desk.main.get_by_role("button", name="Rename…").click()
    name = desk.main.get_by_label("Name of the view Best of last week")
    name.fill("Steep")
    name.press("Enter")
    view = bar.get_by_role("button", name=re.compile("^Steep"))
    expect(view).to_be_focused()
    view.press("Delete")
    expect(bar).to_have_count(0)
    desk.main.locator(".imgcls-outcome").get_by_role("button", name="Undo").click()
    expect(view).to_have_attribute("aria-pressed", "true")


def is_there_after_a_reload(desk: Desk, lab: Lab) -> None:
    """The tab comes back with the view that it showed, and the view with its filter."""
    saved = desk.main.get_by_role("toolbar", name="Saved views").locator("[aria-pressed=true]")
    expect(saved.locator(".imgcls-num")).to_have_text(re.compile(r"^\d+$"))
    number = saved.locator(".imgcls-num").inner_text()
    layouts = lab.folder / "workspaces"
    until(
        lambda: any('"saved"' in file.read_text() for file in layouts.glob("*")), why=lambda: "the layout is not saved"
    )
    desk.open(reset=False)
    expect(saved).to_have_accessible_name(f"Steep, {number} runs")
    expect(desk.main.locator("[data-term]")).to_have_text(["lr > 1e-3✕"])
    expect(desk.main.get_by_text("view changed")).to_have_count(0)


def acts_on_a_group(desk: Desk, table: Locator) -> None:
    """The menu of repetitions, which have no head: what is chosen in it is done with all of them."""
    seeds = table.locator("[data-group=seeds]").first
    expect(seeds).to_contain_text(re.compile(r"\d+ seeds"))
    number = int(re.search(r"(\d+) seeds", seeds.inner_text())[1])  # type: ignore[index]
    seeds.locator(".imgcls-runs-first").click(button="right", position={"x": 4, "y": 8})
    desk.page.locator(".lm-Menu").get_by_text("Archive Runs").click()
    found(table, RUNS - number)
    desk.page.get_by_role("button", name="Undo").click()
    found(table, RUNS)


def chooses_groups_in_part(desk: Desk, table: Locator) -> None:
    desk.main.get_by_role("toolbar", name="Saved views").get_by_role("button", name="All").click()
    found(table, RUNS)
    seeds = table.locator("[data-group=seeds]").first
    seeds.get_by_role("button", name="Unfold").click()
    expect(table.locator("[aria-level='2']").first).to_be_visible()  # before that, the next row is the next group
    table.press("ArrowDown")
    table.press("Space")
    box = seeds.get_by_role("checkbox")
    expect(box).to_be_checked(indeterminate=True)
    look(desk, "some-of-a-group")
    box.click()  # the others, too
    expect(box).to_be_checked()
    table.press("Escape")
    expect(box).not_to_be_checked()


def test_runs_are_found_by_words_and_a_list_is_kept_under_a_name(desk: Desk, lab: Lab) -> None:
    table = open_filled_table(desk, lab, RUNS)
    keeps_a_view(desk, table, finds_the_best_of_last_week(desk, table))
    renames_and_deletes_it(desk)
    is_there_after_a_reload(desk, lab)
    chooses_groups_in_part(desk, table)
    acts_on_a_group(desk, table)

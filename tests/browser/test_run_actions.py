"""What is done with runs in their table, by mouse and keys: edited, chosen, tagged, moved, archived, deleted."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, expect

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import Desk, Lab
from tests.browser.many_runs import Writer, write_runs
from tests.browser.runs_page import found, look, open_table

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("no_executor")]
RUNS = 40
FOLDER = 3_000_000  # bytes of the folder of a run


def filled(lab: Lab) -> list[str]:
    """Ids of two ended runs, which have folders; the newest run is alive."""
    settings = Settings(home=str(lab.home), datasets_dir=str(lab.datasets))
    with Store.open(settings) as store:
        write_runs(store, RUNS - 3)
        with store.database.write() as session:
            projects = {project.name: project.id for project in store.projects.list()}
            writer = Writer(session, session.info["home"], projects, RUNS, "")
            writer.written = RUNS - 3
            kinds = [("first", "succeeded"), ("second", "failed"), ("alive", "running")]
            made = [
                writer.add(name, "resnet50", {"seed": 900 + n, "lr": 0.5 + n}, state)
                for n, (name, state) in enumerate(kinds)
            ]
            for run in made:
                run.size = FOLDER
            ids = [run.id for run in made[:2]]
            writer.flush()
    for run_id in ids:
        folder = settings.run_dir(run_id)
        folder.mkdir(parents=True)
        (folder / "model.bin").write_bytes(b"x" * FOLDER)
    return ids


def row(table: Locator, name: str) -> Locator:
    return table.get_by_role("row").filter(has=table.page.get_by_role("button", name=name, exact=True))


def said(desk: Desk) -> Locator:
    """What stands below the table of what was done last."""
    return desk.main.locator(".imgcls-outcome")


def undone(desk: Desk) -> None:
    said(desk).get_by_role("button", name="Undo").click()
    expect(said(desk)).to_contain_text("Undone for")


def edits_in_place(desk: Desk, table: Locator) -> None:
    row(table, "second").get_by_role("gridcell").nth(2).click()  # its state: the keys stand on this row now
    table.press("F2")
    box = desk.main.get_by_label("Name of second")
    box.fill("renamed")
    box.press("Escape")
    expect(row(table, "second")).to_be_visible()
    table.press("F2")
    box.fill("renamed")
    box.press("Enter")
    expect(row(table, "renamed")).to_be_visible()
    expect(said(desk)).to_contain_text("The run is called “renamed” now.")
    undone(desk)
    expect(row(table, "second")).to_be_visible()


def chooses_a_stretch(desk: Desk, table: Locator) -> None:
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    table.locator("[data-index='0']").get_by_role("checkbox").click()
    table.locator("[data-index='2']").get_by_role("checkbox").click(modifiers=["Shift"])
    expect(chosen).to_contain_text("3 selected")
    table.locator("[data-index='1']").get_by_role("checkbox").click()
    expect(chosen).to_contain_text("2 selected")
    chosen.get_by_role("button", name="clear").click()
    expect(chosen).to_have_count(0)


def tags_archives_and_moves(desk: Desk, table: Locator) -> None:
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    for name in ("first", "second"):
        row(table, name).get_by_role("checkbox").click()
    chosen.get_by_role("button", name="Tag…").click()
    desk.main.get_by_label("Add a tag").fill("keep")
    desk.main.get_by_label("Add a tag").press("Enter")
    expect(said(desk)).to_contain_text("Tagged 2 runs with “keep”.")
    box = desk.main.get_by_label("Find runs")
    box.fill("tag=keep ")
    found(table, 2)
    box.press("Backspace")
    found(table, RUNS)
    undone(desk)
    chosen.get_by_role("button", name="Move…").click()
    desk.main.get_by_role("dialog").get_by_role("button", name="default").click()
    expect(said(desk)).to_contain_text("Moved 2 runs to “default”.")
    undone(desk)
    chosen.get_by_role("button", name="Archive").click()
    expect(said(desk)).to_contain_text("Archived 2 runs.")
    found(table, RUNS - 2)
    undone(desk)
    found(table, RUNS)


def has_a_context_menu(desk: Desk, table: Locator) -> None:
    """By a right click, by Shift+F10 and by the menu key; it acts on the run that it belongs to."""
    menu = desk.page.locator(".lm-Menu")
    row(table, "first").get_by_role("button", name="first", exact=True).click(button="right")
    look(desk, "context-menu")
    menu.get_by_text("Archive Runs").click()
    found(table, RUNS - 1)
    expect(row(table, "first")).to_have_count(0)
    desk.page.locator(".jp-toastContainer, .Toastify").get_by_role("button", name="Undo").last.click()
    found(table, RUNS)
    row(table, "second").get_by_role("gridcell").nth(2).click()
    for key in ("ContextMenu", "Shift+F10"):
        table.press(key)
        expect(menu).to_be_visible()
        desk.page.keyboard.press("Escape")
        expect(menu).to_have_count(0)
        table.focus()
    table.press("Shift+F10")
    active = menu.locator(".lm-mod-active")
    expect(menu).to_be_visible()
    desk.page.keyboard.press("r")
    expect(active).to_have_text(re.compile("^Re"))  # Resume, Rename: the first that begins with it
    while "Rename" not in (now := active.inner_text()):
        desk.page.locator(":focus").press("ArrowDown")
        expect(active).not_to_have_text(now)
    expect(active).to_contain_text("Rename")
    desk.page.keyboard.press("Enter")
    dialog = desk.page.locator(".jp-Dialog")
    dialog.locator("input").fill("by keys")
    dialog.locator("input").press("Enter")
    expect(row(table, "by keys")).to_be_visible()


def is_searched_in_the_palette(desk: Desk, table: Locator) -> None:
    """A command of the palette acts on the chosen runs."""
    row(table, "first").get_by_role("checkbox").click()
    desk.by_palette("tag runs", "Tag Runs…")
    dialog = desk.page.locator(".jp-Dialog")
    dialog.locator("input").fill("by-palette")
    dialog.locator("input").press("Enter")
    box = desk.main.get_by_label("Find runs")
    box.fill("tag=by-palette ")
    found(table, 1)
    box.press("Backspace")
    found(table, RUNS)


def stops_and_resumes(desk: Desk, table: Locator) -> None:
    """The bar names how many of the chosen ones an action is for, and says why it is for none."""
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    row(table, "alive").get_by_role("checkbox").click()
    expect(chosen).to_contain_text("3 selected")
    expect(chosen.get_by_role("button", name="Clone…")).to_have_attribute("title", "one run is cloned at a time")
    chosen.get_by_role("button", name="Stop 1", exact=True).click()
    expect(said(desk)).to_contain_text("1 run will stop, each with a checkpoint.")
    expect(chosen.get_by_role("button", name="Stop", exact=True)).to_be_disabled()
    chosen.get_by_role("button", name="Resume 1", exact=True).click()
    expect(said(desk)).to_contain_text("1 run queued again.")
    expect(row(table, "second")).to_contain_text("queued")
    chosen.get_by_role("button", name="Stop 1", exact=True).click()  # nothing of it has started
    expect(row(table, "second")).to_contain_text("failed")


def opens_tabs(desk: Desk, table: Locator) -> None:
    """A form that begins with the chosen run, and TensorBoard of the chosen runs."""
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    runs = desk.page.get_by_role("tab", name="Runs", exact=True)
    row(table, "first").get_by_role("checkbox").click()
    chosen.get_by_role("button", name="Clone…").click()
    expect(desk.main.get_by_role("heading", name="New run from first")).to_be_visible()
    desk.page.locator(".lm-TabBar-tab.lm-mod-current", has_text="New run").locator(".lm-TabBar-tabCloseIcon").click()
    runs.click()
    chosen.get_by_role("button", name="TensorBoard").click()
    expect(desk.page.get_by_role("tab", name=re.compile("TensorBoard"))).to_have_count(1)
    runs.click()
    chosen.get_by_role("button", name="clear").click()


def deletes(desk: Desk, table: Locator) -> None:
    """The server says what that frees and what stays, before and after."""
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    for name in ("by keys", "alive"):
        row(table, name).get_by_role("checkbox").click()
    expect(chosen).to_contain_text("3 selected")
    chosen.get_by_role("button", name=re.compile("^Delete 2, about 6")).click()
    question = desk.main.get_by_role("dialog", name="Delete the chosen runs")
    expect(question).to_contain_text("Delete 2 runs with their checkpoints and logs? That frees 6.0 MB.")
    expect(question).to_contain_text("1 run stays")
    expect(question).to_contain_text("stop it before you delete it")
    look(desk, "delete")
    question.get_by_role("button", name="Delete").click()
    expect(said(desk)).to_contain_text("Deleted 2 runs; 6.0 MB are free again.")
    found(table, RUNS - 2)
    expect(chosen).to_contain_text("1 selected")


def test_runs_are_edited_chosen_tagged_moved_archived_and_deleted(desk: Desk, lab: Lab) -> None:
    ids = filled(lab)
    table = open_table(desk, RUNS)
    edits_in_place(desk, table)
    chooses_a_stretch(desk, table)
    tags_archives_and_moves(desk, table)
    stops_and_resumes(desk, table)
    desk.main.get_by_role("button", name="clear").click()
    opens_tabs(desk, table)
    has_a_context_menu(desk, table)
    is_searched_in_the_palette(desk, table)
    deletes(desk, table)
    settings = Settings(home=str(lab.home), datasets_dir=str(lab.datasets))
    assert [settings.run_dir(run_id).exists() for run_id in ids] == [False, False]

"""What a stranger has to do without reading docs: each task by the mouse, and again by the keyboard alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, expect
from skimage import data
from sqlmodel import col, select

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.store.tables import Run
from tests.acceptance.hands import Hands
from tests.acceptance.test_compare_speed import write_run
from tests.browser.conftest import Desk, Lab
from tests.browser.tour import ask, demo, wait_for
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900)]

DAY = 86_400
PHOTOGRAPHS = {"cat": data.chelsea, "coffee": data.coffee, "rocket": data.rocket}
CURVE_WITHIN = 90.0  # s from the own folder to its first curve
OLD = 50  # runs that are deleted
TRIALS = {"lr": {"values": [1e-4, 1e-3, 1e-2]}}


@pytest.fixture
def idle(tmp_path: Path) -> Iterator[Lab]:
    """A JupyterLab that is not started yet."""
    folder = tmp_path / "lab"
    folder.mkdir()
    server = Lab(folder)
    yield server
    server.close()


def opened(lab: Lab, context: BrowserContext) -> tuple[Desk, Hands]:
    lab.start()
    desk = Desk(context.new_page(), lab)
    desk.open()
    return desk, Hands(desk.page)


# ── launching and stopping, on a real executor ──────────────────────────────────────────────────────────────────
def write_photographs(root: Path) -> None:
    """A folder of class folders, as people have them: crops of three photographs."""
    rng = np.random.default_rng(0)
    for name, photograph in PHOTOGRAPHS.items():
        whole = Image.fromarray(photograph()).convert("RGB")
        (root / name).mkdir(parents=True)
        for number in range(40):
            x, y = (int(rng.integers(0, size - 150)) for size in whole.size)
            whole.crop((x, y, x + 150, y + 120)).save(root / name / f"{number:02d}.jpg", quality=90)


def start_sweep(desk: Desk, lab: Lab) -> str:
    """A sweep whose trials train for long, two at once."""
    _, base = demo(desk, lab)
    sweep = str(ask(desk, "POST", "sweeps", {"base": {**base, "epochs": 900}, "space": TRIALS, "name": "rates"})["id"])
    until(lambda: [trial for trial in trials_of(desk, sweep) if trial["state"] == "running"], 90)
    return sweep


def trials_of(desk: Desk, sweep: str) -> list[dict[str, Any]]:
    name = ask(desk, "GET", f"runs/{sweep}")["name"]
    return [run for run in ask(desk, "GET", "runs?limit=100")["items"] if run["name"].startswith(f"{name}: ")]


def is_stopped(desk: Desk, sweep: str) -> None:
    """The sweep and each of its trials have ended before their time."""
    wait_for(desk, sweep, "stopped")
    trials = trials_of(desk, sweep)
    assert trials
    assert {trial["state"] for trial in trials} <= {"stopped", "cancelled"}


@pytest.fixture(autouse=True)
def two_runs_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLS_CPU_SLOTS", "2")


def test_first_run_own_photos_and_a_stopped_sweep_by_mouse(idle: Lab, context: BrowserContext) -> None:
    write_photographs(idle.datasets / "holiday")
    desk, hands = opened(idle, context)
    side = desk.page.locator("#imgcls-lab-sidebar")

    hands.begin()
    hands.click(desk.page.locator("li[data-id='imgcls-lab-sidebar']"))
    hands.click(side.get_by_role("button", name="Try the demo"))
    hands.click(desk.main.get_by_role("button", name="Launch", exact=True))
    desk.wait_for_points(0)
    hands.said("first run by mouse")
    assert hands.clicks == 3

    hands.begin()
    hands.click(side.get_by_role("button", name="+ New run"))
    hands.click(desk.main.get_by_role("button", name="Register a folder…"))
    hands.click(desk.main.get_by_role("option", name="holiday"))
    hands.click(desk.main.get_by_role("button", name="Register", exact=True))
    expect(desk.main.locator("select[name=root] option:checked")).to_contain_text("holiday")
    hands.click(desk.main.get_by_role("button", name="Launch", exact=True))
    expect(desk.run_page()).to_contain_text("holiday")
    desk.wait_for_points(0, timeout=CURVE_WITHIN)
    assert hands.said("own photos to a first curve by mouse", CURVE_WITHIN) <= CURVE_WITHIN

    sweep = start_sweep(desk, idle)
    hands.begin()
    hands.click(side.locator(f"[data-run='{sweep}']").first)
    hands.click(desk.main.get_by_role("button", name="Stop", exact=True))
    is_stopped(desk, sweep)
    hands.said("all runs of a sweep stopped by mouse")
    assert desk.errors == []


def test_first_run_own_photos_and_a_stopped_sweep_by_keys(idle: Lab, context: BrowserContext) -> None:
    write_photographs(idle.datasets / "holiday")
    desk, hands = opened(idle, context)
    side = desk.page.locator("#imgcls-lab-sidebar")

    hands.begin()
    hands.palette("Show Image Lab")
    expect(side.get_by_role("button", name="Try the demo")).to_be_visible()
    hands.tab_to("Try the demo")
    hands.press("Enter")
    expect(desk.main.get_by_role("button", name="Launch", exact=True)).to_be_enabled()
    hands.tab_to("Launch")
    hands.press("Enter")
    desk.wait_for_points(0)
    hands.said("first run by keys")

    hands.begin()
    hands.palette("New Training Run")
    expect(desk.main.get_by_role("button", name="Register a folder…")).to_be_visible()
    hands.tab_to("Register a folder…")
    hands.press("Enter")
    option = desk.main.get_by_role("option", name="holiday")
    expect(option).to_be_visible()
    for _ in range(40):
        if option.evaluate("option => option === document.activeElement"):
            break
        hands.press("ArrowDown" if option.evaluate("o => o.parentElement.contains(document.activeElement)") else "Tab")
    hands.press("Enter")
    expect(desk.main.get_by_role("status", name="What is in the folder")).to_contain_text("can be registered")
    hands.tab_to("Register")
    hands.press("Enter")
    expect(desk.main.locator("select[name=root] option:checked")).to_contain_text("holiday")
    expect(desk.main.get_by_role("button", name="Launch", exact=True)).to_be_enabled()
    hands.tab_to("Launch")
    hands.press("Enter")
    expect(desk.run_page()).to_contain_text("holiday")
    desk.wait_for_points(0, timeout=CURVE_WITHIN)
    assert hands.said("own photos to a first curve by keys", CURVE_WITHIN) <= CURVE_WITHIN

    sweep = start_sweep(desk, idle)
    hands.begin()
    hands.palette("All Training Runs")
    row = desk.main.locator(f"[role=row][data-run='{sweep}']")
    expect(row).to_be_visible()
    to_table(desk, hands)
    for _ in range(20):
        if row.evaluate("row => row.classList.contains('imgcls-runs-active')"):
            break
        hands.press("ArrowDown")
    hands.press("Enter")
    expect(desk.main.locator(f".imgcls-run[data-run='{sweep}']")).to_be_visible()
    hands.tab_to("Stop")
    hands.press("Enter")
    is_stopped(desk, sweep)
    hands.said("all runs of a sweep stopped by keys")
    assert desk.errors == []


# ── finding and deleting, among many that have ended ────────────────────────────────────────────────────────────
def write_runs(lab: Lab) -> str:
    """Runs of this week and old ones, with folders of their own. Returns the name of the one to be found."""
    with Store.open(Settings(home=str(lab.home), datasets_dir=str(lab.datasets)), migrate=True) as store:
        ids = [write_run(store, number) for number in range(OLD + 30)]
        with store.database.write() as session:
            now = max(run.created_at for run in session.exec(select(Run)))
            for number, run in enumerate(
                session.exec(select(Run).where(col(Run.id).in_(ids)).order_by(col(Run.number)))
            ):
                ago = 60 + number if number < OLD else (number - OLD) / 2  # days
                run.created_at, run.ended_at = now - ago * DAY, now - ago * DAY + 600
                run.best_value = 0.5 + (number * 7 % 80) / 200
            week = [run for run in session.exec(select(Run)) if run.created_at > now - 7 * DAY]
            found = max(
                (run for run in week if run.config["lr"] > 1e-3),
                key=lambda run: run.best_value or 0,
            )
            assert len(week) > 5
            return found.name


def to_table(desk: Desk, hands: Hands) -> Locator:
    """The table of runs, with the keyboard in it."""
    table = desk.main.get_by_role("treegrid", name="Runs")
    expect(table.locator("[data-index='0']")).to_be_visible()
    hands.tab_to("Runs")
    return table


def expect_best(table: Locator, name: str) -> None:
    """It stands in the first row."""
    expect(table.locator("[data-index='0']")).to_contain_text(name)


def expect_freed(desk: Desk) -> None:
    """The bytes are said, once they are gone."""
    said = desk.main.get_by_role("status").filter(has_text=re.compile("are free again|freed", re.IGNORECASE))
    expect(said.first).to_contain_text(re.compile(r"\d.*[kMG]B"), timeout=60_000)


@pytest.fixture
def no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")


@pytest.mark.usefixtures("no_executor")
def test_the_best_run_is_found_and_old_ones_are_deleted_by_mouse(idle: Lab, context: BrowserContext) -> None:
    name = write_runs(idle)
    desk, hands = opened(idle, context)
    hands.begin()
    hands.click(desk.page.locator("li[data-id='imgcls-lab-sidebar']"))
    hands.click(desk.page.locator("#imgcls-lab-sidebar footer").get_by_role("button", name="Runs"))
    table = desk.main.get_by_role("treegrid", name="Runs")
    hands.click(desk.main.get_by_role("button", name="+ filter"))
    hands.click(desk.main.get_by_role("button", name="When it was made"))
    hands.click(desk.main.get_by_role("button", name="in the last 7 days"))
    hands.click(desk.main.get_by_label("Find runs"))
    hands.type("lr>0.001")
    hands.press("Enter")
    hands.click(table.get_by_role("columnheader", name=re.compile("^best")).get_by_role("button"))
    expect_best(table, name)
    hands.said("the best run with lr above 1e-3 of last week by mouse")

    hands.begin()
    for _ in range(2):
        hands.click(desk.main.get_by_role("button", name=re.compile("^Remove ")).first)
    expect(table).to_have_attribute("data-runs", str(OLD + 30))
    hands.click(desk.main.get_by_role("button", name="+ filter"))
    hands.click(desk.main.get_by_role("button", name="When it was made"))
    hands.click(desk.main.get_by_role("button", name="more than 30 days ago"))
    expect(table).to_have_attribute("data-runs", str(OLD))
    hands.click(table.get_by_role("checkbox", name="Choose all runs that match"))
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    expect(chosen).to_contain_text(f"{OLD} selected")
    hands.click(chosen.get_by_role("button", name=re.compile("^Delete")))
    hands.click(desk.page.get_by_role("button", name=re.compile(r"^Delete( \d+( runs)?)?$")).last)
    expect_freed(desk)
    expect(table).to_have_attribute("data-runs", "0")
    hands.said(f"{OLD} old runs deleted by mouse")
    assert desk.errors == []


@pytest.mark.usefixtures("no_executor")
def test_the_best_run_is_found_and_old_ones_are_deleted_by_keys(idle: Lab, context: BrowserContext) -> None:
    name = write_runs(idle)
    desk, hands = opened(idle, context)
    hands.begin()
    hands.palette("All Training Runs")
    table = desk.main.get_by_role("treegrid", name="Runs")
    expect(table.locator("[data-index='0']")).to_be_visible()
    hands.tab_to("Find runs")
    hands.type("lr>0.001 created>7d")
    hands.press("Enter")
    expect(desk.main.locator("[data-term]")).to_have_count(2)
    expect(table).not_to_have_attribute("data-runs", str(OLD + 30))
    hands.tab_to("made ↓")  # one title of the table is in the order of Tab, the arrows lead to the others
    for _ in range(20):
        if hands.here().startswith("best"):
            break
        hands.press("ArrowRight")
    hands.press("Enter")
    expect_best(table, name)
    hands.said("the best run with lr above 1e-3 of last week by keys")

    hands.begin()
    hands.tab_to("Find runs", "Shift+Tab")
    hands.press("Backspace", "Backspace")
    hands.type("created<30d")
    hands.press("Enter")
    expect(table).to_have_attribute("data-runs", str(OLD))
    to_table(desk, hands)
    hands.press("Control+a")
    chosen = desk.main.get_by_role("region", name="Chosen runs")
    expect(chosen).to_contain_text(f"{OLD} selected")
    label = chosen.get_by_role("button", name=re.compile("^Delete")).inner_text()
    hands.tab_to(label)
    hands.press("Enter")
    confirm = desk.page.get_by_role("button", name=re.compile(r"^Delete( \d+( runs)?)?$")).last
    expect(confirm).to_be_visible()
    hands.tab_to(confirm.inner_text())
    hands.press("Enter")
    expect_freed(desk)
    expect(table).to_have_attribute("data-runs", "0")
    hands.said(f"{OLD} old runs deleted by keys")
    assert desk.errors == []

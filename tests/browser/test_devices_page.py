"""The page of the devices and the panel's alerts: load, holders, executors, storage; what is put away stays away."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, alerts
from tests.browser.accessibility import SIDEBAR, faults
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser]
SIDEWAYS = "tab => tab.scrollWidth - tab.clientWidth"
NAME = "a long training of the demo, seed 3"


@pytest.fixture(autouse=True)
def two_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two slots of the processor, which are the devices of a machine without a GPU."""
    monkeypatch.setenv("IMGCLS_CPU_SLOTS", "2")


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache with a model for images of 5 MB, and one for texts, which is other programs'."""
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    for name, files in (("images", ("config.json", "preprocessor_config.json")), ("texts", ("config.json",))):
        snapshot = tmp_path / "hub" / f"models--org--{name}" / "snapshots" / "abc"
        snapshot.mkdir(parents=True)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("abc")
        for file in files:
            (snapshot / file).write_text("{}")
        (snapshot / "model.safetensors").write_bytes(bytes(5_000_000))
    return tmp_path / "hub"


def look(desk: Desk, name: str) -> None:
    """Pictures for a person in two widths, and what axe says."""
    PICTURES.mkdir(exist_ok=True)
    for width in (1000, 1440):
        desk.page.set_viewport_size({"width": width, "height": 1000})
        desk.quiet()
        desk.page.screenshot(path=PICTURES / f"devices-{name}-{width}.png")
        desk.until(lambda: desk.main.evaluate(SIDEWAYS) <= 0, why=lambda: f"{name} is wider than {width} px")  # noqa: B023
    assert faults(desk.page) == [], name
    assert faults(desk.page, SIDEBAR) == [], name


def fill(lab: Lab) -> None:
    """Three copies of the database, of which two can go."""
    backups = lab.home / "backups"
    backups.mkdir(exist_ok=True)
    for day in (1, 2, 3):
        copy = backups / f"imgcls-0011-2026110{day}-120000.db"
        copy.write_bytes(b"x" * 1_000_000 * day)
        os.utime(copy, (1000.0 * day, 1000.0 * day))


def tell(lab: Lab, *names: str) -> None:
    with Store.open(Settings(home=str(lab.home))) as store, store.database.write() as session:
        for name in names:
            alerts.add(session, name, "stalled", f"“{name}” has made no progress for 30 minutes.", host="here")


def in_storage(desk: Desk) -> Callable[[str], Locator]:
    section = desk.main.get_by_role("region", name="Storage")
    return lambda kind: section.locator(f"[data-part={kind}]")


def clear(part: Locator) -> None:
    part.get_by_role("button", name="Clear…").click()
    part.get_by_role("alertdialog").get_by_role("button", name="Clear", exact=True).click()


def test_devices_are_looked_at_executors_ended_and_storage_freed(desk: Desk, lab: Lab, hub_cache: Path) -> None:
    fill(lab)
    start_demo(desk)
    run = launch(desk, **{"epochs": "300", "run-name": NAME})
    desk.run_page("running")
    panel = desk.page.locator("#imgcls-lab-sidebar")
    held = panel.get_by_role("region", name="Devices").get_by_role("button", name=NAME)
    expect(held).to_be_visible()
    panel.get_by_role("region", name="Devices").get_by_role("button", name="1 of 2 busy").click()
    expect(desk.main.get_by_role("heading", name="Devices", level=1)).to_be_visible()

    load = desk.main.get_by_role("img", name=re.compile("^Load of the machine .* over the last hour"))
    expect(load).to_have_attribute("data-points", re.compile(r"[2-9]|\d\d"), timeout=90_000)
    devices = desk.main.get_by_role("list", name=re.compile("^Devices of ")).get_by_role("listitem")
    expect(devices).to_have_count(2)
    expect(devices.nth(1)).to_contain_text("free")
    expect(desk.main).to_contain_text(re.compile(r"Warm start (holds \d+ MB|is on)"))
    part = in_storage(desk)
    expect(part("backups")).to_contain_text("3 copies")
    look(desk, "light")
    desk.choose_theme("JupyterLab Dark")
    look(desk, "dark")

    part("backups").get_by_role("button", name="Delete older…").click()
    question = part("backups").get_by_role("alertdialog")
    expect(question).to_contain_text("Free 3.0 MB?")
    desk.page.screenshot(path=PICTURES / "devices-question.png")
    question.get_by_role("button", name="Delete older").click()
    expect(part("backups")).to_contain_text("Freed 3.0 MB.")
    expect(part("backups")).to_contain_text("1 copy")

    clear(part("hub"))
    expect(part("hub")).to_contain_text("1 run is live and may use models from the hub.")
    assert len(list(hub_cache.iterdir())) == 2

    executors = desk.main.get_by_role("region", name="Executors")
    executors.get_by_role("button", name="Stop…").click()
    executors.get_by_role("alertdialog").get_by_role("button", name="Stop").click()
    expect(executors.locator("[data-executor]")).to_have_attribute("data-state", "stopped", timeout=30_000)
    expect(panel).to_contain_text("Nothing starts queued runs at the moment.")
    look(desk, "no-executor")
    executors.get_by_role("button", name="Start").click()
    expect(executors.locator("[data-executor]")).to_have_attribute("data-state", "alive", timeout=30_000)
    devices.first.get_by_role("button", name=NAME).click()
    expect(desk.run_page("running")).to_have_attribute("data-run", run)
    desk.main.get_by_role("button", name="Stop", exact=True).click()
    desk.run_page("stopped")

    panel.get_by_role("region", name="Devices").get_by_role("button", name="0 of 2 busy").click()
    expect(part("hub")).to_contain_text("1 model")
    clear(part("hub"))
    expect(part("hub")).to_contain_text("Freed 5.0 MB.")
    expect(part("hub")).to_contain_text("0 models")
    assert [folder.name for folder in hub_cache.iterdir()] == ["models--org--texts"]


def test_an_alert_that_is_put_away_stays_so_in_each_tab_until_it_is_taken_back(desk: Desk, lab: Lab) -> None:
    panel = desk.open_panel()
    tell(lab, "first", "second", "third")
    rows = panel.get_by_role("region", name="Alerts").locator("[data-alert]")
    expect(rows).to_have_count(3)
    other = desk.page.context.new_page()
    twin = Desk(other, lab)
    twin.open(reset=False)
    others = twin.open_panel().get_by_role("region", name="Alerts").locator("[data-alert]")
    expect(others).to_have_count(3)
    panel.get_by_role("button", name="Dismiss: “second”").click()
    expect(rows).to_have_count(2)
    expect(others).to_have_count(2)
    desk.page.screenshot(path=PICTURES / "devices-alerts.png")
    assert faults(desk.page, SIDEBAR) == []
    panel.get_by_role("button", name="dismiss all 2").click()
    expect(rows).to_have_count(0)
    expect(others).to_have_count(0)
    panel.get_by_role("button", name="Undo").click()
    expect(rows).to_have_count(2)
    expect(others).to_have_count(2)
    desk.open(reset=False)
    desk.open_panel()
    expect(rows).to_have_count(2)
    expect(panel.get_by_role("region", name="Alerts")).not_to_contain_text("second")
    assert twin.errors == []

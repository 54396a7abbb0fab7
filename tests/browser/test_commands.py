"""The palette finds all by the words that people use; settings have their effect at once; a right click trains."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, expect

from imgcls_lab.schemas import ProjectEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import write_images

pytestmark = [pytest.mark.browser]


def test_the_launcher_and_the_palette_lead_to_the_forms(desk: Desk) -> None:
    expect(desk.page.locator(".jp-Launcher-sectionTitle")).to_contain_text(["Notebook", "Image Lab", "Console"])
    cards = desk.page.locator(".jp-LauncherCard[data-category='Image Lab']")
    expect(cards).to_contain_text(["New training run", "All training runs", "TensorBoard"])
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / "launcher.png")
    for typed, command, heading in (
        ("sweep hyperparameters", "New Sweep", "New sweep"),
        ("models export", "Models: Add, Export", "Registries"),
    ):
        desk.by_palette(typed, command)
        expect(desk.main.get_by_role("heading", name=heading)).to_be_visible()
    expect(desk.main.get_by_role("tab", name="Models")).to_have_attribute("aria-selected", "true")


def open_settings(desk: Desk) -> Locator:
    """Lab's editor with the settings of Image Lab."""
    desk.page.evaluate("() => window.jupyterapp.commands.execute('imgcls-lab:open-settings')")
    form = desk.page.locator(".jp-SettingsForm").filter(has_text="Colours of curves")
    expect(form.first).to_be_visible()
    return form.first


@pytest.mark.parametrize("lab", [{"exposed": True}], indirect=True)
def test_each_setting_has_its_effect_at_once(desk: Desk, lab: Lab) -> None:
    with Store.open(Settings(home=str(lab.home))) as store:
        birds = store.projects.add(ProjectEdit(name="birds")).id
        config = {"root": "/data/x", "model_flavour": "a/b"}
        store.runs.submit(SubmitRequest(config=config, name="first", host="nowhere"))
    panel = desk.open_panel()
    panel.locator("footer").get_by_role("button", name="Runs").click()
    table = desk.main.get_by_role("treegrid", name="Runs")
    expect(table.get_by_role("columnheader", name="batch")).to_have_count(0)
    colour = "() => getComputedStyle(document.querySelector('.imgcls')).getPropertyValue('--imgcls-series-1')"
    before = desk.page.evaluate(colour)

    form = open_settings(desk)
    desk.page.screenshot(path=PICTURES / "settings.png")
    form.locator("select[id$=_palette]").select_option(label="Tableau, as in matplotlib")
    desk.page.wait_for_function(f"before => ({colour})() !== before", arg=before)

    for number, column in enumerate(("batch_size", "weight_decay")):
        form.get_by_title("Add item").click()
        field = form.locator(f"[id$=columns_{number}]")
        field.fill(column)
        field.press("Tab")
    form.locator("input[id$=_project]").fill("birds")
    form.locator("input[id$=_project]").press("Tab")
    form.locator("select[id$=_notifications]").select_option(label="None")

    panel.locator("footer").get_by_role("button", name="Runs").click()
    expect(table.get_by_role("columnheader", name="batch")).to_be_visible()
    expect(table.get_by_role("columnheader", name="weight decay")).to_be_visible()
    expect(table.get_by_role("columnheader", name="state")).to_have_count(0)
    panel.get_by_role("button", name="+ New run").click()
    expect(desk.main.locator("select[name=project]")).to_have_value(str(birds))

    desk.open()  # they are kept
    desk.open_panel().get_by_role("button", name="+ New run").click()
    expect(desk.main.locator("select[name=project]")).to_have_value(str(birds))


def test_a_folder_of_the_file_browser_is_trained_on_by_a_right_click(desk: Desk, lab: Lab) -> None:
    (lab.work / "not mine").mkdir()
    write_images(lab.datasets / "photos", {"red": (200, 40, 40), "blue": (40, 40, 200)}, each=6)
    (lab.work / "photos").symlink_to(lab.datasets / "photos")
    files = desk.page.locator(".jp-DirListing-content")
    desk.page.get_by_role("button", name="Refresh the file browser").click()

    def train_on(name: str) -> None:
        files.get_by_text(name).click(button="right")
        desk.page.locator(".lm-Menu").get_by_text("Train on this folder").click()

    train_on("photos")
    expect(desk.main.locator("select[name=root]")).to_have_value(str(lab.datasets / "photos"))
    expect(desk.main.locator(".imgcls-preflight")).to_contain_text("2: blue, red")
    with desk.refused(403):
        train_on("not mine")
        expect(desk.main.get_by_text("lies outside the folders that may be named here")).to_be_visible()

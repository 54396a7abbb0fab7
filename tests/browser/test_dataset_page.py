"""From a folder to a revision of its labels: registering, the page of a data set, its images and their corrections."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect
from skimage import data

from tests.acceptance.test_correct_and_retrain import plant
from tests.browser.accessibility import SERIOUS, faults
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser]

CLASSES = {"cat": data.chelsea, "coffee": data.coffee, "rocket": data.rocket}
EACH = {"train": 30, "val": 8}


def write_photographs(root: Path) -> None:
    """Crops of three photographs. Planted: two copies across splits, a torn file, HTML, a dark image, a text file."""
    rng = np.random.default_rng(0)
    for name, photograph in CLASSES.items():
        whole = Image.fromarray(photograph()).convert("RGB")
        for split, count in EACH.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                x, y = (int(rng.integers(0, size - 150)) for size in whole.size)
                whole.crop((x, y, x + 150, y + 120)).save(folder / f"{number:02d}.jpg", quality=90)
    for name in ("cat", "coffee"):
        shutil.copy(root / "train" / name / "03.jpg", root / "val" / name / "copy.jpg")
    torn = (root / "train/rocket/05.jpg").read_bytes()
    (root / "train/rocket/torn.jpg").write_bytes(torn[: len(torn) // 3])
    (root / "train/rocket/page.jpg").write_text("<html><body>404</body></html>")
    Image.new("RGB", (150, 120), (2, 2, 3)).save(root / "train/cat/dark.png")
    (root / "train/cat/notes.txt").write_text("no image")


def look(desk: Desk, name: str) -> None:
    """A picture for a person, and what axe says."""
    desk.quiet()  # pictures that were on the way are there
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"dataset-{name}.png")
    assert faults(desk.page, impacts=SERIOUS) == [], name


def register(desk: Desk) -> None:
    """Choose the folder by keys, read what is said of it, register it."""
    desk.open_panel().get_by_role("button", name="Registries").click()
    desk.main.get_by_role("button", name="Register a folder…").click()
    desk.main.get_by_role("option", name="photographs").press("Enter")
    expect(desk.main.get_by_role("status", name="What is in the folder")).to_contain_text("can be registered")
    look(desk, "register")
    desk.main.get_by_role("button", name="Register", exact=True).click()
    expect(desk.main.get_by_role("heading", name="photographs")).to_be_visible()


def exclude_a_copy(desk: Desk) -> None:
    """The audit that began by itself shows its problems; one of two copies is excluded from train/."""
    copies = desk.main.get_by_role("region", name="Copies across splits")
    expect(copies.get_by_role("listitem")).to_have_count(2, timeout=90_000)
    expect(copies.locator("img").first).to_be_visible()
    expect(desk.main.get_by_role("region", name="Unreadable").get_by_role("listitem")).to_have_count(2)
    expect(desk.main.get_by_role("region", name="Dark, blurred, odd")).to_contain_text("dark")
    copies.get_by_role("button", name="Exclude from train").first.click()
    expect(copies.get_by_role("listitem").first).to_contain_text("excluded")
    look(desk, "problems")


def correct_by_keys(desk: Desk) -> None:
    """One image is excluded and one gets another class, by keys alone; another is seen large."""
    desk.main.get_by_role("tab", name="Images").click()
    grid = desk.main.get_by_role("grid", name="Images of the data set")
    expect(grid).to_have_attribute("data-total", "119")
    desk.main.get_by_role("combobox", name="Split").select_option("train")
    expect(grid).to_have_attribute("data-total", "93")
    keys = desk.page.keyboard
    grid.locator("[tabindex='0']").press("ArrowRight")
    expect(grid.locator("[data-index='1']")).to_be_focused()
    keys.press("x")
    keys.press("ArrowRight")
    keys.press("r")
    keys.type("roc")
    keys.press("Enter")
    expect(grid.locator("[data-index='2']")).to_contain_text("cat → rocket")
    expect(grid.locator("[data-index='2']")).to_be_focused()
    keys.press("Enter")
    box = desk.page.get_by_role("dialog")
    expect(box).to_contain_text("3 of 93")
    keys.press("j")
    expect(box).to_contain_text("4 of 93")
    expect(box.locator("img")).to_have_js_property("naturalWidth", 150)
    look(desk, "lightbox")
    box.press("Escape")
    expect(box).to_have_count(0)
    expect(grid.locator("[data-index='2']")).to_be_focused()
    look(desk, "images")


def save_and_undo(desk: Desk) -> None:
    """The draft outlives a reload, becomes a revision with its pictures, and is taken back."""
    desk.page.reload()
    draft = desk.main.get_by_role("region", name="Corrections that are not saved")
    expect(draft).to_contain_text("3 corrections", timeout=30_000)
    expect(desk.main.get_by_role("tab", name="Images")).to_have_attribute("aria-selected", "true")
    draft.get_by_role("button", name="show").click()
    look(desk, "draft")
    draft.get_by_role("button", name="Save as revision 1").click()
    expect(draft).to_have_count(0)
    desk.main.get_by_role("tab", name="Revisions").click()
    changes = desk.main.get_by_role("list", name="Changes of revision 1")
    expect(changes.get_by_role("listitem")).to_have_count(3)
    expect(changes.locator("img").first).to_be_visible()
    expect(desk.main.locator(".imgcls-figures")).to_contain_text("revision 1")
    expect(desk.main.locator(".imgcls-figures")).to_contain_text("115")  # 117 readable images without the two excluded
    look(desk, "revisions")
    changes.locator("xpath=ancestor::li[contains(@class, 'imgcls-card')]").get_by_role(
        "button", name="Train on it…"
    ).click()
    expect(desk.main.locator("select[name=root] option:checked")).to_contain_text("photographs")
    expect(desk.main.locator("[name=data_revision]")).to_have_value("1")
    desk.page.get_by_role("tab", name="photographs").click()
    desk.main.get_by_role("button", name="Undo…").click()
    desk.main.get_by_role("button", name="Undo", exact=True).click()
    expect(desk.main.get_by_role("heading", name="Revision 2")).to_be_visible()
    expect(desk.main.locator(".imgcls-figures")).to_contain_text("117")


def in_other_looks(desk: Desk) -> None:
    """Narrow, and in the dark theme."""
    page = desk.page
    for tab in ("Overview", "Problems", "Map"):
        desk.main.get_by_role("tab", name=tab).click()
        page.set_viewport_size({"width": 1000, "height": 800})
        look(desk, f"{tab.lower()}-1000")
        page.set_viewport_size({"width": 1440, "height": 900})
    desk.choose_theme("JupyterLab Dark")
    for tab in ("Overview", "Images", "Problems", "Revisions"):
        desk.main.get_by_role("tab", name=tab).click()
        look(desk, f"{tab.lower()}-dark")


def test_a_folder_is_registered_looked_at_and_corrected(desk: Desk, lab: Lab) -> None:
    write_photographs(lab.datasets / "photographs")
    register(desk)
    exclude_a_copy(desk)
    correct_by_keys(desk)
    save_and_undo(desk)
    in_other_looks(desk)
    find_it_again(desk)


def find_it_again(desk: Desk) -> None:
    """The folder browser says that the folder is registered, and leads to its data set."""
    desk.page.locator("#imgcls-lab-sidebar").get_by_role("button", name="Registries").click()
    desk.main.get_by_role("button", name="Register a folder…").click()
    option = desk.main.get_by_role("option", name="photographs")
    expect(option).to_contain_text("registered as “photographs”")
    option.press("Enter")
    status = desk.main.get_by_role("status", name="What is in the folder")
    expect(status).to_contain_text("registered already")
    expect(desk.main.get_by_role("button", name="Register", exact=True)).to_be_disabled()
    look(desk, "registered")
    status.get_by_role("button", name="photographs").click()
    expect(desk.main.get_by_role("heading", name="photographs")).to_be_visible()


def lasso(desk: Desk) -> None:
    """Draw a line around the middle of the map: its images come into the grid."""
    canvas = desk.main.locator(".imgcls-map")
    expect(canvas).to_have_attribute("data-points", "1797")
    desk.quiet()  # its first picture is drawn
    box = canvas.bounding_box()
    assert box
    x, y, mouse = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, desk.page.mouse
    mouse.move(x - 150, y - 150)
    mouse.down()
    for dx, dy in ((0, -160), (150, -150), (160, 0), (150, 150), (-150, 150), (-160, 0)):
        mouse.move(x + dx, y + dy, steps=5)
    mouse.up()
    expect(desk.main.get_by_role("grid", name="Selected images of the map").locator("img").first).to_be_visible()


@pytest.mark.slow
def test_a_trained_model_finds_wrong_labels_and_draws_the_map(desk: Desk, lab: Lab) -> None:
    plant(lab)
    start_demo(desk)
    launch(desk, epochs="5")
    desk.run_page("succeeded")
    desk.main.get_by_role("tab", name="Evaluation").click()
    desk.main.get_by_label("evaluation of").select_option("train")
    desk.main.get_by_role("button", name="suspicious").click()
    cells = desk.main.locator(".imgcls-images-card .imgcls-grid-cell")
    expect(cells.and_(desk.main.get_by_label("planted")).first).to_be_visible()
    look(desk, "train")
    desk.main.locator(".imgcls-chips").get_by_role("button", name="digits").click()
    desk.main.get_by_role("tab", name="Problems").click()
    desk.main.get_by_role("button", name="Audit…").click()
    desk.main.get_by_role("button", name="Start the audit").click()
    expect(desk.main.get_by_text(re.compile("^Audited"))).to_be_visible(timeout=120_000)
    card = desk.main.get_by_role("region", name="Probable label errors")
    expect(card.locator(".imgcls-label-active img")).to_be_visible()
    for key in "arsx":
        card.locator(".imgcls-virtual").press(key)
    expect(card.get_by_role("status")).to_contain_text("3 decided")
    look(desk, "label-errors")
    desk.main.get_by_role("tab", name="Map").click()
    lasso(desk)
    look(desk, "map")

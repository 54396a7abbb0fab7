"""Models in the panel: a checkpoint becomes one, says where it came from, and goes to a folder for other programs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_panel import launch, start_demo

pytestmark = [pytest.mark.browser]


@pytest.fixture(autouse=True)
def hub_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub's cache with one model for images, whose weights are not there yet."""
    snapshot = tmp_path / "hub" / "models--org--tiny-resnet" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("abc")
    (snapshot / "config.json").write_text(json.dumps({"architectures": ["ResNetForImageClassification"]}))
    (snapshot / "preprocessor_config.json").write_text(json.dumps({"size": {"height": 224, "width": 224}}))
    index = {"metadata": {"total_size": 98_000_000}, "weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (snapshot / "model.safetensors.index.json").write_text(json.dumps(index))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def fits(table: Locator) -> bool:
    return bool(table.evaluate("it => it.scrollWidth <= it.parentElement.clientWidth + 1"))


def words_in_pieces(table: Locator) -> list[str]:
    """Texts of a table of which a word stands on two lines."""
    found: list[str] = table.evaluate(
        """table => {
          const broken = [], walker = document.createTreeWalker(table, NodeFilter.SHOW_TEXT);
          while (walker.nextNode()) {
            const node = walker.currentNode;
            for (const { index, 0: word } of node.data.matchAll(/[^\\s/·-]+/g)) {
              const range = document.createRange();
              range.setStart(node, index);
              range.setEnd(node, index + word.length);
              if (new Set([...range.getClientRects()].map(({ top }) => Math.round(top))).size > 1) broken.push(word);
            }
          }
          return broken;
        }"""
    )
    return found


def stands_whole(desk: Desk, table: Locator, when: str) -> None:
    """Once the page has drawn itself anew."""
    desk.until(
        lambda: fits(table) and not words_in_pieces(table),
        30,
        lambda: f"{when}: wider than its place ({not fits(table)}), words in pieces: {words_in_pieces(table)}",
    )


def picture(desk: Desk, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"{name}.png")


@pytest.mark.parametrize("lab", [{}, {"theme": "JupyterLab Dark"}], indirect=True, ids=["light", "dark"])
def test_production(desk: Desk, lab: Lab, request: pytest.FixtureRequest) -> None:
    theme = request.node.callspec.id
    start_demo(desk)
    launch(desk, **{"run-name": "digits for production", "epochs": "1"})
    desk.run_page("succeeded")
    desk.main.get_by_role("tab", name="Checkpoints").click()
    desk.main.get_by_role("button", name="Make a model").click()
    expect(desk.main.get_by_text("Registered as the model “digits for production · best”")).to_be_visible()

    desk.page.locator("#imgcls-lab-sidebar footer").get_by_role("button", name="Registries").click()
    desk.main.get_by_role("tab", name="Models").click()
    desk.main.get_by_role("button", name="Add a model…").click()
    cached = desk.main.get_by_role("list", name="Models from the hub that are on this machine")
    cached.get_by_role("button", name="org/tiny-resnet").click()
    expect(desk.main.get_by_text("needs 98.0 MB from the hub")).to_be_visible()
    desk.main.get_by_role("textbox", name="Name").fill("tiny from the hub")
    picture(desk, f"models-add-{theme}")
    desk.main.get_by_role("button", name="Add", exact=True).click()
    row = desk.main.locator("tr[data-name='digits for production · best']")
    expect(row).to_contain_text("epoch 1 of digits for production")
    expect(row).to_contain_text("10 classes")
    for width in (1440, 1000):
        desk.page.set_viewport_size({"width": width, "height": 900})
        table = desk.main.get_by_role("table")
        stands_whole(desk, table, f"at {width} px")
        picture(desk, f"models-{theme}-{width}")

    row.get_by_role("button", name="Export…").press("Enter")
    form = desk.main.get_by_role("group", name="Export digits for production · best")
    place = form.get_by_role("option", name=str(lab.home / "models"))
    place.focus()
    place.press("Enter")
    form.get_by_label("Name of the new folder").fill("production")
    picture(desk, f"models-export-{theme}")
    form.get_by_label("Name of the new folder").press("Enter")
    result = desk.main.get_by_text("was written to")
    expect(result).to_be_visible(timeout=60_000)
    expect(result).to_contain_text(f"{lab.home}/models/production")
    desk.until(lambda: fits(table), 30, lambda: "the result widens the table")
    picture(desk, f"models-exported-{theme}")
    assert (lab.home / "models" / "production" / "model.safetensors").is_file()
    base = desk.main.locator("tr[data-name]", has_text="tiny").filter(
        has=desk.page.get_by_role("button", name="1", exact=True)
    )
    base.get_by_role("button", name="1", exact=True).click()
    expect(desk.main.get_by_role("treegrid", name="Runs")).to_contain_text("digits for production")

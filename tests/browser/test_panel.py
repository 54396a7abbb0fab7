"""The main job from the panel alone, as a user does it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from imgcls_lab.widgets.widget_output import KERNEL_TYPE, WIDGET_TYPE
from tests.browser.conftest import Desk, Lab

pytestmark = [pytest.mark.browser]


def write_images(root: Path, classes: dict[str, tuple[int, int, int]], each: int = 24) -> None:
    """An ImageFolder of small pictures, a colour a class."""
    rng = np.random.default_rng(0)
    for split, count in (("train", each), ("val", each // 3)):
        for name, colour in classes.items():
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(colour, 30, (32, 32, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{i}.png")


def start_demo(desk: Desk) -> None:
    """From an empty panel to the new-run form with the demo preselected."""
    panel = desk.open_panel()
    panel.get_by_role("button", name="Try the demo").click()
    expect(desk.main.get_by_role("heading", name="New run")).to_be_visible(timeout=60_000)  # 1,797 files come first
    expect(desk.main.locator("select[name=root] option:checked")).to_contain_text("digits · 1,797 images, 10 classes")


def fill_in(desk: Desk, **values: str) -> None:
    """Write values into the form in front, folded ones too."""
    for name, value in values.items():
        field = desk.main.locator(f"[name={name}]")
        field.evaluate("element => element.closest('details')?.setAttribute('open', '')")
        field.fill(value)


def launch(desk: Desk, **values: str) -> str:
    """Fill in the form in front, launch it, and the id of the run that opens."""
    fill_in(desk, **values)
    button = desk.main.get_by_role("button", name="Launch", exact=True)
    expect(button).to_be_enabled()
    button.click()
    page = desk.run_page()
    expect(page).to_be_visible()
    return page.get_attribute("data-run") or ""


def test_demo_run_is_launched_from_the_panel_and_its_curve_moves(desk: Desk, lab: Lab) -> None:
    start_demo(desk)
    run = launch(desk, epochs="12")
    desk.run_page("running")
    expect(desk.page.locator("#jp-main-statusbar")).to_contain_text("1 running")
    first = desk.wait_for_points(0)
    desk.wait_for_points(first)
    desk.run_page("succeeded")
    expect(desk.page.locator(".Toastify").get_by_text("has finished")).to_be_visible()  # for eight seconds

    expect(desk.main.locator(".imgcls-metrics")).to_contain_text("epoch")
    row = desk.page.locator(f"#imgcls-lab-sidebar section[aria-label=Recent] [data-run='{run}']")
    expect(row).to_contain_text(re.compile(r"\d\d\.\d %"))
    desk.main.get_by_role("tab", name="Evaluation").click()
    expect(desk.main.locator(".imgcls-confusion tbody tr")).to_have_count(10)
    desk.main.get_by_role("tab", name="Checkpoints").click()
    expect(desk.main.locator(".imgcls-tab")).to_contain_text("best")
    desk.main.get_by_role("tab", name="Log").click()
    expect(desk.main.locator(".imgcls-log")).not_to_be_empty()

    # A notebook that shows the run, opened on another day: its curve comes from the server, with no kernel.
    live = desk.open_output("application/vnd.imgcls.run+json", {"run_id": run, "version": 1})
    expect(live).to_contain_text("succeeded")
    expect(live.locator(".imgcls-chart[aria-label=Accuracy]")).to_have_attribute("data-points", "12")


def test_a_saved_output_that_its_kernel_alone_knew_shows_its_picture_and_why(desk: Desk) -> None:
    gone = {"version_major": 2, "version_minor": 1, "model_id": "0" * 32}
    desk.open_output(KERNEL_TYPE, {"version": 1}, {WIDGET_TYPE: gone, "text/html": "<p>18 mistakes</p>"})
    output = desk.page.locator(".jp-OutputArea-output")
    expect(output.get_by_text("run the cell again")).to_be_visible()
    expect(output.get_by_text("18 mistakes")).to_be_visible()
    expect(output.get_by_text("model not found")).to_be_hidden()
    desk.errors.clear()  # Lab's widgets complain in the console that there is no such model


def shown_of(desk: Desk, title: str = "Loss") -> tuple[float, float]:
    """The ends of the x axis of a chart in front."""
    plot = desk.main.locator(f".imgcls-chart[aria-label='{title}'] .imgcls-plot")
    expect(plot).to_have_attribute("data-window", re.compile(r"\S \S"))  # once it is drawn
    low, high = (plot.get_attribute("data-window") or "").split()
    return float(low), float(high)


def wait_for_window(desk: Desk, holds: Callable[[float, float], bool]) -> tuple[float, float]:
    """The ends of the x axis, once they are as asked: a chart draws in a frame after the page has changed."""
    desk.until(lambda: holds(*shown_of(desk)), 20, lambda: f"the chart of the loss shows {shown_of(desk)}")
    return shown_of(desk)


def zoom_stays(desk: Desk) -> None:
    """A window drawn into a live chart is that of all charts, and stays as points come in; keys move it."""
    desk.wait_for_points(0, "Accuracy")  # the page has all its parts, and nothing moves any more
    seen = desk.points()
    low, high = shown_of(desk)
    over = desk.main.locator(".imgcls-chart[aria-label=Loss] .u-over")
    over.hover()  # it comes into view; a chart that gets a new curve is another element, and is looked for again
    box = over.bounding_box()
    assert box
    middle = box["y"] + box["height"] / 2
    desk.page.mouse.move(box["x"] + box["width"] * 0.25, middle)
    desk.page.mouse.down()
    desk.page.mouse.move(box["x"] + box["width"] * 0.5, middle, steps=4)
    desk.page.mouse.up()
    buttons = desk.main.get_by_role("button", name="show all")
    expect(buttons.first).to_be_visible()
    window = wait_for_window(desk, lambda left, _: left > low + (high - low) / 10)
    assert window[1] <= desk.step()
    desk.wait_for_points(desk.wait_for_points(seen))
    assert shown_of(desk) == window
    desk.until(lambda: shown_of(desk, "Accuracy") == window, 20, lambda: f"accuracy shows {shown_of(desk, 'Accuracy')}")

    plot = desk.main.get_by_role("group", name="Loss: + and - zoom")
    plot.press("+")
    half = (window[1] - window[0]) / 2
    wait_for_window(desk, lambda left, right: right - left == pytest.approx(half))
    plot.press("Escape")
    expect(buttons).to_have_count(0)
    plot.press("+")
    expect(buttons.first).to_be_visible()
    over.dblclick()
    expect(buttons).to_have_count(0)
    wait_for_window(desk, lambda left, right: left == low and right > high)


def test_run_goes_on_through_reload_and_kill_of_the_server(desk: Desk, lab: Lab) -> None:
    start_demo(desk)
    run = launch(desk, epochs="400")
    desk.run_page("running")
    desk.wait_for_points(0)
    zoom_stays(desk)

    desk.page.reload()
    page = desk.run_page("running", run=run)  # its tab came back, live
    seen = desk.wait_for_points(0)
    seen = desk.wait_for_points(seen)

    with desk.server_down():
        lab.kill()
        expect(desk.main.get_by_text("reconnecting…")).to_be_visible()
        step = desk.step()
        lab.start()
        expect(desk.main.get_by_text("reconnecting…")).to_be_hidden(timeout=40_000)
        desk.wait_for_points(seen)
    desk.run_page("running")
    expect(page).to_have_attribute("data-attempt", "1")
    desk.wait_for_step(step)

    with desk.server_down():  # Lab's own requests from before the kill may still fail
        desk.page.reload()
        page = desk.run_page("running")
        expect(page).to_have_attribute("data-attempt", "1")
        desk.wait_for_points(0)


def test_stranger_registers_saves_launches_compares_stops_and_resumes(desk: Desk, lab: Lab) -> None:
    write_images(lab.datasets / "colours", {"red": (200, 60, 60), "green": (60, 200, 60), "blue": (60, 60, 200)})
    (lab.datasets / "colours" / "train" / "red" / "torn.png").write_bytes(b"no image at all")
    start_demo(desk)
    expect(desk.main.locator("[data-base]")).to_have_text("Settings from “digits demo” · Reset")

    desk.main.get_by_role("button", name="Register a folder…").click()
    desk.main.get_by_role("option", name=re.compile("colours.*looks like a data set")).press("Enter")
    expect(desk.main.get_by_role("status", name="What is in the folder")).to_contain_text("can be registered")
    desk.main.get_by_role("button", name="Register", exact=True).click()
    expect(desk.main.locator("select[name=root] option:checked")).to_have_text("colours · 97 images, 3 classes")
    expect(desk.main.locator("[data-base]")).to_have_text(
        "Settings from “digits demo” · Reset"
    )  # the data alone changed
    desk.main.get_by_role("button", name="Reset").click()
    expect(desk.main.locator("[data-base]")).to_have_count(0)
    expect(desk.main.locator("[name=model_flavour]")).to_have_value("")
    fill_in(desk, model_flavour="some/model")
    expect(desk.main.locator(".imgcls-preflight")).to_contain_text("will be looked up on the hub")
    fill_in(desk, model_flavour="tiny-resnet", image_size="32")  # as the registry names it
    expect(desk.main.locator(".imgcls-preflight")).to_contain_text("A folder on this machine")

    desk.main.get_by_role("button", name="Save config…").click()
    desk.main.locator("[name=config-name]").fill("my colours")
    desk.main.get_by_role("button", name="Save", exact=True).click()
    expect(desk.main.get_by_text("Saved as “my colours”.")).to_be_visible()
    first = launch(desk, **{"run-name": "short one", "epochs": "2"})
    expect(desk.page.locator(".lm-TabBar-tabLabel", has_text="New run")).to_have_count(0)  # its form is closed
    expect(desk.main.get_by_text("1 image could not be read and is left out")).to_be_visible(timeout=60_000)

    desk.page.locator("#imgcls-lab-sidebar").get_by_role("button", name="+ New run").click()
    desk.main.locator("select[name=load-config]").select_option(label="my colours")
    expect(desk.main.locator("select[name=root] option:checked")).to_contain_text("colours")
    expect(desk.main.locator("[data-base]")).to_contain_text("“my colours”")
    expect(desk.main.locator(".imgcls-preflight")).to_contain_text("1 image that “short one” could not read")
    second = launch(desk, **{"run-name": "long one", "epochs": "3000", "lr": "5e-4"})
    assert first != second
    desk.run_page("running")
    desk.wait_for_points(0)

    desk.page.locator("#imgcls-lab-sidebar").get_by_role("button", name="Runs", exact=True).click()
    for name in ("short one", "long one"):
        desk.main.get_by_role("checkbox", name=f"Choose {name}").check()
    desk.main.get_by_role("button", name="Compare 2").click()
    legend = desk.main.get_by_role("group", name="Legend of all charts")
    expect(legend.get_by_role("listitem")).to_have_count(2)
    expect(legend).to_contain_text("short one")
    expect(legend).to_contain_text("long one")
    desk.wait_for_points(desk.points("validation loss"), "validation loss")
    expect(desk.main.get_by_role("row", name=re.compile("^config epochs"))).to_contain_text("3000")
    expect(desk.main.get_by_role("region", name="Verdict")).to_contain_text("95 % interval")

    desk.page.locator(f"#imgcls-lab-sidebar [data-run='{second}']").click()
    desk.main.get_by_role("button", name="Stop", exact=True).click()
    page = desk.run_page("stopped")
    stopped_at = desk.step()
    assert stopped_at > 0
    desk.main.get_by_role("button", name="Resume", exact=True).click()
    desk.run_page("running")
    expect(page).to_have_attribute("data-attempt", "2")
    expect(desk.main.locator(".imgcls-chips")).to_contain_text("resumed at step")
    before = desk.points()
    desk.wait_for_points(before)
    desk.wait_for_step(stopped_at)


def test_what_is_wrong_is_said_beside_the_field(desk: Desk) -> None:
    start_demo(desk)
    desk.main.locator("[name=batch_size]").fill("0")
    field = desk.main.locator(".imgcls-field", has=desk.page.locator("[name=batch_size]"))
    expect(field.get_by_role("alert")).to_contain_text("greater than 0")
    expect(desk.main.get_by_role("button", name="Launch", exact=True)).to_be_disabled()
    desk.main.locator("[name=batch_size]").fill("many")
    expect(field.get_by_role("alert")).to_contain_text("“many” is not a number.")
    desk.main.locator("[name=batch_size]").fill("64")
    expect(desk.main.get_by_role("button", name="Launch", exact=True)).to_be_enabled()


@pytest.mark.parametrize("lab", [{"base_url": "/user/a%20b/"}], indirect=True)
def test_panel_works_under_a_base_url_as_a_hub_gives_it(desk: Desk) -> None:
    start_demo(desk)
    launch(desk, epochs="1")
    desk.wait_for_points(0)
    desk.run_page("succeeded")


@pytest.mark.parametrize("lab", [{"theme": "JupyterLab Dark"}], indirect=True)
def test_dark_theme_reads_as_well_as_the_light_one(desk: Desk) -> None:
    start_demo(desk)
    contrasts = desk.main.evaluate(CONTRASTS)
    assert contrasts["dark"], "the page is light under the dark theme"
    assert {name: value for name, value in contrasts["pairs"].items() if value < 4.5} == {}
    assert contrasts["smallest"] >= 11


CONTRASTS = """element => {
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = name => {
    const probe = element.appendChild(document.createElement('span'));
    probe.style.color = `var(--imgcls-${name})`;
    canvas.fillStyle = getComputedStyle(probe).color;
    canvas.fillRect(0, 0, 1, 1);
    probe.remove();
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = colour => {
    const [r, g, b] = colour.map(v => v / 255).map(v => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [high, low] = [light(rgb(a)), light(rgb(b))].sort((x, y) => y - x);
    return (high + 0.05) / (low + 0.05);
  };
  const pairs = {};
  for (const name of ['text', 'text-soft', 'text-muted', 'brand', 'ok', 'warn', 'error'])
    for (const under of ['bg', 'bg-soft']) pairs[`${name} on ${under}`] = contrast(name, under);
  pairs['on-brand on brand'] = contrast('on-brand', 'brand');
  const texts = [...document.querySelectorAll('.imgcls *')]
    .filter(node => node.checkVisibility() && node.innerText?.trim());
  return {
    dark: light(rgb('bg')) < 0.2,
    pairs,
    smallest: Math.min(...texts.map(node => parseFloat(getComputedStyle(node).fontSize))),
  };
}"""

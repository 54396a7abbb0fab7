"""Take the pictures of the docs: a real JupyterLab, real runs of the demo, light and dark. `make pictures` runs it."""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import FLAGS, Desk, Lab  # noqa: E402
from tests.browser.test_panel import launch, start_demo  # noqa: E402
from tests.browser.tour import change_theme, close_tabs, settle, show  # noqa: E402

CHROMIUM = "/usr/bin/chromium"
MOST = 150_000  # bytes of a picture: the repository stays small
RUNS = {"short warm-up": {"lr": "3e-3", "epochs": "6"}, "ten epochs": {"epochs": "10"}}


def keep(page: Page, path: Path) -> None:
    """The page as it is, in 256 colours."""
    page.wait_for_timeout(600)  # thumbnails that are on the way
    whole = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    # the few pixels of a line or a dot keep their colour
    few = whole.quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(path, optimize=True)
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}: {size / 1000:.0f} kB")
    if size > MOST:
        raise SystemExit(f"{path} has {size:,} bytes, more than {MOST:,}.")


def train(desk: Desk) -> list[str]:
    """Runs that have something to show."""
    start_demo(desk)
    ids = []
    for name, values in RUNS.items():
        ids.append(launch(desk, **{"run-name": name, **values}))
        desk.run_page("succeeded", timeout=900)
        desk.page.locator("#imgcls-lab-sidebar").get_by_role("button", name="+ New run").click()
        expect(desk.main.locator("[name=lr]")).to_be_visible()
    desk.page.wait_for_timeout(6500)  # Lab's notification of the end fades
    return ids


def shots(desk: Desk, ids: list[str]) -> Iterator[str]:
    """Brings one page after the other to the front; yields what it is."""
    close_tabs(desk)
    show(desk, {"view": "new-run"})
    yield "new-run"
    show(desk, {"view": "run", "id": ids[-1]})
    desk.wait_for_points(10)
    yield "run"
    desk.main.get_by_role("tab", name="Evaluation", exact=True).click()
    settle(desk)
    expect(desk.main.locator(".imgcls-images-card .imgcls-thumb img").first).to_be_visible()
    yield "evaluation"
    show(desk, {"view": "compare", "ids": ids})
    yield "compare"


def shoot(themes: list[str], out: Path) -> None:
    """All pages under these themes."""
    expect.set_options(timeout=120_000)  # on a busy machine, too
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder), exposed=True)
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            lab.start()
            desk = Desk(browser.new_page(viewport={"width": 1440, "height": 900}), lab)
            desk.open()
            ids = train(desk)
            for theme in themes:
                change_theme(desk, theme)
                for name in shots(desk, ids):
                    keep(desk.page, out / f"{name}-{theme}.png")
        finally:
            browser.close()
            lab.close()


if __name__ == "__main__":
    target = Path(sys.argv[1]).resolve() if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    shoot(sys.argv[2:] or ["light", "dark"], target)

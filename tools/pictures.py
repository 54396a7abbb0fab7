"""Take the pictures of the docs: a real JupyterLab, a real run of the demo, light and dark. `make pictures` runs it."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from playwright.sync_api import expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from tests.browser.conftest import FLAGS, Desk, Lab  # noqa: E402
from tests.browser.test_panel import launch, start_demo  # noqa: E402

CHROMIUM = "/usr/bin/chromium"


def shoot(theme: str, out: Path) -> None:
    """A run page with its curves, and the new-run form, under one theme."""
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        lab = Lab(Path(folder), theme=f"JupyterLab {theme.title()}")
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        try:
            lab.start()
            desk = Desk(browser.new_page(viewport={"width": 1440, "height": 900}), lab)
            desk.open()
            start_demo(desk)
            desk.page.screenshot(path=out / f"new-run-{theme}.png")
            for name, values in {"short warm-up": {"lr": "3e-3"}, "ten epochs": {"epochs": "10"}}.items():
                launch(desk, **{"run-name": name, **values})
                page = desk.run_page("succeeded", timeout=240)
                expect(page).to_be_visible()
                desk.page.locator("#imgcls-lab-sidebar").get_by_role("button", name="+ New run").click()
                expect(desk.main.locator("[name=lr]")).to_be_visible()
            desk.page.locator("#imgcls-lab-sidebar section[aria-label=Recent] [data-run]").first.click()
            desk.run_page("succeeded")
            desk.wait_for_points(10)
            desk.page.wait_for_timeout(6500)  # Lab's notification of the end fades
            desk.page.screenshot(path=out / f"run-{theme}.png")
            desk.main.get_by_role("tab", name="Evaluation").click()
            desk.page.wait_for_timeout(800)
            desk.page.screenshot(path=out / f"evaluation-{theme}.png")
        finally:
            browser.close()
            lab.close()


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    target.mkdir(parents=True, exist_ok=True)
    for wanted in sys.argv[2:] or ["light", "dark"]:
        shoot(wanted, target)

"""What a notebook keeps of a run, by each way in which notebooks are executed: its final curve, state and metric.

The sizes are printed with their budgets (`pytest -s`).
"""

from __future__ import annotations

import base64
import io
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from api.conftest import few, own
from browser.conftest import Desk, browser, chromium_path, context, desk, lab
from browser.notebook_cells import end_kernels, notebook_file, open_notebook, run_cell, save, show_notebook
from PIL import Image
from playwright.sync_api import Browser, expect
from saved_cells import LAUNCH, accuracy_of, cells_of, check_cell, images_of, run_of

from imgcls_lab import TrainConfig, runs
from imgcls_lab.settings import Settings

__all__ = ["browser", "context", "desk", "few", "lab", "own"]

CONFIG = "import imgcls_lab as lab\nconfig = lab.TrainConfig.model_validate_json({config!r})\n"
WAYS = {
    "watched": 'run = lab.launch(config, name="watched")\nrun.watch()\nrun.wait()',
    # nobody waits by our functions: the cell's own thread keeps it
    "alone": (
        'import time\nrun = lab.launch(config, name="alone")\nrun.watch()\n'
        'while run.state.value != "succeeded":\n    time.sleep(0.2)\ntime.sleep(3)'
    ),
    "trained": 'run = lab.train(config, name="trained")',
}
EXECUTORS = {
    "papermill": [sys.executable, "-m", "papermill", "in.ipynb", "out.ipynb"],
    "nbconvert": [sys.executable, "-m", "nbconvert", "--execute", "--to", "notebook", "--output", "out", "in.ipynb"],
}


def write(folder: Path, config: TrainConfig, source: str) -> None:
    cell = nbformat.v4.new_code_cell(CONFIG.format(config=config.model_dump_json()) + source)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, folder / "in.ipynb")


def command(folder: Path, *arguments: str) -> None:
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stderr[-4000:]


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("executor", EXECUTORS)
def test_an_executed_notebook_keeps_the_final_accuracy(
    executor: str, way: str, few: TrainConfig, own: Settings, tmp_path: Path
) -> None:
    write(tmp_path, few, WAYS[way])
    command(tmp_path, *EXECUTORS[executor])
    (run,) = runs()
    (output,) = cells_of(tmp_path / "out.ipynb")
    check_cell(output, run, f"{executor}, {way}")
    assert "widgets" not in json.loads((tmp_path / "out.ipynb").read_text())["metadata"]


@pytest.mark.slow
def test_html_made_of_it_shows_the_curves_without_a_network(
    few: TrainConfig, own: Settings, tmp_path: Path, browser: Browser
) -> None:
    write(tmp_path, few, WAYS["watched"])
    command(tmp_path, *EXECUTORS["papermill"])
    command(tmp_path, sys.executable, "-m", "nbconvert", "--to", "html", "out.ipynb")
    (run,) = runs()
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.goto((tmp_path / "out.html").as_uri())
    alt = f"Curves of {run.name}"
    expect(page.locator("body")).to_contain_text(accuracy_of(run))
    page.wait_for_function("alt => document.querySelector(`img[alt='${alt}']`).naturalWidth > 700", arg=alt)
    page.screenshot(path=tmp_path / "offline.png", full_page=True)
    context.close()


ITS_OWN_CHROMIUM = """
from playwright.sync_api import sync_playwright
with sync_playwright() as playwright:
    playwright.chromium.launch()
"""


@pytest.fixture
def chromium_of_exporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """nbconvert launches the Chromium that Playwright downloads, and no other: a link there leads to the installed."""
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path / "browsers"))
    asked = [sys.executable, "-c", ITS_OWN_CHROMIUM]
    said = subprocess.run(asked, capture_output=True, text=True, check=False, timeout=240).stderr
    looked_for = re.search(r"Executable doesn't exist at (\S+)", said)
    assert looked_for, said[-2000:]
    link = Path(looked_for[1])
    link.parent.mkdir(parents=True)
    link.symlink_to(chromium_path())


@pytest.mark.slow
@pytest.mark.usefixtures("chromium_of_exporter")
def test_a_pdf_by_the_web_exporter_shows_the_curves(few: TrainConfig, own: Settings, tmp_path: Path) -> None:
    write(tmp_path, few, WAYS["watched"])
    command(tmp_path, *EXECUTORS["papermill"])
    command(tmp_path, sys.executable, "-m", "nbconvert", "--to", "webpdf", "out.ipynb")
    (output,) = cells_of(tmp_path / "out.ipynb")
    drawn = Image.open(io.BytesIO(base64.b64decode(output["data"]["image/png"]))).convert("RGB")
    assert drawn.width > 700
    assert drawn.tobytes() in images_of((tmp_path / "out.pdf").read_bytes())


@pytest.mark.slow
@pytest.mark.browser
def test_jupyterlab_saves_the_end_of_a_run_and_reopens_with_it(desk: Desk) -> None:
    open_notebook(desk, LAUNCH.format(epochs=3, name="in Lab"))
    cell = run_cell(desk, 0)
    expect(cell.locator(".imgcls-live [data-state=succeeded]")).to_be_visible(timeout=180_000)
    desk.quiet()
    save(desk)
    (output,) = cells_of(notebook_file(desk))
    check_cell(output, run_of(desk.lab.home), "JupyterLab")
    end_kernels(desk)
    show_notebook(desk)
    expect(desk.page.locator(".imgcls-live [data-state=succeeded]")).to_be_visible(timeout=60_000)


@pytest.mark.slow
@pytest.mark.browser
def test_a_notebook_saved_early_is_right_after_the_next_save_without_its_kernel(desk: Desk) -> None:
    open_notebook(desk, LAUNCH.format(epochs=6, name="overnight"))
    cell = run_cell(desk, 0)
    expect(cell.locator(".imgcls-live [data-state=running]")).to_be_visible(timeout=180_000)
    save(desk)
    (output,) = cells_of(notebook_file(desk))
    assert "has finished" not in "".join(output["data"]["text/plain"])
    end_kernels(desk)
    desk.page.goto("about:blank")
    run_of(desk.lab.home).wait()
    show_notebook(desk)
    expect(desk.page.locator(".imgcls-live [data-state=succeeded]")).to_be_visible(timeout=60_000)
    desk.page.locator(".jp-Notebook .jp-InputPrompt").first.click()
    deadline = time.monotonic() + 60
    while "has finished" not in "".join(cells_of(notebook_file(desk))[0]["data"]["text/plain"]):
        assert time.monotonic() < deadline, "the file still shows the run as it was"
        desk.page.locator("body").press("Control+s")  # the server's answer comes when it comes
        desk.page.wait_for_timeout(2000)  # between two looks
    (output,) = cells_of(notebook_file(desk))
    check_cell(output, run_of(desk.lab.home), "reopened")

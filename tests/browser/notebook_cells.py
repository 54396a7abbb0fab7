"""What a user does with the cells of a notebook in a real JupyterLab or Notebook 7."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import nbformat
from playwright.sync_api import Locator, expect

from browser.conftest import Desk


def open_notebook(desk: Desk, *sources: str) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source.strip()) for source in sources])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}
    nbformat.write(notebook, notebook_file(desk))
    show_notebook(desk)
    expect(desk.page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)


def show_notebook(desk: Desk) -> None:
    desk.page.goto(f"{desk.lab.root}lab/tree/live.ipynb?token=browser-tests&reset")
    expect(desk.page.locator(".jp-Notebook .jp-CodeCell").first).to_be_visible(timeout=60_000)


def run_cell(desk: Desk, number: int) -> Locator:
    cell = desk.page.locator(".jp-Notebook .jp-CodeCell").nth(number)
    cell.locator(".cm-content").press("Shift+Enter")
    return cell


def points(cell: Locator, title: str = "Loss") -> int:
    return int(cell.locator(f".imgcls-chart[aria-label='{title}']").get_attribute("data-points") or 0)


def wait_for_points(desk: Desk, cell: Locator, more_than: int, title: str = "Loss") -> int:
    desk.until(
        lambda: points(cell, title) > more_than, 90, lambda: f"the curve stands still at {points(cell, title)} points"
    )
    return points(cell, title)


def notebook_file(desk: Desk) -> Path:
    return desk.lab.work / "live.ipynb"


def save(desk: Desk, file: Path | None = None) -> None:
    """Save the notebook in front by keys, and wait until its file is written."""
    file = file or notebook_file(desk)
    before = file.read_bytes()
    desk.page.locator("body").press("Control+s")
    desk.until(lambda: _whole(file) and file.read_bytes() != before, 60, lambda: "the notebook was not written")


def _whole(file: Path) -> bool:
    """Whether all of a notebook is written: the server empties its file before."""
    with contextlib.suppress(ValueError):
        return isinstance(json.loads(file.read_bytes()), dict)
    return False


def end_kernels(desk: Desk) -> None:
    """Shut down all kernels of the server, as an idle culler does."""
    sessions = f"{desk.lab.root}api/sessions?token=browser-tests"
    headers = {"Authorization": "token browser-tests"}
    for session in desk.page.request.get(sessions).json():
        desk.page.request.delete(f"{desk.lab.root}api/sessions/{session['id']}", headers=headers)
    assert desk.page.request.get(sessions).json() == []

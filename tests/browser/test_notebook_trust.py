"""A run's own notebook opens with its rich outputs; one that somebody else wrote or changed runs nothing."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.sign import NotebookNotary
from playwright.sync_api import expect

from imgcls_lab import run_layout
from imgcls_lab.batch.notebook_trust import NotebookSigner
from tests.browser.conftest import PICTURES, Desk, Lab

sys.path.insert(0, str(Path(__file__).parents[1] / "security"))

from planted_notebook import planted, planted_text

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
RICH = """
from IPython.display import HTML, Javascript, SVG, display
display(HTML("<p class='own'>mine</p><img src='data:,' onerror='window.own_html=1'>"))
display(Javascript("window.own_script=1"))
display(SVG("<svg xmlns='http://www.w3.org/2000/svg' width='20' height='20'></svg>"))
"""
SET = "names => Object.keys(window).filter(name => name.startsWith('pwned_') || name.startsWith('own_')).sort()"


def executed(desk: Desk, lab: Lab) -> Path:
    """The file of a run's executed notebook, which is open in front."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(RICH)])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, lab.folder / "work" / "rich.ipynb")
    desk.open()
    desk.page.locator(".jp-DirListing-item", has_text="rich.ipynb").click(button="right")
    desk.page.get_by_role("menuitem", name="Run as batch…").click()
    desk.main.get_by_role("button", name="Launch", exact=True).click()
    run_id = desk.run_page("succeeded").get_attribute("data-run")
    desk.main.get_by_role("button", name="Open notebook").click()
    return lab.home / "runs" / str(run_id) / run_layout.NOTEBOOK


def show(desk: Desk, text: str) -> None:
    """The notebook is read again, and shows this."""
    desk.page.get_by_role("button", name="Refresh", exact=True).locator("visible=true").click()
    expect(desk.page.locator(".jp-Notebook").get_by_text(text).locator("visible=true").first).to_be_visible()


def runs_nothing(desk: Desk) -> None:
    desk.page.wait_for_timeout(1500)  # nothing must happen meanwhile
    ran = desk.page.evaluate(SET)
    assert ran == []


def test_a_runs_notebook_is_trusted_if_its_own_run_wrote_it_and_only_then(desk: Desk, lab: Lab) -> None:
    file = executed(desk, lab)
    output = desk.page.locator(".jp-Notebook .jp-OutputArea-output")
    expect(output.locator("p.own")).to_be_visible()
    expect(desk.page.locator(".jp-Notebook .jp-RenderedSVG img")).to_be_visible()
    desk.until(lambda: desk.page.evaluate(SET) == ["own_html", "own_script"], why=lambda: str(desk.page.evaluate(SET)))

    desk.page.evaluate("delete window.own_html; delete window.own_script")
    changed: dict[str, Any] = json.loads(file.read_text())
    changed["cells"].append({"cell_type": "markdown", "id": "x", "metadata": {}, "source": "changed by somebody"})
    for cell in changed["cells"]:
        cell["metadata"]["trusted"] = True
    file.write_text(json.dumps(changed))
    show(desk, "changed by somebody")
    runs_nothing(desk)

    file.write_text(planted_text())
    show(desk, "planted")
    runs_nothing(desk)
    link = desk.page.locator(".jp-Notebook a", has_text="x").first
    expect(link).not_to_have_attribute("href", re.compile("javascript"))
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / "planted-notebook.png")

    signed = planted()  # the same, trusted: so each way of it would have worked
    signed["cells"][0]["source"] += " and signed"
    NotebookSigner(NotebookNotary(data_dir=str(lab.folder / "data"))).sign(json.dumps(signed))
    file.write_text(json.dumps(signed))
    show(desk, "and signed")
    works = {"pwned_onerror", "pwned_script", "pwned_javascript"}
    desk.until(lambda: works <= set(desk.page.evaluate(SET)), why=lambda: str(desk.page.evaluate(SET)))
    print(f"ways that work where the notebook is trusted: {desk.page.evaluate(SET)}; untrusted: none")
    desk.errors.clear()  # the planted notebook holds what Lab cannot render

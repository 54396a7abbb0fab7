"""A run's own notebook opens with its rich outputs; one that somebody else wrote or changed runs nothing."""

from __future__ import annotations

import json
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


def shown(desk: Desk, text: str) -> list[str]:
    """What ran in the page when a notebook with this file is read again."""
    desk.page.get_by_role("button", name="Refresh", exact=True).locator("visible=true").click()
    expect(desk.page.locator(".jp-Notebook").get_by_text(text).locator("visible=true").first).to_be_visible()
    desk.page.wait_for_timeout(1500)  # nothing must happen meanwhile
    return list(desk.page.evaluate(SET, None))


def test_a_runs_notebook_is_trusted_if_its_own_run_wrote_it_and_only_then(desk: Desk, lab: Lab) -> None:
    file = executed(desk, lab)
    output = desk.page.locator(".jp-Notebook .jp-OutputArea-output")
    expect(output.locator("p.own")).to_be_visible()
    expect(desk.page.locator(".jp-Notebook .jp-RenderedSVG img")).to_be_visible()
    assert desk.page.evaluate(SET, None) == ["own_html", "own_script"]

    desk.page.evaluate("delete window.own_html; delete window.own_script")
    changed: dict[str, Any] = json.loads(file.read_text())
    changed["cells"].append({"cell_type": "markdown", "id": "x", "metadata": {}, "source": "changed by somebody"})
    for cell in changed["cells"]:
        cell["metadata"]["trusted"] = True
    file.write_text(json.dumps(changed))
    assert shown(desk, "changed by somebody") == []

    file.write_text(planted_text())
    assert shown(desk, "planted") == []
    link = desk.page.locator(".jp-Notebook a", has_text="x").first
    assert "javascript" not in (link.get_attribute("href") or "")
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / "planted-notebook.png")

    signed = planted()  # the same, trusted: so each way of it would have worked
    signed["cells"][0]["source"] += " and signed"
    NotebookSigner(NotebookNotary(data_dir=str(lab.folder / "data"))).sign(json.dumps(signed))
    file.write_text(json.dumps(signed))
    ran = shown(desk, "and signed")
    print(f"ways that work where the notebook is trusted: {ran}; untrusted: none")
    assert {"pwned_onerror", "pwned_script", "pwned_javascript"} <= set(ran)
    desk.errors.clear()  # the planted notebook holds what Lab cannot render

"""What is downloaded or written for long is said in the panel, and its button ends it at once."""

from __future__ import annotations

import os
import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Desk, Lab
from tests.browser.test_projects_page import fill, train

pytestmark = [pytest.mark.browser]


def test_the_file_of_a_project_is_given_up_while_it_is_written_and_leaves_nothing(
    no_executor: None, desk: Desk, lab: Lab
) -> None:
    fill(lab)
    run = train(lab, "with large weights")
    weights = lab.home / "runs" / run / "checkpoints" / "best" / "model.safetensors"
    os.truncate(weights, 3 * 2**30)  # a hole: it takes no disk, and the file of the project does until it is given up
    panel = desk.open_panel()
    panel.get_by_role("button", name="Registries").click()
    desk.main.get_by_role("tab", name="Projects").click()
    desk.main.get_by_role("button", name="flowers", exact=True).click()
    page = desk.main.locator(".imgcls-project")
    page.get_by_role("button", name="Export…").click()
    page.get_by_label("Checkpoints").select_option("all")
    page.get_by_role("button", name="Write the file").click()
    expect(page.get_by_role("progressbar", name="Writing the file")).to_have_attribute(
        "aria-valuenow", re.compile("^[1-9]")
    )
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="It was cancelled")).to_be_visible()
    assert [*(lab.home / "exports").iterdir()] == []
    page.get_by_label("Checkpoints").select_option("none")
    page.get_by_role("button", name="Write the file").click()
    expect(page.get_by_role("link", name=re.compile("^Download flowers-"))).to_be_visible()

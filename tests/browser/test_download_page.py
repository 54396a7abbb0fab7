"""What is downloaded and written for long is said in the panel, and its button ends it at once."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests import hub_server
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.test_projects_page import fill, open_flowers, train, write_file
from tests.browser.tour import ask, demo
from tests.hub_server import Hub
from tests.waiting import until

pytestmark = [pytest.mark.browser]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that JupyterLab, its executor and their runs ask, and a grace period that no stop here may need."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(embedding_size=8, hidden_sizes=[8, 16, 16, 32], depths=[1, 1, 1, 1], layer_type="basic")
    ResNetForImageClassification(config).save_pretrained(tmp_path / "model")
    with hub_server.serving(tmp_path / "model", tmp_path / "hub") as hub:
        for name, value in {**hub.environment, "IMGCLS_STOP_GRACE": "600"}.items():
            monkeypatch.setenv(name, value)
        yield hub


def test_a_run_that_downloads_its_model_says_so_is_stopped_at_once_and_starts_again(
    hub: Hub, desk: Desk, lab: Lab
) -> None:
    _files, base = demo(desk, lab)
    config = {**base, "model_flavour": hub_server.NAME, "load_pretrained": True, "epochs": 1}
    run = ask(desk, "POST", "runs", {"config": config, "name": "from the hub"})["id"]
    panel = desk.open_panel()
    panel.get_by_role("button", name="from the hub").first.click()
    page = desk.run_page("starting", run=run)
    expect(page.get_by_text(re.compile(r"downloading the model, \d+ kB, \d+ s")).first).to_be_visible(timeout=120_000)
    until(hub.half_sent.is_set)
    desk.page.screenshot(path=PICTURES / "hub-download.png")
    page.get_by_role("button", name="Stop", exact=True).click()
    desk.run_page("stopped")
    assert hub.half_files() == []
    hub.go_on.set()
    page.get_by_role("button", name="Start again", exact=True).click()
    desk.run_page("succeeded")
    page.get_by_role("tab", name="History").click()
    expect(page.get_by_text(re.compile("downloading the model, ")).first).to_be_visible()


def test_the_file_of_a_project_is_given_up_while_it_is_written_and_leaves_nothing(
    no_executor: None, desk: Desk, lab: Lab
) -> None:
    fill(lab)
    run = train(lab, "with large weights")
    weights = lab.home / "runs" / run / "checkpoints" / "best" / "model.safetensors"
    os.truncate(weights, 3 * 2**30)  # a hole: it takes no disk, and the file of the project does until it is given up
    page = open_flowers(desk)
    page.get_by_role("button", name="Export…").click()
    link = write_file(page, "all")
    expect(page.get_by_role("progressbar", name="Writing the file")).to_have_attribute(
        "aria-valuenow", re.compile("^[1-9]")
    )
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_role("status").filter(has_text="It was cancelled")).to_be_visible()
    assert [*(lab.home / "exports").iterdir()] == []
    write_file(page, "none")
    expect(link).to_be_visible()

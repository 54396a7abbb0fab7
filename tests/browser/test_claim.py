"""The folder of a colleague's run: the panel shows it as view only, and makes it one's own when told so."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from tests.browser.conftest import PICTURES, Desk, Lab

pytestmark = [pytest.mark.browser]


def command(home: Path, *words: str) -> None:
    """`imgcls-lab WORDS` in a home."""
    program = str(Path(sys.executable).with_name("imgcls-lab"))
    subprocess.run([program, *words], env={**os.environ, "IMGCLS_HOME": str(home)}, check=True, timeout=200)


@pytest.fixture(autouse=True)
def shared_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The server may name the colleague's data: what it may not is no run of its user's."""
    monkeypatch.setenv("IMGCLS_ALLOWED_ROOTS", str(tmp_path / "colleague"))


@pytest.fixture
def colleague(tmp_path: Path) -> Path:
    """The run's folder in another home, trained there."""
    home = tmp_path / "colleague"
    try:
        command(home, "demo", "--epochs", "1")
    finally:
        client.stop(Settings(home=str(home)), stop_runs=True)
    return next((home / "runs").iterdir())


def test_a_colleagues_run_is_view_only_until_it_is_claimed(desk: Desk, lab: Lab, colleague: Path) -> None:
    PICTURES.mkdir(exist_ok=True)
    shutil.copytree(colleague, lab.home / "runs" / colleague.name, symlinks=True)
    command(lab.home, "db", "rebuild")
    desk.open()
    desk.open_panel().locator("footer").get_by_role("button", name="Runs").click()
    row = desk.main.locator(".imgcls-runs [data-run]").first
    expect(row).to_be_visible(timeout=30_000)
    row.get_by_role("button", name="digits").first.click()
    page = desk.run_page("succeeded")
    expect(page.get_by_text("view only", exact=False).first).to_be_visible()
    expect(page.get_by_role("button", name="TensorBoard")).to_be_disabled()
    page.get_by_role("button", name="Claim…").click()
    form = page.get_by_role("group", name="Claim this run")
    expect(form.get_by_text(str(lab.home / "runs" / colleague.name))).to_be_visible()
    desk.page.screenshot(path=PICTURES / "claim.png")
    form.get_by_role("button", name="This is mine").click()
    expect(page.get_by_role("button", name="Claim…")).to_have_count(0)
    expect(page.get_by_role("button", name="TensorBoard")).to_be_enabled()
    desk.page.screenshot(path=PICTURES / "claimed.png")

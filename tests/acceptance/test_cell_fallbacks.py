"""A run's cell where a part of the whole is missing: it is live, or it says honestly why not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.conftest import PICTURES, Desk, Lab, started
from browser.notebook_cells import (
    end_kernels,
    notebook_file,
    open_notebook,
    run_cell,
    save,
    show_notebook,
    wait_for_points,
)
from playwright.sync_api import BrowserContext, expect
from saved_cells import LAUNCH, accuracy_of, cells_of, run_of

from imgcls_lab.api import context as api_context
from imgcls_lab.events import LIVE, DesiredState, RunState
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from imgcls_lab.widgets.widget_output import WIDGET_TYPE

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# what the page says of a server without our routes, and of a widget whose kernel has ended
EXPECTED = re.compile(r"status of 404|comm|widget|WebSocket|kernel", re.IGNORECASE)


class Crippled(Lab):
    """A JupyterLab without our server extension, or without our page's, or without both."""

    answers = "api/status"

    def without(self, *, server: bool, page: bool) -> None:
        config = self.folder / "config"
        if server:
            off = {"ServerApp": {"jpserver_extensions": {"imgcls_lab": False}}}
            (config / "jupyter_server_config.json").write_text(json.dumps(off))
        if page:
            (config / "labconfig").mkdir(exist_ok=True)
            (config / "labconfig" / "page_config.json").write_text(
                json.dumps({"disabledExtensions": {"imgcls-lab": True}})
            )


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Crippled]:
    folder = tmp_path / "lab"
    folder.mkdir()
    server = Crippled(folder)
    server.without(**request.param)
    with started(server):
        yield server


@pytest.fixture
def desk(lab: Crippled, context: BrowserContext) -> Iterator[Desk]:
    made = Desk(context.new_page(), lab)
    made.open()
    PICTURES.mkdir(exist_ok=True)
    yield made
    assert [error for error in made.errors if not EXPECTED.search(error)] == []


@pytest.mark.parametrize("lab", [{"server": True, "page": False}], indirect=True)
def test_without_the_server_extension_the_kernel_feeds_the_cell(desk: Desk) -> None:
    open_notebook(desk, LAUNCH.format(epochs=6, name="no server"))
    cell = run_cell(desk, 0)
    expect(cell.locator("[data-source=kernel] .imgcls-live")).to_be_visible(timeout=180_000)
    wait_for_points(desk, cell, wait_for_points(desk, cell, 0))
    desk.page.screenshot(path=PICTURES / "cell-no-server.png")
    expect(cell.get_by_text("no server has finished")).to_be_visible(timeout=180_000)
    desk.quiet()
    desk.page.screenshot(path=PICTURES / "cell-no-server-end.png")
    save(desk)
    (output,) = cells_of(notebook_file(desk))
    assert accuracy_of(run_of(desk.lab.home)) in "".join(output["data"]["text/plain"])  # type: ignore[attr-defined]
    assert WIDGET_TYPE not in output["data"]


@pytest.mark.parametrize("lab", [{"server": True, "page": True}], indirect=True)
def test_with_both_off_a_cell_says_after_a_restart_that_it_stands_still(desk: Desk) -> None:
    open_notebook(desk, LAUNCH.format(epochs=200, name="alone"))
    cell = run_cell(desk, 0)
    expect(cell.locator(".imgcls-live [data-state=running]")).to_be_visible(timeout=180_000)
    wait_for_points(desk, cell, 0)
    sessions = f"{desk.lab.root}api/sessions?token=browser-tests"
    (session,) = desk.page.request.get(sessions).json()
    headers = {"Authorization": "token browser-tests"}
    desk.page.request.post(f"{desk.lab.root}api/kernels/{session['kernel']['id']}/restart", headers=headers)
    expect(cell.get_by_text("stands still")).to_be_visible(timeout=60_000)
    desk.page.screenshot(path=PICTURES / "cell-stands-still.png")


@pytest.mark.parametrize("lab", [{"server": False, "page": False}], indirect=True)
def test_a_kernel_with_another_home_feeds_the_cell_which_names_both(desk: Desk, tmp_path: Path) -> None:
    home = tmp_path / "other home"
    other = f"import os\nos.environ['IMGCLS_HOME'] = {str(home)!r}\n"
    try:
        open_notebook(desk, other + LAUNCH.format(epochs=200, name="elsewhere"))
        cell = run_cell(desk, 0)
        expect(cell.locator("[data-source=kernel] .imgcls-live")).to_be_visible(timeout=180_000)
        expect(cell.get_by_text(f"in the home {home} of the kernel")).to_contain_text(str(desk.lab.home))  # type: ignore[attr-defined]
        wait_for_points(desk, cell, 0)
        desk.page.screenshot(path=PICTURES / "cell-other-home.png")
    finally:
        settings = Settings(home=str(home))
        for run in api_context.store(settings).runs.list(states=[RunState.QUEUED, *LIVE]).items:
            api_context.store(settings).runs.set_desired_state(run.id, DesiredState.KILL)
        client.stop(settings, stop_runs=True)


@pytest.mark.parametrize("lab", [{"server": False, "page": False}], indirect=True)
def test_saved_while_its_run_goes_on_a_cell_is_a_picture_where_extension_and_kernel_are_gone(desk: Desk) -> None:
    open_notebook(desk, LAUNCH.format(epochs=200, name="left alone"))
    cell = run_cell(desk, 0)
    expect(cell.locator(".imgcls-live [data-state=running]")).to_be_visible(timeout=180_000)
    wait_for_points(desk, cell, wait_for_points(desk, cell, 0))
    save(desk)
    (output,) = cells_of(notebook_file(desk))
    assert "(as of " in "".join(output["data"]["text/plain"])
    assert WIDGET_TYPE not in output["data"]
    end_kernels(desk)
    desk.page.goto("about:blank")
    desk.lab.without(server=False, page=True)  # type: ignore[attr-defined]
    show_notebook(desk)
    shown = desk.page.locator(".jp-Notebook .jp-CodeCell .jp-OutputArea-output").first
    expect(shown.get_by_alt_text("Curves of left alone")).to_be_visible(timeout=60_000)
    expect(shown).to_contain_text("(as of ")
    expect(desk.page.locator(".imgcls-live")).to_have_count(0)
    desk.page.screenshot(path=PICTURES / "cell-no-page-reopened.png")

"""One user behind a real JupyterHub, from the login to a culled server and back: in less than a minute."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import BrowserContext, Page, Response, expect

from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import PICTURES, Desk
from tests.browser.test_panel import launch, start_demo
from tests.browser.test_tensorboard import expect_chart
from tests.hub.hub_process import Hub, Seat, blocks
from tests.hub.people import secrets_in_runs
from tests.waiting import until

pytestmark = [pytest.mark.browser]
USER = f"anna.{secrets.token_hex(3)}@example.org"  # a name that URLs have to bear
TARGET = 60.0


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    """A server of the hub that runs as this process's user, with a home of its own."""
    home = tmp_path / "anna"
    own = f"""
c.JupyterHub.spawner_class = "jupyterhub.spawner.SimpleLocalProcessSpawner"
c.SimpleLocalProcessSpawner.home_dir_template = {str(home)!r}
c.Spawner.args = ["--allow-root"]
"""
    hub = Hub(tmp_path, {USER: "one"}, blocks("python")[0] + own)
    settings = Settings(home=str(home / ".local/share/jupyter/imgcls_lab"))
    try:
        hub.start([sys.executable, "-m", "jupyterhub"])
        yield Seat(hub, USER, home)
    finally:
        hub.close()  # first: a server that starts may start an executor
        client.stop(settings, stop_runs=True)


def step_of(seat: Seat, run: str) -> int:
    """The step of a run, from the database: without a server."""
    settings = Settings(home=str(seat.work / ".local/share/jupyter/imgcls_lab"))
    with Store.open(settings, migrate=False) as store:
        return store.runs.get(run).step or 0


def frame_of_a_tensorboard_that_is_not_there(page: Page, seat: Seat) -> None:
    """The page that stands in for a TensorBoard shows in a frame, and its button is accepted by the server."""
    address = f"{seat.root}imgcls/tensorboard/forgotten/"
    page.evaluate("src => document.body.append(Object.assign(document.createElement('iframe'), {src}))", address)
    frame = page.frame_locator(f"iframe[src='{address}']")
    expect(frame.get_by_role("alert")).to_contain_text("no such TensorBoard")
    with page.expect_response("**/tensorboards/forgotten/restart") as reply:
        frame.get_by_role("button", name="Restart TensorBoard").dispatch_event("click")  # behind the page
    assert reply.value.status == 404  # what it says of that board; 403 would be the hub's XSRF check


def test_one_user_trains_behind_a_hub_and_finds_the_run_again_after_a_cull(seat: Seat, context: BrowserContext) -> None:
    began = time.monotonic()
    page = context.new_page()
    seat.log_in(page)
    desk = Desk(page, seat)
    refused: list[str] = []

    def heard(reply: Response) -> None:
        if reply.status >= 400:
            refused.append(f"{reply.status} {reply.url}")

    page.on("response", heard)
    desk.open()
    start_demo(desk)
    run = launch(desk, epochs="4000")
    desk.run_page("running")
    desk.wait_for_points(desk.wait_for_points(0))
    desk.main.get_by_role("button", name="TensorBoard", exact=True).click()
    expect_chart(desk)
    assert (refused, desk.errors) == ([], [])
    page.remove_listener("response", heard)

    assert secrets_in_runs(USER) == []

    page.close()
    seat.hub.cull(USER)
    seen = step_of(seat, run)
    until(lambda: step_of(seat, run) > seen)
    page = context.new_page()
    page.goto(f"{seat.hub.root}/hub/spawn")  # the login of before is still good
    page.wait_for_url(f"{seat.root}lab**", timeout=60_000)
    again = Desk(page, seat)
    again.open(reset=False)
    page.locator(f"#imgcls-lab-sidebar [data-run='{run}']").first.click()
    again.run_page("running")
    again.wait_for_points(again.wait_for_points(0))
    assert again.errors == []
    frame_of_a_tensorboard_that_is_not_there(page, seat)
    PICTURES.mkdir(exist_ok=True)
    page.screenshot(path=PICTURES / "hub-panel.png")
    print(f"\nlogin, training, TensorBoard, cull, next login: {time.monotonic() - began:.1f} s (target {TARGET:g} s)")

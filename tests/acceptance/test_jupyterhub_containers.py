"""A hub whose servers are containers: a culled one takes executor and run with it, and the next one continues the run.

A process namespace of its own stands for the container: when its first process ends, the kernel ends all others.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from playwright.sync_api import BrowserContext

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.hub.hub_process import Hub, Seat, blocks
from tests.hub.people import environment_of
from tests.waiting import until

CONTAINER = ["unshare", "--pid", "--fork", "--mount-proc", "--kill-child"]
ALLOWED = os.geteuid() == 0 and subprocess.run([*CONTAINER, "true"], check=False, capture_output=True).returncode == 0
pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not ALLOWED, reason="process namespaces are not allowed here"),
]


@pytest.fixture
def seat(tmp_path: Path) -> Iterator[Seat]:
    home = tmp_path / "anna"
    own = f"""
c.JupyterHub.spawner_class = "jupyterhub.spawner.SimpleLocalProcessSpawner"
c.SimpleLocalProcessSpawner.home_dir_template = {str(home)!r}
c.LocalProcessSpawner.interrupt_timeout = c.LocalProcessSpawner.term_timeout = 1
c.Spawner.cmd = {[*CONTAINER, sys.executable, "-m", "jupyterhub.singleuser"]!r}
c.Spawner.args = ["--allow-root"]
"""
    user = f"anna-{secrets.token_hex(3)}"
    hub = Hub(tmp_path, {user: "one"}, blocks("python")[0] + own)
    try:
        hub.start([sys.executable, "-m", "jupyterhub"])
        yield Seat(hub, user, home)
    finally:
        hub.close()  # the containers, and all that is in them, end with their servers


def living(user: str) -> list[int]:
    """All processes of the user's containers."""
    return [pid for pid in psutil.pids() if environment_of(pid).get("JUPYTERHUB_USER") == user]


def view(seat: Seat, token: str, run_id: str) -> dict[str, Any]:
    return dict(seat.ask(token, "GET", f"runs/{run_id}")[1])


def test_a_run_whose_container_was_culled_goes_on_from_its_checkpoint_at_the_next_login(
    seat: Seat,
    context: BrowserContext,
) -> None:
    page = context.new_page()
    seat.log_in(page)
    settings = Settings(home=str(seat.work / ".local/share/jupyter/imgcls_lab"))
    page.goto(f"{seat.root}lab")
    token = seat.token(context.new_page())
    status, files = seat.ask(token, "POST", "demo")
    assert status == 200, files
    (saved,) = [row for row in seat.ask(token, "GET", "configs")[1] if row["name"]]
    status, run = seat.ask(token, "POST", "runs", {"config": {**saved["config"], "epochs": 2000}})
    assert status == 201, run
    until(lambda: view(seat, token, run["id"])["epoch"] >= 3, 180)
    for open_page in context.pages:
        open_page.close()

    seat.hub.cull(seat.user)
    until(lambda: living(seat.user) == [], 30)
    with Store.open(settings, migrate=False) as store:
        left = store.runs.get(run["id"])
    assert (left.state.value, left.attempt) == ("running", 1)  # nobody was there to say that it ended
    page = context.new_page()
    page.goto(f"{seat.hub.root}/hub/spawn")
    page.wait_for_url(f"{seat.root}lab**", timeout=60_000)
    until(lambda: (view(seat, token, run["id"])["resumed_at_step"] or 0) > 0, 90)
    until(lambda: view(seat, token, run["id"])["step"] > left.step, 120)
    again = view(seat, token, run["id"])
    assert again["attempt"] == 2
    reached = f"step {left.step} at the cull; attempt 2 began at step {again['resumed_at_step']}"
    print(f"\na culled container: {reached} (target: a checkpoint of attempt 1, with no command)")

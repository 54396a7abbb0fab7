"""JupyterHub for real: two Linux users, their browsers, one GPU, and the commands of docs/jupyterhub.md.

Each test prints what it reached. They build on each other: the hub and its users live as long as this module.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest
from playwright.sync_api import Browser, expect

from imgcls_lab.executor.device_locks import DeviceLock, shared_folder
from tests.browser.conftest import PICTURES, Desk
from tests.browser.test_panel import launch, start_demo, write_images
from tests.browser.test_tensorboard import expect_chart
from tests.hub import attacks
from tests.hub.hub_process import Hub, Seat, ask, blocks
from tests.hub.installation import Installation, commands, needs_users
from tests.hub.people import Person, environment_of, secrets_in_runs
from tests.hub.simulated_gpu import pynvml
from tests.waiting import until

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(900), needs_users]
GPU = Path(pynvml.__file__).parent


def show(what: str, reached: object, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


@dataclass
class Site:
    hub: Hub
    installation: Installation
    anna: Person
    boris: Person


@pytest.fixture(scope="module")
def site(browser: Browser) -> Iterator[Site]:
    """A hub with a simulated GPU, and two users who have logged in."""
    folder = Path(tempfile.mkdtemp(prefix="jupyterhub-test-", dir="/tmp"))
    folder.chmod(0o755)
    installation = Installation(folder)
    try:
        began = time.monotonic()
        installation.install()
        show("installed by the page's commands", f"{time.monotonic() - began:.0f} s", "every command exits with 0")
        (installation.venv / "etc/jupyter/jupyter_server_config.py").write_text("c.Settings.cpu_slots = 2\n")
        private = installation.srv / "jupyterhub"
        hub = Hub(
            private,
            {user: f"{user}'s password" for user in installation.users.values()},
            installation.text(blocks("python")[0]),
            environment={"PYTHONPATH": str(GPU)},
            host="hub.localhost",
            subdomains=True,
        )
        try:
            hub.start(installation.start_command)
            people = [
                Person(hub, installation.users[name], browser.new_context(viewport={"width": 1440, "height": 900}))
                for name in ("anna", "boris")
            ]
            yield Site(hub, installation, *people)
        finally:
            hub.close()
            keep_logs(folder)
    finally:
        installation.remove()


def keep_logs(folder: Path) -> None:
    """Logs of the hub and its users' executors, for who looks into a failure."""
    PICTURES.mkdir(exist_ok=True)
    for log in [*folder.rglob("hub.log"), *folder.rglob("daemon.log")]:
        (PICTURES / str(log.relative_to(folder)).replace("/", "-")).write_bytes(log.read_bytes())


def picture(desk: Desk, name: str) -> None:
    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / f"{name}.png")


def test_the_administrator_s_settings_reach_panels_executors_and_terminals(site: Site) -> None:
    datasets = site.installation.srv / "datasets"
    write_images(datasets / "colours", {"red": (200, 30, 30), "blue": (30, 30, 200)}, each=6)
    for person in (site.anna, site.boris):
        assert "XDG_RUNTIME_DIR" not in environment_of(person.server_process().pid)  # a hub makes no login session
        assert str(datasets) in person.api("GET", "info")[1]["roots"]
        status, added = person.api("POST", "datasets", {"name": "colours", "root": str(datasets / "colours")})
        assert status == 201, added
        person.wait_for_devices({"cuda:0", "cpu:0", "cpu:1"})
        assert "IMGCLS_CACHE_GB 10.0" in " ".join(person.terminal("imgcls-lab settings").split())
    show(
        "settings of the administrator", "a shared folder of images, CPU slots, the cache's size", "in each user's lab"
    )


def test_two_users_train_at_once_and_one_gpu_s_lock_keeps_them_apart(site: Site) -> None:
    anna, boris = site.anna, site.boris
    for person in (anna, boris):
        start_demo(person.desk)
    gpu_run = launch(anna.desk, epochs="2000")
    anna.desk.run_page("running")
    assert anna.run(gpu_run)["devices"] == ["cuda:0"]
    waiting = launch(boris.desk, epochs="2000")
    expect(boris.desk.run_page("queued")).to_contain_text(anna.user)
    holder = DeviceLock(shared_folder(""), pynvml.UUID).holder()
    assert holder is not None
    assert (holder.uid, holder.is_run) == (anna.uid, True)
    config = boris.run(waiting)["config"]
    status, cpu_run = boris.api("POST", "runs", {"config": {**config, "device": "cpu"}})
    assert status == 201, cpu_run
    boris.wait_for(cpu_run["id"], "running")
    before = anna.run(gpu_run)["step"], boris.run(cpu_run["id"])["step"]
    until(lambda: anna.run(gpu_run)["step"] > before[0] and boris.run(cpu_run["id"])["step"] > before[1])
    anna.desk.wait_for_points(anna.desk.wait_for_points(0))
    picture(anna.desk, "hub-anna")
    picture(boris.desk, "hub-boris-waits")
    show("two users, one GPU", f"{anna.user} has it, {boris.user} waits and trains on the CPU", "both train at once")

    assert anna.api("POST", f"runs/{gpu_run}/stop")[0] < 300
    anna.wait_for(gpu_run, "stopped")
    boris.wait_for(waiting, "running")
    assert boris.run(waiting)["devices"] == ["cuda:0"]
    boris.desk.wait_for_points(0)
    show("the GPU after a stop", "the other user's run has it", "no run on a held GPU")
    for run_id in (waiting, cpu_run["id"]):
        boris.api("POST", f"runs/{run_id}/stop")
        boris.wait_for(run_id, "stopped")
    assert anna.desk.errors == boris.desk.errors == []


def live_output(person: Person, run_id: str) -> None:
    """A saved notebook with a run's live output shows its curve, without a kernel."""
    live = person.desk.open_output("application/vnd.imgcls.run+json", {"run_id": run_id, "version": 1})
    expect(live.locator(".imgcls-chart[aria-label=Accuracy]")).not_to_have_attribute("data-points", "0")


def test_tensorboard_the_live_cell_and_the_stream_work_behind_both_prefixes(site: Site) -> None:
    for person in (site.anna, site.boris):
        desk = person.desk
        run_id = person.api("GET", "runs?limit=1&sort=created_at&order=desc")[1]["items"][0]["id"]
        desk.open(reset=False)
        desk.page.locator(f"#imgcls-lab-sidebar [data-run='{run_id}']").first.click()
        desk.main.get_by_role("button", name="TensorBoard", exact=True).click()
        expect_chart(desk)
        address = desk.page.frames[-1].url
        assert f"/user/{person.user}/imgcls/tensorboard/" in address
        picture(desk, f"hub-tensorboard-{person.user.split('-')[0]}")
        live_output(person, run_id)
        assert desk.errors == []
    show("TensorBoard and a live cell behind /user/NAME/", "both users", "no error in the console")


def test_papermill_and_the_commands_of_a_terminal_work(site: Site) -> None:
    boris = site.boris
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell(
                "import getpass, os\nprint(getpass.getuser(), os.environ.get('JUPYTERHUB_API_TOKEN'))"
            )
        ]
    )
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path = boris.home / "who.ipynb"
    nbformat.write(notebook, path)
    os.chown(path, boris.uid, boris.gid)
    run_id = json.loads(boris.terminal("imgcls-lab run-notebook who.ipynb --json"))["id"]
    boris.wait_for(run_id, "succeeded")
    executed = nbformat.read(boris.imgcls_home / "runs" / run_id / "notebook.ipynb", as_version=4)
    assert executed.cells[-1].outputs[0].text == f"{boris.user} None\n"
    for line in site.installation.text(commands("In a terminal")).splitlines():
        show(line, boris.terminal(line).strip().splitlines()[-1][:80], "exit code 0")
    owners = {run["owner"] for run in boris.api("GET", "runs?limit=100")[1]["items"]}
    show("owner of every run, from panel, REST, terminal and notebook", owners, boris.user)
    assert owners == {boris.user}


def test_one_user_gets_nothing_of_another(site: Site) -> None:
    anna, boris = site.anna, site.boris
    run_id = anna.api("GET", "runs?limit=1")[1]["items"][0]["id"]
    assert anna.api("POST", f"runs/{run_id}/resume")[0] < 300
    anna.wait_for(run_id, "running")
    tried = attacks.requests(anna, boris, run_id)
    tried |= attacks.pages(anna, boris, run_id)
    tried |= attacks.planted_page(anna, boris, run_id)
    tried |= attacks.stranger_tries(anna, boris)
    for kind, count in tried.items():
        show(kind, f"{count} tried, 0 worked", "0 worked")
    show("attacks between two users of a hub", f"{sum(tried.values())} tried, 0 worked", "0 worked")
    assert anna.run(run_id)["state"] == "running"


def test_no_run_and_no_executor_knows_a_secret_of_the_hub(site: Site) -> None:
    assert secrets_in_runs(site.anna.user) == []
    token = environment_of(site.anna.server_process().pid)["JUPYTERHUB_API_TOKEN"]
    holding = [
        path for path in site.anna.imgcls_home.rglob("*") if path.is_file() and token.encode() in path.read_bytes()
    ]
    assert holding == []
    shown = [
        process.pid for process in psutil.process_iter(["cmdline"]) if token in " ".join(process.info["cmdline"] or [])
    ]
    assert shown == []
    show("environments, files and command lines with the hub's token", 0, "0, the server's own environment excepted")


def test_a_culled_server_leaves_the_run_alone_and_the_next_login_finds_it(site: Site) -> None:
    anna = site.anna
    (run_id,) = [run["id"] for run in anna.api("GET", "runs?limit=20&state=running")[1]["items"]]
    before = anna.server_process().pid
    anna.page.close()
    for page in anna.context.pages:
        page.close()
    cull = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=2", "--cull-every=1"]
    address = {"JUPYTERHUB_API_URL": site.hub.api_url, "JUPYTERHUB_API_TOKEN": site.hub.token}
    culler = subprocess.Popen(cull, env={**os.environ, **address}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: not site.hub.servers(anna.user), 90)
    finally:
        culler.terminate()
        culler.wait(10)
    assert not psutil.pid_exists(before)
    events = max((anna.imgcls_home / "runs" / run_id).glob("events-*.jsonl"))
    size = events.stat().st_size
    until(lambda: events.stat().st_size > size)
    anna.log_in_again()
    anna.desk.open_panel()
    anna.page.locator(f"#imgcls-lab-sidebar [data-run='{run_id}']").first.click()
    anna.desk.run_page("running")
    anna.desk.wait_for_points(anna.desk.wait_for_points(0))
    assert anna.run(run_id)["attempt"] == 2  # the resumed one: the cull has not started another
    picture(anna.desk, "hub-after-cull")
    assert anna.desk.errors == []
    show("a culled server", "the run went on in the same attempt and is live at the next login", "nothing lost")


def test_two_servers_of_one_user_show_the_same_home(site: Site) -> None:
    anna = site.anna
    second = Seat(site.hub, anna.user, anna.home, "second")
    page = anna.context.new_page()
    page.goto(f"{site.hub.root}/hub/spawn/{anna.user}/second")
    page.wait_for_url(f"{second.root}lab**", timeout=60_000)
    desk = Desk(page, second)
    desk.open()
    desk.open_panel()
    (run_id,) = [run["id"] for run in anna.api("GET", "runs?limit=20&state=running")[1]["items"]]
    page.locator(f"#imgcls-lab-sidebar [data-run='{run_id}']").first.click()
    desk.run_page("running")
    desk.main.get_by_role("button", name="TensorBoard", exact=True).click()
    expect_chart(desk)
    daemons = [p for p in anna.processes() if "imgcls_lab.executor.daemon" in " ".join(p.cmdline())]
    assert len(daemons) == 1
    status, reply = ask(f"{second.root}imgcls/api/runs/{run_id}/stop", anna.token, "POST")
    assert status < 300, reply
    anna.wait_for(run_id, "stopped")
    expect(anna.desk.page.locator(f"#imgcls-lab-sidebar [data-run='{run_id}']").first).to_be_attached()
    assert desk.errors == []
    show("two servers of one user", "one home, one executor; stopped in one, seen in the other", "the same runs")

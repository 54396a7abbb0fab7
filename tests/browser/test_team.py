"""Two users, two servers, two homes, one PostgreSQL: each sees the other's runs and no refused button."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.scheduler import Scheduler
from imgcls_lab.schemas import ProjectEdit, SubmitRequest, UserEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from tests.browser.conftest import PICTURES, Desk, Lab

pytestmark = [pytest.mark.browser]
CONFIG = {"root": "/data/digits", "model_flavour": "org/tiny"}
THEMES = {"ada": None, "bob": "JupyterLab Dark"}


@pytest.fixture
def labs(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Lab]]:
    """A server of each user. No executor: what runs is written into the database."""
    monkeypatch.setenv("IMGCLS_DB_URL", postgres.url())
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    made: dict[str, Lab] = {}
    try:
        for user, theme in THEMES.items():
            monkeypatch.setenv("JUPYTERHUB_USER", user)
            (tmp_path / user).mkdir()
            made[user] = Lab(tmp_path / user, theme=theme)
            made[user].start()
            with Store.open(Settings(home=str(made[user].home)), migrate=True) as store:
                project = store.projects.add(ProjectEdit(name=f"project of {user}"))
                request = SubmitRequest(config=CONFIG, name=f"run of {user}", project_id=project.id)
                store.runs.submit(request)
            with Store.open(Settings(home=str(made[user].home)), way="executor") as store:
                with store.database.write() as session:
                    assert attempts.claim(session, f"host-{user}", "nobody", lambda _run: ["cpu:0"])
        yield made
    finally:
        for lab in made.values():
            lab.close()


def unfold_repetitions(desk: Desk) -> None:
    """All runs of these tests have one config, so that they are one row of the table."""
    desk.main.get_by_role("button", name="group:").click()
    desk.main.get_by_role("checkbox", name="runs that differ in their seeds alone").uncheck()
    desk.main.get_by_role("checkbox", name="runs that differ in their seeds alone").press("Escape")


def test_each_sees_the_others_runs_and_stops_only_own_ones(labs: dict[str, Lab], browser: Browser) -> None:
    PICTURES.mkdir(exist_ok=True)
    for user, other in (("ada", "bob"), ("bob", "ada")):
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        desk = Desk(context.new_page(), labs[user])
        desk.open()
        panel = desk.open_panel()
        for name in (user, other):
            expect(panel.get_by_text(f"run of {name}")).to_be_visible()
        panel.locator("footer").get_by_role("button", name="Runs").click()
        unfold_repetitions(desk)
        table = desk.main.get_by_role("treegrid", name="Runs")
        expect(table.locator("[data-run]")).to_have_count(2)
        expect(table.get_by_role("columnheader", name="owner")).to_be_visible()
        desk.page.screenshot(path=PICTURES / f"team-runs-{user}.png")
        for name in (user, other):
            desk.main.get_by_role("button", name="+ filter").click()
            desk.main.get_by_role("button", name="Owner", exact=True).click()
            desk.main.get_by_role("checkbox", name=name, exact=True).check()
            desk.main.get_by_role("button", name="Add filter").click()
            expect(table).to_contain_text(f"run of {name}")
            expect(table.locator("[data-run]")).to_have_count(1)
            if name == user:
                desk.main.get_by_role("button", name=f"Remove owner={name}").click()
                expect(table.locator("[data-run]")).to_have_count(2)

        table.get_by_role("button", name=f"run of {other}").click()
        page = desk.run_page("starting")
        expect(page.locator(f"[data-owner={other}]")).to_have_text(f"of {other}")
        expect(page.get_by_text(f"It belongs to {other}")).to_be_visible()
        for name in ("Stop", "Kill", "Resume", "Delete…", f"run of {other}"):
            expect(page.get_by_role("button", name=name, exact=True)).to_have_count(0)
        expect(page.get_by_role("button", name="Clone…")).to_be_visible()
        page.get_by_role("tab", name="History").click()
        expect(page.get_by_role("tabpanel")).to_contain_text(f"launched by {other}")
        desk.page.screenshot(path=PICTURES / f"team-run-{user}.png")

        panel.get_by_text(f"run of {user}").click()
        own = desk.run_page("starting")
        own.get_by_role("button", name="Stop", exact=True).click()
        expect(own.get_by_role("button", name="Kill", exact=True)).to_be_visible()
        own.get_by_role("tab", name="History").click()
        expect(own.get_by_role("tabpanel")).to_contain_text(f"stopped by {user} from the panel")
        panel.locator("footer").get_by_role("button", name="Registries").click()
        desk.main.get_by_role("tab", name="Projects").click()
        row = desk.main.locator(f"tr[data-name='project of {user}']")
        row.get_by_role("button", name="Members…").click()
        desk.page.screenshot(path=PICTURES / f"team-members-{user}.png")
        foreign = desk.main.locator(f"tr[data-name='project of {other}']")
        expect(foreign.get_by_role("button", name="Edit…", exact=True)).to_have_count(0)
        row.get_by_label("User").fill("dora")
        row.get_by_role("button", name="Add", exact=True).click()
        expect(row.locator("[data-member=dora]")).to_be_visible()
        assert desk.errors == []
        context.close()


def shared_host(labs: dict[str, Lab], monkeypatch: pytest.MonkeyPatch) -> None:
    """Both users' daemons on one host of four GPUs: ada may have one, bob trains on two, and more runs of both wait."""
    gpus = [Device(f"cuda:{n}", n, f"GPU {n} · H100", "cuda", f"GPU-{n}") for n in range(4)]
    own: dict[str, ExecutorStore] = {}
    for user in THEMES:
        monkeypatch.setenv("JUPYTERHUB_USER", user)
        settings = Settings(home=str(labs[user].home))
        with Store.open(settings) as store:
            if user == "ada":
                store.users.edit("ada", UserEdit(max_devices=1))
                store.users.edit("bob", UserEdit(weight=2))
            for number in range(3):
                store.runs.submit(SubmitRequest(config=CONFIG, name=f"{user} {number}", gpus=number // 2 + 1))
            own[user] = ExecutorStore(store.database, settings, "lab-1", f"lab-1-{user}", HeartbeatWatch(1e9))
            own[user].register()
            held = "python of carol (pid 4711)"
            own[user].save_devices([d.row() | {"held_by": held if d.name == "cuda:3" else None} for d in gpus])

    def claim(user: str) -> bool:
        monkeypatch.setenv("JUPYTERHUB_USER", user)
        with Store.open(Settings(home=str(labs[user].home)), way="executor") as store:
            daemon = ExecutorStore(store.database, store.settings, "lab-1", f"lab-1-{user}", HeartbeatWatch(1e9))
            taken = daemon.claimed_devices() | {"cuda:3"}
            return (
                daemon.claim(lambda found, drivers: Scheduler(found, gpus, taken, drivers, host="lab-1"), most=1) != []
            )

    for user in ("bob", "ada", "bob", "ada", "bob"):
        claim(user)


def test_devices_and_waiting_runs_name_their_users(
    labs: dict[str, Lab], browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    PICTURES.mkdir(exist_ok=True)
    shared_host(labs, monkeypatch)
    for user in THEMES:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        desk = Desk(context.new_page(), labs[user])
        desk.open()
        panel = desk.open_panel()
        for name in ("bob 0", "bob 1"):  # the run that holds a device, and whose it is
            row = panel.locator(".imgcls-note", has=panel.page.get_by_role("button", name=name, exact=True))
            expect(row.get_by_text("bob", exact=True)).to_be_visible()
        expect(panel.get_by_text("python of carol (pid 4711)", exact=True)).to_be_visible()
        expect(panel.get_by_text("Waits: ada may use 1 device at once.")).to_have_count(2)
        expect(panel.get_by_text("1 free, but python of carol (pid 4711)")).to_be_visible()
        panel.locator("footer").get_by_role("button", name="Runs").click()
        unfold_repetitions(desk)
        expect(desk.main.locator(".imgcls-runs [data-run]")).to_have_count(8)
        desk.page.screenshot(path=PICTURES / f"team-shared-{user}.png")
        assert desk.errors == []
        context.close()

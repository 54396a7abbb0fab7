"""The pages of a project and of a saved config: what they show, edited in place, versions told apart and restored."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, expect

from benchmarks.labs import started
from imgcls_lab.events import CheckpointSaved, EpochEnded, EventWriter, Finished, Metrics, RunState
from imgcls_lab.schemas import ConfigEdit, ProjectEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.verdict import Verdict
from tests.browser.accessibility import faults
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.browser.many_runs import write_runs

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("no_executor")]
RUNS = 90
WEIGHTS = bytes(range(250)) * 1200
CONFIG = {"root": "/data/flowers", "model_flavour": "timm/resnet50.a1_in1k", "lr": 1e-3, "epochs": 12}


def fill(lab: Lab) -> None:
    with Store.open(Settings(home=str(lab.home)), migrate=True) as store:
        write_runs(store, RUNS)
        flowers = store.projects.find("flowers")
        store.projects.edit(flowers.id, ProjectEdit(name="flowers", description="102 kinds of flowers.", max_running=4))
        base = store.configs.add(ConfigEdit(name="baseline", config=CONFIG, project_id=flowers.id))
        for change in ({"lr": 5e-4}, {"lr": 5e-4, "batch_size": 64, "label_smoothing": 0.1}):
            store.configs.edit(base.id, ConfigEdit(name="baseline", config={**CONFIG, **change}))
        store.configs.add(ConfigEdit(name="ema", config={**CONFIG, "ema_decay": 0.99}, project_id=flowers.id))


def train(lab: Lab, name: str) -> str:
    """A run of the project “flowers” that has ended, as its process and its daemon leave one, with a checkpoint."""
    with Store.open(Settings(home=str(lab.home))) as store:
        project = store.projects.find("flowers").id
        run = store.runs.submit(SubmitRequest(config=CONFIG, name=name, project_id=project)).id
        with store.database.write() as session:
            attempts.claim(session, "lab-1", "lab-1", lambda _: ["cpu:0"])
        folder, saved = store.settings.run_dir(run), "checkpoints/a001-s00000010"
        (folder / saved).mkdir(parents=True)
        (folder / saved / "model.safetensors").write_bytes(WEIGHTS)
        os.symlink(Path(saved).name, folder / "checkpoints" / "best")
        (folder / "config.json").write_text(json.dumps(CONFIG))
        with EventWriter(folder, 1) as out:
            out.write(started(10, 10))
            for step in range(1, 11):
                out.write(Metrics(step=step, epoch=step / 10, values={"loss/train": 1 / step}))
            out.write(EpochEnded(step=10, epoch=1, seconds=1, values={"metric/accuracy": 0.75}, best=True))
            out.write(CheckpointSaved(step=10, epoch=1, folder=saved, links=("best",)))
            out.write(Finished(step=10, best_epoch=1, values={}))
        ingest(store.database, store.settings, run, 1)
        with store.database.write() as session:
            attempts.finish(session, run, 1, Verdict(RunState.SUCCEEDED), None)
    return run


def delete(lab: Lab, run: str) -> None:
    with Store.open(Settings(home=str(lab.home))) as store:
        store.runs.delete(run)
        assert not store.settings.run_dir(run).exists()


def weights_of(lab: Lab, run: str) -> bytes:
    return (Settings(home=str(lab.home)).run_dir(run) / "checkpoints" / "best" / "model.safetensors").read_bytes()


def give_up_sending(desk: Desk, group: Locator, file: Path) -> None:
    """Send a large file over a slow line, see how far it is, and end it."""
    with file.open("wb") as large:
        large.truncate(40 * 2**20)
    line = desk.page.context.new_cdp_session(desk.page)
    line.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000}
    line.send("Network.emulateNetworkConditions", slow)
    with desk.page.expect_file_chooser() as chooser:
        group.get_by_role("button", name="Choose a file…").click()
    chooser.value.set_files(file)
    sending = group.get_by_role("progressbar", name=f"Sending {file.name}")
    expect(sending).to_have_attribute("aria-valuenow", re.compile("^[1-9]"))
    expect(group).to_contain_text(re.compile(r"Sending large.tar: [\d.]+ [kM]B of 41.9 MB, [1-9]\d? %"))
    desk.page.screenshot(path=PICTURES / "project-sending.png")
    group.get_by_role("button", name="Cancel", exact=True).click()
    expect(sending).to_have_count(0)
    line.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    line.detach()


def open_flowers(desk: Desk) -> Locator:
    """The page of the project “flowers”, by way of the registries."""
    desk.open_panel().get_by_role("button", name="Registries").click()
    desk.main.get_by_role("tab", name="Projects").click()
    desk.main.get_by_role("button", name="flowers", exact=True).click()
    return desk.main.locator(".imgcls-project")


def write_file(page: Locator, checkpoints: str) -> Locator:
    """Have a project written into a file with these checkpoints: the link to the file, once there is one."""
    page.get_by_label("Checkpoints").select_option(checkpoints)
    page.get_by_role("button", name="Write the file").click()
    return page.get_by_role("link", name=re.compile("^Download flowers-"))


def look(desk: Desk, name: str, theme: str) -> None:
    """Pictures for a person, at two widths; axe finds nothing serious or moderate."""
    PICTURES.mkdir(exist_ok=True)
    for width in (1000, 1440):
        desk.page.set_viewport_size({"width": width, "height": 900})
        desk.quiet()
        desk.page.screenshot(path=PICTURES / f"{name}-{theme}-{width}.png")
    assert faults(desk.page) == [], name


@pytest.mark.parametrize(
    ("lab", "theme"),
    [({"theme": "JupyterLab Light"}, "light"), ({"theme": "JupyterLab Dark"}, "dark")],
    indirect=["lab"],
)
def test_a_project_and_its_configs_have_pages(lab: Lab, desk: Desk, theme: str) -> None:
    fill(lab)
    page = open_flowers(desk)
    expect(page.get_by_role("heading", name="flowers")).to_be_visible()
    expect(page.get_by_text("At most 4 of its runs are on devices at once.")).to_be_visible()
    expect(page.locator(".imgcls-project-best tbody tr")).to_have_count(5)
    look(desk, "project", theme)

    page.get_by_role("button", name="flowers", exact=True).click()
    page.get_by_label("Name of the project").fill("blossoms")
    page.get_by_label("Name of the project").press("Enter")
    expect(page.get_by_role("heading", name="blossoms")).to_be_visible()
    page.get_by_title("Show the runs that are succeeded").click()
    expect(desk.main.locator("[data-term='project=blossoms']")).to_be_visible()
    desk.page.locator(".lm-TabBar-tab", has_text="blossoms").first.click()

    page.get_by_role("button", name="baseline", exact=True).click()
    config = desk.main.locator(".imgcls-config")
    expect(config).to_have_attribute("data-version", "3")
    expect(config.locator("p[role='status']")).to_contain_text("2 settings of")
    look(desk, "config", theme)
    config.get_by_role("button", name=re.compile("^Version 1")).click()
    expect(config.locator("p[role='status']")).to_contain_text("from the defaults")
    config.get_by_role("button", name="Restore").click()
    expect(config).to_have_attribute("data-version", "4")
    expect(config.get_by_role("button", name=re.compile("^Version 4"))).to_have_attribute("aria-pressed", "true")
    config.get_by_role("button", name=re.compile("^Version 2")).click()
    config.get_by_role("button", name="Launch version 2").click()
    expect(desk.main.locator("[data-base]")).to_contain_text("“baseline, version 2”")
    expect(desk.main.locator("[name='lr']")).to_have_value("5e-4")


@pytest.mark.parametrize(
    ("lab", "theme"),
    [({"theme": "JupyterLab Light"}, "light"), ({"theme": "JupyterLab Dark"}, "dark")],
    indirect=["lab"],
)
def test_a_project_leaves_as_a_file_and_comes_in_from_one(lab: Lab, desk: Desk, theme: str, tmp_path: Path) -> None:
    fill(lab)
    run = train(lab, "with its weights")
    desk.allow(r"status of 404 .*/report\?")  # no evaluation was kept of it, so its page finds none
    page = open_flowers(desk)
    page.get_by_role("button", name="Export…").click()
    link = write_file(page, "all")
    expect(link).to_be_visible()
    look(desk, "project-export", theme)
    with desk.page.expect_download() as download:
        link.click()
    file = tmp_path / "flowers.tar"
    download.value.save_as(file)
    assert file.stat().st_size > len(WEIGHTS)
    delete(lab, run)

    desk.open_panel().get_by_role("button", name="Registries").click()
    desk.main.get_by_role("button", name="Import…").click()
    group = desk.main.get_by_role("group", name="Import a project")
    expect(group.get_by_role("table")).to_contain_text(download.value.suggested_filename)
    give_up_sending(desk, group, tmp_path / "large.tar")
    group.get_by_label("Its name").fill("copies")
    with desk.page.expect_file_chooser() as chooser:
        group.get_by_role("button", name="Choose a file…").click()
    chooser.value.set_files(file)
    expect(group.get_by_role("status").first).to_contain_text("came into copies")
    look(desk, "project-import", theme)
    group.get_by_role("button", name="copies", exact=True).click()
    expect(page.get_by_role("heading", name="copies")).to_be_visible()
    page.get_by_role("button", name="with its weights", exact=True).first.click()
    imported = desk.run_page("succeeded", run=run)
    expect(imported.locator(".imgcls-chips")).to_contain_text("view only")
    imported.get_by_role("tab", name="Checkpoints").click()
    expect(imported.get_by_role("row").filter(has_text="best")).to_contain_text("300 kB")
    assert weights_of(lab, run) == WEIGHTS

    broken = tmp_path / "broken.tar"
    broken.write_bytes(b"no archive at all" * 100)
    desk.open_panel().get_by_role("button", name="Registries").click()
    with desk.page.expect_file_chooser() as chooser:
        group.get_by_role("button", name="Choose a file…").click()
    chooser.value.set_files(broken)
    expect(group.get_by_text("is refused")).to_be_visible()

"""The devices of a real Slurm in a real JupyterLab: nodes, GPUs, runs on them, what is down, and who waits."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from imgcls_lab import demo_data
from imgcls_lab.executor import client
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.browser.conftest import PICTURES, Desk, Lab
from tests.clusters.slurm_cluster import PATH, SlurmCluster
from tests.waiting import until

pytestmark = [pytest.mark.browser]
NAME = "digits, two GPUs"
DARK = {"theme": "JupyterLab Dark"}


@pytest.fixture
def lab(home: Path, slurm_cluster: SlurmCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """A JupyterLab whose runs go to Slurm. The home of the other tests is taken out of the environment."""
    monkeypatch.delenv("IMGCLS_HOME")
    for name, value in {
        "SLURM_CONF": str(slurm_cluster.configuration),
        "PATH": PATH,
        "IMGCLS_BACKEND": "slurm",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (tmp_path / "lab").mkdir()
    made = Lab(tmp_path / "lab")
    try:
        made.start()
        yield made
    finally:
        made.close()
        slurm_cluster.end_jobs()
        for node in slurm_cluster.lost():
            slurm_cluster.start_node(node)
        slurm_cluster.wait_for_nodes("node1", "node2")


def test_nodes_with_their_runs_what_is_down_and_the_queue(
    lab: Lab, slurm_cluster: SlurmCluster, browser: Browser
) -> None:
    settings = Settings(home=str(lab.home), datasets_dir=str(lab.datasets))
    with Store.open(settings, migrate=True) as store:
        config = demo_data.prepare(settings, store).config.model_dump(mode="json")
        config |= {"epochs": 500, "device": "auto", "num_processes": 2}
        run = store.runs.submit(SubmitRequest(config=config, name=NAME))
        desk = Desk(browser.new_page(viewport={"width": 1440, "height": 900}), lab)
        desk.open()
        desk.open_panel()
        client.start(settings)
        until(lambda: store.runs.get(run.id).state == "running", 180)
        busy = store.runs.get(run.id).devices[0].partition("/")[0]
    other = "node1" if busy == "node2" else "node2"
    slurm_cluster.crash_node(other)
    devices = desk.page.locator("#imgcls-lab-sidebar section[aria-label=Devices]")
    down, up = devices.locator(f"[data-node={other}]"), devices.locator(f"[data-node={busy}]")
    expect(up).to_contain_text("2 of 2 GPUs", timeout=60_000)
    expect(down).to_contain_text("takes no jobs", timeout=60_000)
    expect(down).to_contain_text("Not responding")
    environment = {"SLURM_CONF": str(slurm_cluster.configuration), "PATH": PATH}
    waits = ["sbatch", "--gres=gpu:2", "--output=/dev/null", "--wrap=sleep 600"]  # as another user's
    subprocess.run(waits, env=environment, check=True, capture_output=True)
    expect(devices).to_contain_text("1 job waits", timeout=60_000)
    expect(devices.locator(".imgcls-side-title")).to_contain_text("1 node, 2 of 2 GPUs busy")
    expect(devices.locator("[data-node]").first).to_have_attribute("data-node", other)

    PICTURES.mkdir(exist_ok=True)
    desk.page.screenshot(path=PICTURES / "cluster-light.png")
    up.get_by_role("button", name=NAME).click()
    expect(desk.run_page("running")).to_contain_text(f"{busy}/gpu:0")
    desk.wait_for_points(1)
    desk.page.screenshot(path=PICTURES / "cluster-run.png")
    lab._write_settings("apputils-extension/themes", DARK)
    desk.page.set_viewport_size({"width": 1000, "height": 800})
    desk.open()
    desk.open_panel()
    expect(up).to_contain_text(NAME)
    desk.page.screenshot(path=PICTURES / "cluster-dark.png")
    assert desk.errors == []

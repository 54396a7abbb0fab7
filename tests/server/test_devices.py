"""The device page: which run, or which notebook, holds a GPU's memory, since when, and whether it idles."""

from __future__ import annotations

import os
from typing import Any

import psutil
import pytest
from serving import Api

from imgcls_lab.executor import forkserver_manager
from imgcls_lab.executor.gpu_processes import GpuProcessTracker
from imgcls_lab.executor.nvml import GpuProcess
from imgcls_lab.identity import ProcessIdentity, host_name
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.server.app import ImgclsLab
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, executors

GPU = {
    "name": "cuda:0", "position": 0, "title": "GPU 0 · H100", "kind": "cuda", "uuid": "GPU-0", "memory_total": 80,
    "memory_used": 60, "utilisation": 0.0, "held_by": None,
}  # fmt: skip


def show(store: Store, *pids: int, host: str | None = None) -> None:
    """What a daemon writes when it sees these processes on the GPU."""
    rows = GpuProcessTracker(clock=lambda: 1000.0).update("cuda:0", [GpuProcess(pid, 30) for pid in pids], 0.0)
    with store.database.write() as session:
        executors.save_devices(session, host or host_name(), [{**GPU, "gpu_processes": rows}])


async def test_a_kernels_process_and_its_child_show_as_their_notebook(
    api: Api, extension: ImgclsLab, store: Store, jp_serverapp: Any
) -> None:
    extension.backend.kernels.serve(jp_serverapp)
    session = await jp_serverapp.session_manager.create_session(
        path="work/train.ipynb", name="train.ipynb", type="notebook", kernel_name="python3"
    )
    kernel = jp_serverapp.kernel_manager.get_kernel(session["kernel"]["id"])
    child = psutil.Popen(["sleep", "60"])  # a child of this process, which is no kernel
    try:
        show(store, kernel.provisioner.pid, child.pid)
        (device,) = (await api("GET", "devices")).json["devices"]
        by_pid = {holder["pid"]: holder for holder in device["gpu_processes"]}
        shown = by_pid[kernel.provisioner.pid]
        assert (shown["notebook"], shown["name"]) == ("work/train.ipynb", "ipykernel_launcher")
        assert (shown["memory"], shown["since"], shown["idle_since"]) == (30, 1000.0, 1000.0)
        assert by_pid[child.pid]["notebook"] is None

        with store.database.write() as session_:
            rows = [{**holder, "parents": [kernel.provisioner.pid]} for holder in _rows(child.pid)]
            executors.save_devices(session_, host_name(), [{**GPU, "gpu_processes": rows}])
        (device,) = (await api("GET", "devices")).json["devices"]
        assert device["gpu_processes"][0]["notebook"] == "work/train.ipynb"

        show(store, kernel.provisioner.pid, host="elsewhere")  # the same number there is another process
        devices = {device["host"]: device for device in (await api("GET", "devices")).json["devices"]}
        assert devices["elsewhere"]["gpu_processes"][0]["notebook"] is None
    finally:
        child.kill()
        child.wait()
        await jp_serverapp.session_manager.delete_session(session["id"])


def _rows(pid: int) -> list[dict[str, Any]]:
    return GpuProcessTracker().update("cuda:0", [GpuProcess(pid, 30)], None)


async def test_devices_say_what_warm_start_holds_here(api: Api, settings: Settings) -> None:
    assert (await api("GET", "devices")).json["warm_memory"] is None
    identity = ProcessIdentity.of(os.getpid())
    assert identity is not None
    settings.executor_dir.mkdir(parents=True, exist_ok=True)
    write_atomic(forkserver_manager.identity_path(settings), identity.to_json())
    held = (await api("GET", "devices")).json["warm_memory"]
    assert held == pytest.approx(psutil.Process().memory_info().rss, rel=0.3)

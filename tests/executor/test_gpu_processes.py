"""Who holds a GPU's memory, since when, idle or not; and what that means for a run that waits."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from stub_daemon import argv
from stub_lab import StubLab

from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.executor.devices import HostProbe
from imgcls_lab.executor.gpu_processes import GpuProcessTracker, describe
from imgcls_lab.executor.nvml import Gpu, GpuProcess
from imgcls_lab.run_layout import RUN_TAG
from imgcls_lab.schemas import SubmitRequest


class FakeGpus:
    """A host with one GPU, whose processes the test sets."""

    def __init__(self) -> None:
        self.processes: tuple[GpuProcess, ...] = ()

    def gpus(self) -> list[Gpu]:
        used = sum(process.memory or 0 for process in self.processes)
        return [Gpu(0, "GPU-imgcls-holders-test", "H100", 80 * 10**9, used, 0.0, self.processes)]


def test_since_when_it_holds_and_idles_is_remembered_also_by_the_next_daemon():
    now = [100.0]
    holders = GpuProcessTracker(clock=lambda: now[0])
    me = os.getpid()
    (row,) = holders.update("cuda:0", [GpuProcess(me, 5, busy=0.9)], None)
    assert (row["since"], row["idle_since"]) == (100.0, None)
    now[0] = 110
    (row,) = holders.update("cuda:0", [GpuProcess(me, 5, busy=0.0)], None)
    assert (row["since"], row["idle_since"]) == (100.0, 110.0)
    later = GpuProcessTracker([row], clock=lambda: 150.0)
    (row,) = later.update("cuda:0", [GpuProcess(me, 5)], 0.0)
    assert (row["since"], row["idle_since"]) == (100.0, 110.0)
    (row,) = later.update("cuda:0", [GpuProcess(me, 5)], 0.5)
    assert row["idle_since"] is None
    reused = GpuProcessTracker([{**row, "started": 1.0}], clock=lambda: 200.0)
    (other,) = reused.update("cuda:0", [GpuProcess(me, 5)], None)
    assert other["since"] == 200.0, "the pid was given to another process"


def test_a_process_is_described_by_its_module_its_user_and_its_run():
    code = "import time; time.sleep(60)"
    child = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, RUN_TAG: "20260101-000000-abcdef/2"})
    try:
        until = time.monotonic() + 10  # a process that has just begun may not show its environment yet
        while (row := describe(child.pid))["run_id"] is None and time.monotonic() < until:
            time.sleep(0.01)
        assert row["run_id"] == "20260101-000000-abcdef"
        assert row["parents"][0] == os.getpid()
        assert row["name"].startswith("python")
    finally:
        child.kill()
        child.wait()
    gone = describe(child.pid)
    assert (gone["name"], gone["user"], gone["run_id"]) == (None, None, None)


def test_a_run_waits_while_another_program_holds_the_gpus_memory_and_says_which(home: Path):
    lab, gpus = StubLab(home), FakeGpus()
    try:
        probe = HostProbe(1, gpus)
        daemon = Daemon(lab.settings, backend=LocalBackend(lab.settings, argv, probe))
        daemon._register(daemon.store_of(lab.store))
        gpus.processes = (GpuProcess(os.getpid(), 60 * 10**9),)
        run_id = lab.store.runs.submit(SubmitRequest(config={"root": "/d", "device": "cuda"}, notes='{"steps": 3}')).id
        daemon.round(daemon.store_of(lab.store))
        assert f"(pid {os.getpid()}, 60.0 GB) is running" in lab.run(run_id).message
        device = next(device for device in lab.store.executors.status().devices if device.kind == "cuda")
        assert f"pid {os.getpid()}" in device.held_by
        assert (device.gpu_processes[0].pid, device.gpu_processes[0].run_id) == (os.getpid(), None)
        gpus.processes = (GpuProcess(os.getpid(), 10**9),)  # a little is no reason
        daemon._due["devices"] = 0
        daemon.round(daemon.store_of(lab.store))
        assert lab.run(run_id).devices == ["cuda:0"]
    finally:
        lab.close()


def test_memory_of_a_run_shows_its_name(home: Path):
    lab, gpus = StubLab(home), FakeGpus()
    try:
        daemon = Daemon(lab.settings, backend=LocalBackend(lab.settings, argv, HostProbe(1, gpus)))
        daemon._register(daemon.store_of(lab.store))
        config = {"root": "/d", "device": "cuda"}
        run_id = lab.store.runs.submit(SubmitRequest(config=config, name="mine", notes='{"steps": 10000}')).id
        lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.run(run_id).step > 0)
        gpus.processes = (GpuProcess(lab.trainer(run_id), 70 * 10**9),)
        daemon._due["devices"] = 0
        daemon.round(daemon.store_of(lab.store))
        device = next(device for device in lab.store.executors.status().devices if device.kind == "cuda")
        assert (device.run_name, device.held_by) == ("mine", None)
        assert (device.gpu_processes[0].run_id, device.gpu_processes[0].run_name) == (run_id, "mine")
    finally:
        lab.close()


def test_a_name_that_another_user_chose_is_short_and_plain():
    code = "import ctypes, time; ctypes.CDLL(None).prctl(15, b'a\\xff\\x1b[2J'); print(flush=True); time.sleep(60)"
    for words in (
        ["-c", code],
        ["-c", "import time; print(flush=True); time.sleep(60)", "\x1b[2J" + "x" * 500 + ".py"],
    ):
        process = subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE)
        try:
            assert process.stdout is not None
            process.stdout.readline()
            name = describe(process.pid)["name"]
        finally:
            process.kill()
            process.wait()
        assert name.encode().decode().isprintable()
        assert len(name) < 150

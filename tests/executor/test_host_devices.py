"""Which device a run gets, and what it sees of it."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
from stub_daemon import argv
from stub_lab import ROOT, StubLab

from imgcls_lab import locks
from imgcls_lab.events import RunState
from imgcls_lab.executor.backends.local import LocalBackend
from imgcls_lab.executor.daemon import Daemon
from imgcls_lab.executor.device_locks import DeviceLock
from imgcls_lab.executor.devices import Device, HostProbe, device_environment
from imgcls_lab.executor.nvml import GpuProcess, Nvml
from imgcls_lab.schemas import SubmitRequest

GPUS = [Device(f"cuda:{n}", n, f"GPU {n}", "cuda", f"GPU-{n}-imgcls-test") for n in range(2)]
CPU = Device("cpu:0", 0, "CPU", "cpu", "cpu-0")


def test_a_run_sees_its_own_gpu_by_uuid_and_a_cpu_run_sees_none():
    assert device_environment([*GPUS, CPU], ["cuda:1"], 1)["CUDA_VISIBLE_DEVICES"] == GPUS[1].uuid
    cpu = device_environment([*GPUS, CPU], ["cpu:0"], 2)
    assert cpu["CUDA_VISIBLE_DEVICES"] == ""
    assert int(cpu["IMGCLS_THREADS"]) == max(1, len(os.sched_getaffinity(0)) // 2)


class FakeNvml:
    """As much of NVML as the probe asks."""

    class NVMLError(Exception):
        pass

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}abc"

    def nvmlDeviceGetName(self, handle: int) -> bytes:
        return b"NVIDIA H100"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(total=80, used=8)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        if handle == 1:
            raise self.NVMLError
        return SimpleNamespace(gpu=50)

    def nvmlDeviceGetComputeRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        return [SimpleNamespace(pid=7, usedGpuMemory=5), SimpleNamespace(pid=8, usedGpuMemory=None)]

    def nvmlDeviceGetGraphicsRunningProcesses(self, handle: int) -> list[SimpleNamespace]:
        raise self.NVMLError

    def nvmlDeviceGetProcessUtilization(self, handle: int, since: int) -> list[SimpleNamespace]:
        samples = [SimpleNamespace(pid=7, smUtil=use, timeStamp=stamp) for stamp, use in ((1, 10), (2, 40))]
        return [row for row in samples if row.timeStamp > since]


def test_the_probe_tells_what_nvml_tells(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    source = Nvml()
    source._tried, source._library = True, FakeNvml()
    probe = HostProbe(2, source)
    first, second, *slots = probe.read()
    assert (first.name, first.title, first.gpu.memory_used, first.gpu.utilisation) == ("cuda:0", "GPU 0 · H100", 8, 0.5)
    assert second.gpu.utilisation is None
    assert first.gpu.processes == (GpuProcess(7, 5, 0.4), GpuProcess(8, None, None))
    assert probe.read()[0].gpu.processes[0].busy is None, "no new sample is no idleness"
    assert [slot.name for slot in slots] == ["cpu:0", "cpu:1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-1abc")
    assert [device.name for device in probe.read() if device.kind == "cuda"] == ["cuda:1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert [device.name for device in probe.read() if device.kind == "cuda"] == []


@pytest.fixture
def gpus(home: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A daemon in this process on a host with two (drawn) GPUs."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    (tmp_path / "locks").mkdir(mode=0o700)
    monkeypatch.setenv("IMGCLS_HOST_LOCKS", str(tmp_path / "locks"))
    lab = StubLab(home)
    probe = SimpleNamespace(read=lambda: [*GPUS, CPU])
    daemon = Daemon(lab.settings, backend=LocalBackend(lab.settings, argv, probe))
    daemon._register(daemon.store_of(lab.store))
    yield lab, daemon
    lab.close()


def cuda_run(lab: StubLab, steps: int) -> str:
    config = {"root": "/data", "device": "cuda"}
    return lab.store.runs.submit(SubmitRequest(config=config, notes=f'{{"steps": {steps}}}')).id


def test_a_device_is_free_as_soon_as_the_supervisor_of_an_ended_run_lets_go(gpus: tuple[StubLab, Daemon]):
    lab, daemon = gpus
    run_id = cuda_run(lab, 2)
    lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.state(run_id) is RunState.SUCCEEDED)
    lock = GPUS[0].lock(lab.settings).take()  # the supervisor holds it a moment longer
    daemon._due["devices"] = 0
    daemon.round(daemon.store_of(lab.store))
    assert lab.store.executors.status().devices[0].held_by is not None
    os.close(lock)
    daemon.round(daemon.store_of(lab.store))
    assert lab.store.executors.status().devices[0].held_by is None


def test_two_gpus_run_two_runs_isolated_and_a_third_waits(gpus: tuple[StubLab, Daemon]):
    lab, daemon = gpus
    ids = [cuda_run(lab, 20) for _ in range(3)]

    def round_until(condition) -> None:
        def step() -> bool:
            daemon.round(daemon.store_of(lab.store))
            return condition()

        lab.until(step)

    round_until(lambda: lab.run(ids[2]).message is not None)
    assert lab.run(ids[2]).message.startswith("Waits for a GPU")
    assert {lab.run(run_id).devices[0] for run_id in ids[:2]} == {"cuda:0", "cuda:1"}
    round_until(lambda: all(lab.state(run_id) is RunState.SUCCEEDED for run_id in ids))
    seen = {lab.store.runs.log(run_id).text.splitlines()[0] for run_id in ids[:2]}
    assert seen == {f"attempt 1 on '{gpu.uuid}'" for gpu in GPUS}


def test_a_gpu_locked_by_another_user_is_left_alone(gpus: tuple[StubLab, Daemon]):
    lab, daemon = gpus
    held = [gpu.lock(lab.settings).take() for gpu in GPUS]
    run_id = cuda_run(lab, 3)
    daemon.round(daemon.store_of(lab.store))
    assert f"process {os.getpid()}" in lab.run(run_id).message
    os.close(held[1])
    lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.state(run_id) is RunState.SUCCEEDED)
    os.close(held[0])
    assert lab.run(run_id).attempts[0].devices == ["cuda:1"]


def test_a_device_lost_between_look_and_start_is_a_free_retry(gpus: tuple[StubLab, Daemon], monkeypatch):
    lab, daemon = gpus
    held = [gpu.lock(lab.settings).take() for gpu in GPUS]
    monkeypatch.setattr(DeviceLock, "holder", lambda _: None)
    run_id = cuda_run(lab, 3)
    lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.run(run_id).attempt == 6)
    for lock in held:
        os.close(lock)
    lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.state(run_id) is RunState.SUCCEEDED)
    assert f"process {os.getpid()}" in lab.run(run_id).attempts[0].message


def test_a_fifo_among_the_locks_hangs_no_daemon(gpus: tuple[StubLab, Daemon], tmp_path: Path):
    lab, daemon = gpus
    for gpu in GPUS:
        for name in (f"{gpu.uuid}.lock", f"imgcls-lab-{gpu.uuid}.lock", f"imgcls-lab-{gpu.uuid}.0123456789abcdef.lock"):
            os.mkfifo(tmp_path / "locks" / name)
    run_id = cuda_run(lab, 3)

    def rounds() -> None:
        lab.until(lambda: daemon.round(daemon.store_of(lab.store)) or lab.state(run_id) is RunState.SUCCEEDED)

    working = threading.Thread(target=rounds, daemon=True)
    working.start()
    working.join(40)
    assert lab.state(run_id) is RunState.SUCCEEDED


def test_a_lock_ends_with_its_holder_and_follows_no_link(tmp_path: Path):
    path = tmp_path / "a.lock"
    first = locks.try_lock(path)
    assert first is not None
    assert locks.try_lock(path) is None
    assert locks.is_locked(path)
    os.close(first)
    assert not locks.is_locked(path)
    (tmp_path / "link").symlink_to(path)
    with pytest.raises(OSError):
        locks.try_lock(tmp_path / "link")


def test_a_full_disk_at_the_start_is_told(gpus: tuple[StubLab, Daemon], monkeypatch: pytest.MonkeyPatch):
    from imgcls_lab.executor.backends import local

    lab, daemon = gpus

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(local.run_layout, "write_atomic", full)
    run_id = cuda_run(lab, 3)
    daemon.round(daemon.store_of(lab.store))
    run = lab.run(run_id)
    assert (run.state, run.failure.value, run.resumable) == (RunState.FAILED, "disk_full", False)
    assert "is full" in run.message
    assert {device.run_id for device in lab.store.executors.status().devices} == {None}

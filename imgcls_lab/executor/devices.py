"""What a host can train on: GPUs by NVML, and CPU slots. Called by the daemon, through a probe.

The probe is a seam, and so is its source of GPUs: tests give others. Nothing here imports torch.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Protocol

from imgcls_lab.cpu import share_of_cores
from imgcls_lab.executor.device_locks import DeviceLock, shared_folder
from imgcls_lab.executor.nvml import Gpu, GpuSource, Nvml
from imgcls_lab.settings import Settings


@dataclass(frozen=True)
class Device:
    """One device as it is now. gpu: what the driver reports; None for a CPU slot.

    held_by: part of a sentence if others use it, with a full stop if it says why no run can have it. gpu_processes: the
    processes on it, as `gpu_processes.py` describes them.
    """

    name: str
    position: int
    title: str
    kind: Literal["cuda", "cpu"]
    uuid: str
    gpu: Gpu | None = None
    held_by: str | None = None
    gpu_processes: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        """Its columns in the database. Memory in bytes, utilisation 0..1."""
        row = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "gpu"}
        return row | {name: getattr(self.gpu, name, None) for name in ("memory_total", "memory_used", "utilisation")}

    def used_by_others(self) -> float:
        """Fraction of its memory, 0..1, that processes hold which belong to no run."""
        held = sum(row["memory"] or 0 for row in self.gpu_processes if row["run_id"] is None)
        return held / self.gpu.memory_total if self.gpu and self.gpu.memory_total else 0.0

    def lock(self, settings: Settings) -> DeviceLock:
        """Host-wide for a GPU, since users share it; a home's own for a CPU slot."""
        if self.kind == "cuda":
            return DeviceLock(shared_folder(settings.host_locks), self.uuid)
        return DeviceLock(settings.executor_dir, self.name)


class DeviceProbe(Protocol):
    """Reads the host's devices. Called every few seconds; must not raise for a device that is gone."""

    def read(self) -> list[Device]: ...


class HostProbe:
    """The devices of this host: GPUs that CUDA_VISIBLE_DEVICES leaves visible, then CPU slots."""

    def __init__(self, cpu_slots: int, source: GpuSource | None = None) -> None:
        self.cpu_slots = max(0, cpu_slots)
        self._source = source or Nvml()

    def read(self) -> list[Device]:
        slots = [
            Device(f"cpu:{i}", i, f"CPU slot {i}" if self.cpu_slots > 1 else "CPU", "cpu", f"cpu-{i}")
            for i in range(self.cpu_slots)
        ]
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        return [_device(gpu) for gpu in self._source.gpus() if _visible(visible, gpu.index, gpu.uuid)] + slots


def _device(gpu: Gpu) -> Device:
    return Device(f"cuda:{gpu.index}", gpu.index, f"GPU {gpu.index} · {gpu.name}", "cuda", gpu.uuid, gpu)


def _visible(setting: str | None, position: int, uuid: str) -> bool:
    if setting is None:
        return True
    names = [name.strip() for name in setting.split(",")]
    return str(position) in names or any(name and uuid.startswith(name) for name in names)


def device_environment(devices: Sequence[Device], chosen: Sequence[str], slots: int) -> dict[str, str]:
    """Environment that shows a run its own devices only, and gives it its part of the cores."""
    uuids = [device.uuid for device in devices if device.name in chosen and device.kind == "cuda"]
    values = {"CUDA_VISIBLE_DEVICES": ",".join(uuids), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if not uuids:
        values["IMGCLS_THREADS"] = str(share_of_cores(slots))
    return values

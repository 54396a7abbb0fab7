"""What a host can train on: GPUs by NVML, and CPU slots. Called by the daemon, which is given a probe.

The probe is the one seam: tests hand over another one. Nothing here imports torch.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

from imgcls_lab.executor import locks
from imgcls_lab.settings import Settings

log = logging.getLogger(__name__)

OTHERS = "a run of another user or home"  # who holds a device whose lock is taken and that is not ours


@dataclass(frozen=True)
class Device:
    """One device as it is now. Memory in bytes, utilisation 0..1; `held_by`: a sentence, where others use it."""

    name: str
    position: int
    title: str
    kind: Literal["cuda", "cpu"]
    uuid: str
    memory_total: int | None = None
    memory_used: int | None = None
    utilisation: float | None = None
    held_by: str | None = None
    holders: list[dict[str, Any]] = field(default_factory=list)

    def row(self) -> dict[str, Any]:
        return asdict(self)

    def lock(self, settings: Settings) -> Path:
        """Host-wide for a GPU, since users share it; a home's own for a CPU slot."""
        if self.kind == "cuda":
            return locks.HOST_LOCKS / f"{self.uuid}.lock"
        return settings.executor_dir / f"{self.name.replace(':', '-')}.lock"


class DeviceProbe(Protocol):
    """Looks at the host's devices. Called every few seconds; must not raise for a device that is gone."""

    def look(self) -> list[Device]: ...


class HostProbe:
    """The devices of this host: GPUs that CUDA_VISIBLE_DEVICES leaves visible, then CPU slots."""

    def __init__(self, cpu_slots: int) -> None:
        self.cpu_slots = max(0, cpu_slots)
        self._nvml: Any = None
        self._tried = False

    def look(self) -> list[Device]:
        slots = [
            Device(f"cpu:{i}", i, f"CPU slot {i}" if self.cpu_slots > 1 else "CPU", "cpu", f"cpu-{i}")
            for i in range(self.cpu_slots)
        ]
        return self._gpus() + slots

    def _gpus(self) -> list[Device]:
        nvml = self._library()
        if nvml is None:
            return []
        found = []
        try:
            for position in range(nvml.nvmlDeviceGetCount()):
                handle = nvml.nvmlDeviceGetHandleByIndex(position)
                uuid = _text(nvml.nvmlDeviceGetUUID(handle))
                if _visible(os.environ.get("CUDA_VISIBLE_DEVICES"), position, uuid):
                    found.append(self._gpu(nvml, handle, position, uuid))
        except nvml.NVMLError as error:
            log.warning("NVML does not answer: %s", error)
            self._nvml, self._tried = None, False
        return found

    def _gpu(self, nvml: Any, handle: Any, position: int, uuid: str) -> Device:
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        try:
            busy: float | None = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        except nvml.NVMLError:  # not told by some boards and by MIG slices
            busy = None
        title = f"GPU {position} · {_text(nvml.nvmlDeviceGetName(handle)).removeprefix('NVIDIA ')}"
        return Device(f"cuda:{position}", position, title, "cuda", uuid, int(memory.total), int(memory.used), busy)

    def _library(self) -> Any:
        if not self._tried:
            self._tried = True
            try:
                import pynvml

                pynvml.nvmlInit()
                self._nvml = pynvml
            except Exception as error:
                log.info("No GPU is used: %s", error)
        return self._nvml


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value


def _visible(setting: str | None, position: int, uuid: str) -> bool:
    if setting is None:
        return True
    names = [name.strip() for name in setting.split(",")]
    return str(position) in names or any(name and uuid.startswith(name) for name in names)


def variables(devices: Sequence[Device], chosen: Sequence[str], slots: int) -> dict[str, str]:
    """Environment that shows a run its own devices only, and its share of the cores."""
    uuids = [device.uuid for device in devices if device.name in chosen and device.kind == "cuda"]
    values = {"CUDA_VISIBLE_DEVICES": ",".join(uuids), "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    if not uuids:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        # one core is left to the rest of the machine: threads that wait for each other after every operation crawl
        # as soon as another program takes the core of one of them
        values["IMGCLS_THREADS"] = str(max(1, (cores - 1) // max(1, slots)))
    return values

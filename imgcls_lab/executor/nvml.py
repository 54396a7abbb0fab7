"""NVIDIA's management library behind one small interface. Used by the devices' probe; tests hand over another.

It decides nothing: it reads what the driver reports, and what a board does not report is None.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, Protocol

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GpuProcess:
    """A process that holds memory of a GPU. memory: bytes; busy: the fraction of the GPU's time that it uses, 0..1."""

    pid: int
    memory: int | None = None
    busy: float | None = None


@dataclass(frozen=True)
class Gpu:
    """One GPU as it is now. Memory in bytes; utilisation 0..1."""

    index: int
    uuid: str
    name: str
    memory_total: int
    memory_used: int
    utilisation: float | None = None
    processes: tuple[GpuProcess, ...] = ()


class GpuSource(Protocol):
    """Reads the GPUs of this host. Must not raise for one that is gone."""

    def gpus(self) -> list[Gpu]: ...


class Nvml:
    """The real source. Without a driver there are no GPUs; a driver that fails is loaded again the next time."""

    def __init__(self) -> None:
        self._library: Any = None
        self._tried = False
        self._sampled: dict[int, int] = {}  # by index: time of the newest sample of utilisation that was read

    def gpus(self) -> list[Gpu]:
        nvml = self._load()
        if nvml is None:
            return []
        try:
            return [self._gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount())]
        except nvml.NVMLError as error:
            log.warning("NVML does not answer: %s", error)
            self._library, self._tried = None, False
            return []

    def _gpu(self, nvml: Any, index: int) -> Gpu:
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        try:
            utilisation: float | None = nvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
        except nvml.NVMLError:  # some boards and MIG slices do not report it
            utilisation = None
        return Gpu(
            index,
            _text(nvml.nvmlDeviceGetUUID(handle)),
            _text(nvml.nvmlDeviceGetName(handle)).removeprefix("NVIDIA "),
            int(memory.total),
            int(memory.used),
            utilisation,
            self._processes(nvml, handle, index),
        )

    def _processes(self, nvml: Any, handle: Any, index: int) -> tuple[GpuProcess, ...]:
        memory: dict[int, int | None] = {}
        for ask in (nvml.nvmlDeviceGetComputeRunningProcesses, nvml.nvmlDeviceGetGraphicsRunningProcesses):
            try:
                memory |= {int(row.pid): row.usedGpuMemory for row in ask(handle)}
            except nvml.NVMLError:
                continue
        busy = self._busy(nvml, handle, index) if memory else {}
        return tuple(GpuProcess(pid, used, busy.get(pid)) for pid, used in sorted(memory.items()))

    def _busy(self, nvml: Any, handle: Any, index: int) -> dict[int, float]:
        """Largest fraction of the GPU's time by pid since the last reading; empty if the board does not report it."""
        try:
            samples = nvml.nvmlDeviceGetProcessUtilization(handle, self._sampled.get(index, 0))
        except nvml.NVMLError:
            return {}
        self._sampled[index] = max([self._sampled.get(index, 0), *(int(row.timeStamp) for row in samples)])
        busy: dict[int, float] = {}
        for row in samples:
            busy[int(row.pid)] = max(busy.get(int(row.pid), 0.0), row.smUtil / 100)
        return busy

    def _load(self) -> Any:
        if not self._tried:
            self._tried = True
            try:
                import pynvml

                pynvml.nvmlInit()
                self._library = pynvml
            except Exception as error:
                log.info("No GPU is used: %s", error)
        return self._library


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value

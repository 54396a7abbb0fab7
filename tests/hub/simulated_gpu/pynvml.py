"""NVIDIA's library as the tests have it: one GPU of 24 GB that nobody uses. Found on PYTHONPATH before the real one."""

from types import SimpleNamespace

UUID = "GPU-5ca1ab1e-0000-4000-8000-000000000001"
MEMORY = 24 * 2**30


class NVMLError(Exception):
    """Raised for what this GPU does not report."""


def nvmlInit() -> None:
    """There is nothing to load."""


def nvmlDeviceGetCount() -> int:
    return 1


def nvmlDeviceGetHandleByIndex(index: int) -> int:
    return index


def nvmlDeviceGetMemoryInfo(_handle: int) -> SimpleNamespace:
    return SimpleNamespace(total=MEMORY, used=0)


def nvmlDeviceGetUtilizationRates(_handle: int) -> SimpleNamespace:
    return SimpleNamespace(gpu=0)


def nvmlDeviceGetUUID(_handle: int) -> str:
    return UUID


def nvmlDeviceGetName(_handle: int) -> str:
    return "NVIDIA Simulated GPU"


def nvmlDeviceGetComputeRunningProcesses(_handle: int) -> list[SimpleNamespace]:
    return []


def nvmlDeviceGetGraphicsRunningProcesses(_handle: int) -> list[SimpleNamespace]:
    return []


def nvmlDeviceGetProcessUtilization(_handle: int, _since: int) -> list[SimpleNamespace]:
    return []

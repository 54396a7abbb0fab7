"""What this machine offers a run: device, threads and memory. Called while a run is prepared, and by the caches."""

from __future__ import annotations

import os
import platform
from typing import Any

import psutil
import torch

from imgcls_lab import cpu
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, Problem
from imgcls_lab.settings import Settings


def pick_device(config: TrainConfig) -> torch.device:
    """The device to train on. Raises ConfigError if a GPU is asked for and there is none."""
    if config.device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", 0)
    if config.device == "cuda":
        text = "This machine has no GPU that torch can use. Set device to auto or cpu."
        raise ConfigError(text, [Problem("device", text)])
    if config.decoder == "gpu":
        text = "This run trains on the CPU, so there is no GPU to decode on. Set decoder to cpu."
        raise ConfigError(text, [Problem("decoder", text)])
    return torch.device("cpu")


def pick_threads(config: TrainConfig) -> int:
    """Threads of a run: the config's, else its slot's (IMGCLS_THREADS, from the executor), else what a slot would have.

    Over all its nodes, each of which has as many as this one. The same in and outside of the queue, and however many
    runs there are: other threads give other bits.
    """
    given = os.environ.get("IMGCLS_THREADS", "")
    slot_threads = int(given) if given.isdigit() else 0
    return config.threads or config.num_nodes * (slot_threads or cpu.share_of_cores(Settings().cpu_slots))


def describe(device: torch.device) -> dict[str, Any]:
    """The hardware, for the manifest."""
    facts: dict[str, Any] = {
        "machine": platform.machine(),
        "system": platform.platform(),
        "cores": cpu.cores(),
        "processor": cpu.model_name(),
        "arithmetic": cpu.arithmetic(),
    }
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        facts |= {"gpu": properties.name, "gpu_memory": properties.total_memory, "cuda": torch.version.cuda}
    return facts


def arithmetic_of(facts: dict[str, Any]) -> str | None:
    """The part of a description on which the last bits of a result depend; None in one of an earlier version."""
    found: str | None = facts.get("gpu") or facts.get("arithmetic")
    return found


def memory() -> int:
    """Bytes of memory: of the machine, or of the control group if that is less. Always the same."""
    limit = _cgroup_bytes("memory.max")
    total = int(psutil.virtual_memory().total)
    return total if limit is None else min(total, limit)


def free_memory() -> int:
    """Bytes of it that are free now: nothing that changes a result may depend on it."""
    limit, used = _cgroup_bytes("memory.max"), _cgroup_bytes("memory.current")
    free = int(psutil.virtual_memory().available)
    return max(0, free if limit is None or used is None else min(free, limit - used))


def _cgroup_bytes(name: str) -> int | None:
    """A number of bytes of the control group; None where there is none, or no limit."""
    try:
        with open(f"/sys/fs/cgroup/{name}", encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return None


def memory_used(device: torch.device) -> float:
    """Bytes that torch holds on a GPU at most so far; on a CPU what this process holds now."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_reserved(device))
    return float(psutil.Process().memory_info().rss)

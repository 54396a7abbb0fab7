"""The CPU of this machine: its cores, the threads of a run, and its vector instructions. Standard library only.

Asked by whatever starts or does training, so that every way to start a run resolves the same threads and the same
arithmetic. Nothing here measures: what else the machine does at the moment changes no answer.
"""

from __future__ import annotations

import functools
import os
import platform
from typing import Literal

Bf16 = Literal["amx_bf16", "avx512_bf16"]
# By these, arithmetic libraries are told to compute otherwise than the processor could.
_SET = (
    "ATEN_CPU_CAPABILITY", "DNNL_DEFAULT_FPMATH_MODE", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_DEBUG_CPU_TYPE",
    "MKL_ENABLE_INSTRUCTIONS", "ONEDNN_DEFAULT_FPMATH_MODE", "ONEDNN_MAX_CPU_ISA", "OMP_THREAD_LIMIT",
)  # fmt: skip
_WIDE = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")  # what the last bits of a result depend on


def cores() -> int:
    """Cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def share_of_cores(slots: int) -> int:
    """Threads of a run on a CPU: an equal share of the cores for each slot of the host, at least one."""
    return max(1, cores() // max(1, slots))


def bf16_unit() -> Bf16 | None:
    """The unit that multiplies bf16 in hardware: AMX, or AVX512-BF16; None if there is neither."""
    if "amx_bf16" in _flags():
        return "amx_bf16"
    return "avx512_bf16" if "avx512_bf16" in _flags() else None


def arithmetic() -> str:
    """The kind of CPU, as far as bits depend on it, and environment variables that change the arithmetic of libraries.

    Two processors that say the same may still be of different makes.
    """
    wide = [name for name in _WIDE if name in _flags()]
    return " ".join([platform.machine(), *wide, *(f"{name}={os.environ[name]}" for name in _SET if name in os.environ)])


def model_name() -> str:
    """As the system calls it."""
    return _told("model name") or platform.processor() or platform.machine()


@functools.cache
def _flags() -> frozenset[str]:
    return frozenset(_told("flags").split())


def _told(name: str) -> str:
    """The first line of that name which Linux has on its processors; empty elsewhere."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            line = next((line for line in file if line.partition(":")[0].strip() == name), "")
    except OSError:
        return ""
    return line.partition(":")[2].strip()

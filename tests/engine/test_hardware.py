"""What a CPU run keeps of the memory that a step freed."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from collections.abc import Callable

import pytest

from imgcls_lab import cpu
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware
from imgcls_lab.executor.devices import device_environment

# Faults of taking, filling and freeing 4 x 20 MiB five times, when the heap has settled: as the library is, with memory
# kept, and MiB of the process with memory kept and given back.
PROGRAM = """
import json, resource
import psutil
import torch
from imgcls_lab import heap
from imgcls_lab.engine.training import attempt_context

def steps():
    for _ in range(5):
        kept = [torch.empty(5 << 20).fill_(1.0) for _ in range(4)]
        del kept

def faults():
    steps()
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    steps()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin

def size():
    return psutil.Process().memory_info().rss >> 20

torch.set_num_threads(1)
found = [faults()]
with attempt_context.isolated_torch():
    heap.keep_freed_memory()
    found += [faults(), size()]
found.append(size())
print(json.dumps(found))
"""

# Without it the library finds its own threshold, and whether it keeps some blocks depends on what lies above them.
MAPS_ALL = {"GLIBC_TUNABLES": "glibc.malloc.mmap_threshold=131072"}


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told")
def test_a_step_takes_memory_that_the_last_one_freed_without_a_fault_and_a_kernel_gets_its_heap_back() -> None:
    command = [sys.executable, "-c", PROGRAM]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | MAPS_ALL)
    before, kept, held, after = json.loads(done.stdout)
    pages = 80 * 2**20 // 4096
    assert before > pages
    assert kept < pages // 100
    assert after < held - 60


def test_threads_are_a_slots_in_and_outside_of_the_queue(
    make_config: Callable[..., TrainConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 12)
    monkeypatch.setenv("IMGCLS_CPU_SLOTS", "3")
    outside = hardware.pick_threads(make_config(threads=None))
    monkeypatch.setenv("IMGCLS_THREADS", device_environment([], [], 3)["IMGCLS_THREADS"])
    assert (outside, hardware.pick_threads(make_config(threads=None))) == (4, 4)
    assert hardware.pick_threads(make_config(threads=7)) == 7

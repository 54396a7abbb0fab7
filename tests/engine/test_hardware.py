"""What a CPU run keeps of the memory that a step freed."""

from __future__ import annotations

import json
import platform
import subprocess
import sys

import pytest

# Faults of taking, filling and freeing 4 x 20 MiB five times: before, with memory kept, and given back again.
PROGRAM = """
import json, resource
import torch
from imgcls_lab.engine import guard, hardware

def faults():
    def step():
        kept = [torch.empty(5 << 20).fill_(1.0) for _ in range(4)]
    step()
    begin = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(5):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - begin

torch.set_num_threads(1)
found = [faults()]
with guard.torch_state():
    hardware.keep_freed_memory()
    found.append(faults())
found.append(faults())
print(json.dumps(found))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library is told")
def test_a_step_takes_memory_that_the_last_one_freed_without_a_fault_and_a_kernel_gets_its_heap_back() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    before, kept, after = json.loads(done.stdout)
    pages = 80 * 2**20 // 4096
    assert before > pages
    assert kept < pages // 100
    assert after > pages

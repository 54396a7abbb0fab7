"""What timing bf16 gave on this machine, kept from run to run: the same training is not timed before each of its runs.

Read and written by `precision.py`. One small JSON file among what the runs of a home share; it may be deleted at any
time. It also makes runs alike: near the border a second timing might fall on the other side.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import platform
from pathlib import Path

import torch
from torch import nn

from imgcls_lab.layout import write_atomic

FILE = "bf16.json"
KEPT = 200  # the newest


def key_of(trial: nn.Module, images: tuple[int, int], layout: torch.memory_format) -> str:
    """Names what is timed: the model's form and what of it learns, images a batch and their edge, the machine."""
    learning = [name for name, parameter in trial.named_parameters() if parameter.requires_grad]
    facts = (repr(trial), learning, images, str(layout), torch.get_num_threads(), torch.__version__, _processor())
    return hashlib.sha256(repr(facts).encode()).hexdigest()


def read(folder: Path, key: str) -> float | None:
    """The gain that was measured, if it was."""
    found = _read(folder).get(key)
    return found if isinstance(found, float) else None


def keep(folder: Path, key: str, gain: float) -> None:
    """Remember a gain; a run trains as well where that cannot be."""
    with contextlib.suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        newest = list((_read(folder) | {key: gain}).items())[-KEPT:]
        write_atomic(folder / FILE, json.dumps(dict(newest), indent=1))


def _read(folder: Path) -> dict[str, object]:
    try:
        found = json.loads((folder / FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            return next((line for line in file if line.startswith("model name")), platform.machine())
    except OSError:
        return platform.machine()

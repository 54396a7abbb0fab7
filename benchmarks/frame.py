"""What all benchmarks share: a line with its target, the table they print, and the file they leave.

Called by `__main__.py` and by every benchmark. It measures nothing itself.
"""

from __future__ import annotations

import json
import os
import platform
import sqlite3
import time
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import psutil

from imgcls_lab import __version__, cpu
from imgcls_lab.executor.nvml import Nvml

RESULTS = Path(__file__).parent / "results"
_PACKAGES = (
    "torch", "torchvision", "transformers", "timm", "numpy", "pillow", "simplejpeg", "sqlalchemy", "papermill",
    "jupyter-server", "jupyterlab",
)  # fmt: skip


@dataclass(frozen=True)
class Line:
    """One result. target None: it is reported and not judged; figure None: it could not be measured, see `note`."""

    what: str
    target: float | None
    figure: float | None
    unit: str
    direction: Literal["at most", "at least"] = "at most"
    note: str = ""

    @property
    def verdict(self) -> Literal["pass", "short", "reported", "not measured"]:
        if self.figure is None:
            return "not measured"
        if self.target is None:
            return "reported"
        met = self.figure <= self.target if self.direction == "at most" else self.figure >= self.target
        return "pass" if met else "short"


def reported(what: str, figure: float, unit: str, note: str = "") -> Line:
    """A figure without a target."""
    return Line(what, None, figure, unit, note=note)


def number(value: float) -> str:
    """A figure as people read it: three digits, and no more than it deserves."""
    if value and abs(value) < 0.01:
        return f"{value:.2g}"
    size = abs(value)
    return f"{value:,.0f}" if size >= 100 else f"{value:.1f}" if size >= 10 else f"{value:.2f}"


def columns(line: Line) -> tuple[str, str, str, str]:
    """What, figure, target and verdict, as the table on the screen and that of the docs show them."""
    what = f"{line.what} ({line.note})" if line.note else line.what
    figure = "–" if line.figure is None else f"{number(line.figure)} {line.unit}"
    target = "–" if line.target is None else f"{line.direction} {number(line.target)} {line.unit}"
    return what, figure.strip(), target.strip(), line.verdict


def show(title: str, lines: list[Line]) -> None:
    rows = [("", "result", "target", ""), *map(columns, lines)]
    wide = [max(len(row[place]) for row in rows) for place in range(3)]
    print(f"\n{title}")
    for what, figure, target, verdict in rows:
        print(f"  {what:<{wide[0]}}  {figure:>{wide[1]}}  {target:<{wide[2]}}  {verdict}", flush=True)


def hardware() -> dict[str, Any]:
    """The machine, as far as it bears on a figure; neither its name nor a path."""
    facts: dict[str, Any] = {
        "processor": cpu.model_name(),
        "arithmetic": arithmetic(),
        "cores": cpu.cores(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30),
        "system": f"{platform.system()} {platform.machine()}",
    }
    gpus = [gpu.name for gpu in Nvml().gpus()]
    return facts | ({"gpus": gpus} if gpus else {})


ARITHMETIC = "BENCHMARK_ARITHMETIC"  # a variable, so that one process for all of them imports torch to find it out


def arithmetic() -> str:
    """The widest numbers it computes with: processors of one name differ in them, and so in speed by half."""
    if ARITHMETIC in os.environ:
        return os.environ[ARITHMETIC]
    import torch

    return f"{torch.backends.cpu.get_cpu_capability()}{' with bf16' if cpu.bf16_unit() else ''}"


def versions() -> dict[str, str]:
    found = {"imgcls-lab": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def save(name: str, title: str, lines: list[Line], *, quick: bool, seconds: float, busy: float, kind: str = "") -> Path:
    """Write `results/NAME.json`; a quick run's goes to `results/quick/`, which git ignores.

    busy: percent of the cores that other processes took in the second before it began.
    kind: of processor, a part of the file's name, where figures of several kinds stand side by side.
    """
    path = (RESULTS / "quick" if quick else RESULTS) / f"{name}{kind}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "name": name,
        "title": title,
        "quick": quick,
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "seconds": round(seconds, 1),
        "busy": round(busy),
        "hardware": hardware(),
        "versions": versions(),
        "lines": [asdict(line) | {"verdict": line.verdict} for line in lines],
    }
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")
    return path

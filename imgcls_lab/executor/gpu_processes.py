"""The processes that hold a GPU's memory: name, user and run of each, since when, and whether it is idle.

Called by the device inventory with each reading of the devices. It sees pids. Only the Jupyter server knows which
notebook a kernel's pid belongs to; the server adds that when it shows the page.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from imgcls_lab.executor.nvml import GpuProcess
from imgcls_lab.run_layout import RUN_TAG
from imgcls_lab.terminal import shown

LONGEST_NAME = 100  # characters
BUSY = 0.01  # fraction of the GPU's time above which a process is not idle


class GpuProcessTracker:
    """Remembers since when each process holds memory and is idle. known: rows that an earlier daemon made."""

    def __init__(self, known: Iterable[Mapping[str, Any]] = (), clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known = {_key(row): dict(row) for row in known}

    def update(self, device: str, processes: Iterable[GpuProcess], utilisation: float | None) -> list[dict[str, Any]]:
        """The rows of one device. utilisation: of the whole device, for processes whose own is not known."""
        now, rows = self._clock(), []
        for process in processes:
            row = describe(process.pid) | {"device": device, "memory": process.memory}
            earlier = self._known.get(_key(row), {})
            busy = process.busy if process.busy is not None else utilisation
            idle = busy is not None and busy < BUSY
            row["since"] = earlier.get("since", now)
            row["idle_since"] = (earlier.get("idle_since") or now) if idle else None
            self._known[_key(row)] = row
            rows.append(row)
        seen = {_key(row) for row in rows}
        self._known = {key: row for key, row in self._known.items() if key in seen or row["device"] != device}
        return rows


def largest_other(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """The largest process that belongs to no run, for a sentence: `ipykernel_launcher (pid 7, 60.1 GB)`."""
    others = [row for row in rows if row["run_id"] is None]
    if not others:
        return None
    most = max(others, key=lambda row: row["memory"] or 0)
    memory = f", {most['memory'] / 1e9:.1f} GB" if most["memory"] else ""
    return f"{most['name'] or 'a program'} (pid {most['pid']}{memory})"


def describe(pid: int) -> dict[str, Any]:
    """Name, user, ancestors and run of a process; None for what this container cannot see."""
    row: dict[str, Any] = {"pid": pid, "started": None, "name": None, "user": None, "parents": [], "run_id": None}
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        row["started"] = process.create_time()
        row["name"] = shown(_name(process), LONGEST_NAME)  # other users choose it
        row["user"] = process.username()
        row["parents"] = [parent.pid for parent in process.parents()]
        tag = process.environ().get(RUN_TAG, "")
        row["run_id"] = tag.partition("/")[0] or None
    return row


def _name(process: psutil.Process) -> str:
    """The program; for a Python the module or script that it runs."""
    words = process.cmdline()
    if len(words) > 2 and words[1] == "-m":
        return words[2]
    script = next((word for word in words[1:] if word.endswith(".py")), None)
    return script.rpartition("/")[2] if script else process.name()


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Identifies a process: the system gives a pid alone to the next process."""
    return row["device"], row["pid"], row["started"]

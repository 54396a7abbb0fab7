"""Who holds a GPU's memory: a run, or a process of this host with its name, its user, since when, and whether it idles.

Called by the daemon with each look at the devices. It sees pids; which notebook a kernel's pid belongs to only the
Jupyter server knows, and adds it when it shows the page.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from imgcls_lab.executor.nvml import GpuProcess
from imgcls_lab.run_layout import RUN_TAG

BUSY = 0.01  # share of the GPU's time above which a process is not idle


class Holders:
    """Remembers since when each process holds memory and idles, also what an earlier daemon saw."""

    def __init__(self, known: Iterable[Mapping[str, Any]] = (), clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._known = {_key(row): dict(row) for row in known}

    def look(self, device: str, processes: Iterable[GpuProcess], utilisation: float | None) -> list[dict[str, Any]]:
        """The rows for one device. utilisation: of the whole device, where a process's own is not told."""
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


def largest_holder(rows: Iterable[Mapping[str, Any]]) -> str | None:
    """Part of a sentence about the process of no run that holds most: `ipykernel_launcher (pid 7, 60.1 GB)`."""
    others = [row for row in rows if row["run_id"] is None]
    if not others:
        return None
    most = max(others, key=lambda row: row["memory"] or 0)
    memory = f", {most['memory'] / 1e9:.1f} GB" if most["memory"] else ""
    return f"{most['name'] or 'a program'} (pid {most['pid']}{memory})"


def describe(pid: int) -> dict[str, Any]:
    """Name, user, ancestors and run of a process; what cannot be seen from here (another container) is None."""
    row: dict[str, Any] = {"pid": pid, "started": None, "name": None, "user": None, "parents": [], "run_id": None}
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        row["started"] = process.create_time()
        row["name"] = _name(process)
        row["user"] = process.username()
        row["parents"] = [parent.pid for parent in process.parents()]
        tag = process.environ().get(RUN_TAG, "")
        row["run_id"] = tag.partition("/")[0] or None
    return row


def _name(process: psutil.Process) -> str:
    """The program, and the module or script that a Python runs."""
    words = process.cmdline()
    if len(words) > 2 and words[1] == "-m":
        return words[2]
    script = next((word for word in words[1:] if word.endswith(".py")), None)
    return script.rpartition("/")[2] if script else process.name()


def _key(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """A pid alone is given to the next process."""
    return row["device"], row["pid"], row["started"]

"""Memory of the daemon and of what the extension adds to a Jupyter server, at rest and with four live runs.

Resident sets as the system tells them (RSS), and beside them the proportional ones (PSS), in which a page that
several processes share counts for each only in part. The process that runs are forked from is reported for itself.
"""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import psutil

from benchmarks import labs
from benchmarks.frame import Line, reported
from benchmarks.live import RUNS, start_runs
from imgcls_lab.settings import Settings
from tests.executor.stub_lab import StubLab
from tests.server.server_process import Server

MB = 2**20


def measure(folder: Path, quick: bool) -> list[Line]:
    lab = StubLab(folder / "home", cpu_slots=RUNS, poll_interval=Settings().poll_interval)
    with ExitStack() as stack:
        stack.callback(lab.close)
        daemon = psutil.Process(lab.start_daemon().pid)
        home = lab.settings.home_path
        plain = _plain(stack, folder / "plain", home)
        ours, asker = stack.enter_context(labs.serving(folder / "ours", home))
        server = psutil.Process(ours.process.pid)
        _look(asker, None)
        time.sleep(5)
        rest = {"daemon": _memory(daemon), "server": _memory(server), "plain": _memory(plain)}
        ids = start_runs(lab, 60 if quick else 120)
        end = time.monotonic() + (10 if quick else 60)
        while time.monotonic() < end:
            _look(asker, ids)
            time.sleep(0.5)
        live = {"daemon": _memory(daemon), "server": _memory(server), "plain": _memory(plain)}
    lines = []
    for when, found in (("at rest", rest), (f"with {RUNS} live runs", live)):
        note = f"PSS {found['daemon'][1]:.0f} MB"
        lines.append(Line(f"daemon, RSS, {when}", 120, found["daemon"][0], "MB", note=note))
    for when, found in (("at rest", rest), (f"with {RUNS} live runs", live)):
        added = [found["server"][place] - found["plain"][place] for place in (0, 1)]
        note = f"PSS {added[1]:.0f} MB"
        lines.append(Line(f"what the extension adds to a Jupyter server, RSS, {when}", 60, added[0], "MB", note=note))
    lines.append(reported("a Jupyter server without it, RSS", rest["plain"][0], "MB"))
    return lines


def _plain(stack: ExitStack, folder: Path, home: Path) -> psutil.Process:
    """The same server without the extension."""
    folder.mkdir()
    server = Server(folder, home, {}, extension=False)
    stack.callback(server.close)
    return psutil.Process(server.process.pid)


def _look(asker: labs.Asker, ids: list[str] | None) -> None:
    """What a panel and a run's page ask for."""
    for path in ("info", "devices", "runs", "projects", "configs", "datasets", "models", "alerts"):
        asker.get(path)
    for run_id in ids or []:
        asker.get(f"runs/{run_id}")
        asker.get("series", run=run_id)


def _memory(process: psutil.Process) -> tuple[float, float]:
    """RSS and PSS in MB."""
    full = process.memory_full_info()
    return full.rss / MB, full.pss / MB

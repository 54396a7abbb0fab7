"""`make soak`: a lab under load for an hour (SOAK_MINUTES), whose files, memory and database must not grow.

A real daemon and a real Jupyter server work on stub runs without a pause; old runs are deleted as users do. Once a
minute the open files and memory of both, and the size of the database, are written down. After a warm-up of a tenth
of the time none of them may be larger, but for a margin.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

for _room in ("executor", "server"):
    sys.path.insert(0, str(Path(__file__).parents[1] / _room))

import psutil  # noqa: E402
from server_process import Server  # noqa: E402
from stub_lab import StubLab  # noqa: E402

from imgcls_lab.events import ENDED, RunState  # noqa: E402

KEPT = 20  # runs; older ones are deleted
COLUMNS = ("daemon files", "daemon MB", "server files", "server MB", "database MB")
MARGINS = (3, 12, 6, 25, 1)  # by which the median of the last quarter may exceed that of the first after the warm-up


def measure(daemon: psutil.Process, server: psutil.Process, database: Path) -> tuple[float, ...]:
    parts = [database.with_name(database.name + suffix) for suffix in ("", "-wal", "-journal")]
    size = sum(part.stat().st_size for part in parts if part.exists())
    return (
        daemon.num_fds(), daemon.memory_info().rss / 2**20, server.num_fds(), server.memory_info().rss / 2**20,
        size / 2**20,
    )  # fmt: skip


def look(server: Server, run_id: str) -> None:
    """What a page asks for."""
    for path in ("runs", f"runs/{run_id}", f"series?run={run_id}", f"runs/{run_id}/log", "devices", "alerts"):
        status, reply = server.ask("GET", path)
        if status not in (200, 404):  # it may just have been deleted
            raise AssertionError(f"{path}: {status} {reply}")


def tidy(lab: StubLab) -> None:
    old = lab.store.runs.list(states=ENDED, sort="created_at", limit=1000).items[KEPT:]
    for run in old:
        lab.store.runs.delete(run.id)


def median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def main(minutes: float) -> int:
    folder = Path(tempfile.mkdtemp(prefix="imgcls-soak-"))
    home = folder / "home"
    os.environ["IMGCLS_HOME"] = str(home)
    lab = StubLab(home, cpu_slots=2)
    server = None
    failed: list[str] = []
    rows: list[tuple[float, ...]] = []
    done = 0
    try:
        daemon = psutil.Process(lab.start_daemon().pid)
        server = Server(folder, home, {"IMGCLS_AUTOSTART": "0"})
        process = psutil.Process(server.process.pid)
        begin, next_row = time.monotonic(), 0.0
        while (now := time.monotonic() - begin) < minutes * 60:
            waiting = [lab.submit(steps=40, step_seconds=0.01) for _ in range(4)]
            for run_id in waiting:
                run = lab.wait(run_id, seconds=120)
                done += 1
                if run.state is not RunState.SUCCEEDED:
                    failed.append(f"{run_id}: {run.state} {run.message}")
                look(server, run_id)
            tidy(lab)
            if now >= next_row:
                next_row = now + max(1.0, minutes)  # sixty rows, whatever the length
                rows.append(measure(daemon, process, lab.store.database.file))
                shown = "  ".join(f"{name} {value:.1f}" for name, value in zip(COLUMNS, rows[-1], strict=True))
                print(f"{now / 60:6.1f} min  {done:6d} runs  {shown}", flush=True)
    finally:
        if server is not None:
            server.close()
        lab.close()
    steady = rows[max(1, len(rows) // 10) :]
    quarter = max(1, len(steady) // 4)
    for index, (name, margin) in enumerate(zip(COLUMNS, MARGINS, strict=True)):
        first, last = (median([row[index] for row in part]) for part in (steady[:quarter], steady[-quarter:]))
        print(f"{name}: {first:.1f} at first, {last:.1f} at last")
        if last > first + margin:
            failed.append(f"{name} grew from {first:.1f} to {last:.1f}")
    print(f"{done} runs in {minutes:g} minutes: {'; '.join(failed) or 'nothing grew, none failed'}.")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(float(os.environ.get("SOAK_MINUTES", "60"))))

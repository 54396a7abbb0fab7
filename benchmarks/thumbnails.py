"""Pictures of photographs over HTTP: 200 at once as a grid asks for them, made anew and from the cache; and what the
server's own memory grows by while very many are looked through.

Beside it the same number of static files of the same server, in turn: what Tornado and Jupyter take for any answer. CPU
time says the same on a loaded machine.
"""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil

from benchmarks import labs
from benchmarks.frame import Line, reported
from benchmarks.photos import write_photos
from benchmarks.timing import best, in_turn
from imgcls_lab import image_table
from imgcls_lab.schemas import DatasetEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.thumbnails import cache

SHOWN = 200  # pictures of a screen and of what lies beside it
CONNECTIONS = 6  # of a browser to one server
STATIC = "/static/favicons/favicon.ico"  # of Jupyter's own, 32 kB; a picture has 10
ROWS = 100_000  # of a table; all but the first name the same files again, since only the number matters


class Taken(NamedTuple):
    """Seconds: of the clock, and of the processors by the server and its children."""

    wall: float
    cpu: float


def measure(folder: Path, quick: bool) -> list[Line]:
    settings = labs.settings(folder)
    root = Path(settings.datasets_dir) / "photos"
    write_photos(root, SHOWN // 4)
    images = write_table(settings, root)
    with Store.open(settings, migrate=True) as store:
        number = store.datasets.add(DatasetEdit(name="photos", root=str(root))).id
    paths = [f"{labs.API}datasets/{number}/images/{image}/thumbnail" for image in images[:SHOWN]]
    with labs.serving(folder / "server", settings.home_path) as (server, asker):
        asker.fetch(f"{paths[0]}?size=64")  # processes and table
        process = psutil.Process(server.process.pid)
        before = process.memory_info().rss
        cold = [_made_anew(settings, server, process, paths) for _ in range(2 if quick else 4)]
        answers = {"kept": paths, "static": [STATIC] * SHOWN}
        taken = in_turn(
            {name: partial(_taken, process, partial(ask_all, server, places)) for name, places in answers.items()},
            4 if quick else 12,
        )
        kept, static = (Taken(*map(best, zip(*taken[name], strict=True))) for name in answers)
        for _ in range(2 if quick else 25):
            ask_all(server, [f"{path}?size={size}" for path in paths for size in (64, 128, 256)])
        grown = process.memory_info().rss - before
    return [
        Line(f"{SHOWN} photographs of 500 x 375 px as pictures, made anew", 1.5, best([one.wall for one in cold]), "s"),
        reported("CPU time of it, server and decoders", best([one.cpu for one in cold]), "s"),
        Line(f"{SHOWN} photographs of 500 x 375 px as pictures, kept", 0.15, kept.wall, "s"),
        reported("CPU time of it, server", kept.cpu, "s"),
        reported(f"{SHOWN} static files of the same server", static.wall, "s"),
        reported("CPU time of it, server", static.cpu, "s"),
        Line("pictures that are kept / static files, CPU time", 2.0, kept.cpu / static.cpu, "times"),
        Line("memory of the server, after thousands of pictures", 60, grown / 1e6, "MB"),
    ]


def write_table(settings: Settings, root: Path) -> list[str]:
    """The table of a data set of ROWS images, the files in it first. Returns the ids of these."""
    paths = sorted(path for path in root.rglob("*") if path.is_file())
    rows = np.zeros(ROWS, image_table.ROW)
    names = [os.fsencode(path.relative_to(root)) for path in paths]
    for row, path in zip(rows, paths, strict=False):
        status = path.stat()
        row["digest"] = np.frombuffer(hashlib.sha256(path.read_bytes()).digest(), np.uint8)
        row["size"], row["changed"] = status.st_size, status.st_mtime_ns
    rest = ROWS - len(paths)
    rows["digest"][len(paths) :] = np.random.default_rng(0).integers(0, 256, (rest, 32), np.uint8)
    names += [f"train/class{number % 1000:03d}/{number:06d}.jpg".encode() for number in range(rest)]
    where = image_table.table_path(settings.scans_dir, root)
    image_table.write(where, root, ["a"], rows, np.array(names), problems={})
    return [row["digest"].tobytes().hex() for row in rows[: len(paths)]]


def _made_anew(settings: Settings, server: labs.Site, process: psutil.Process, paths: list[str]) -> Taken:
    cache.clear(settings.cache_path)
    return _taken(process, lambda: ask_all(server, paths))


def _taken(process: psutil.Process, work: Callable[[], float]) -> Taken:
    before = _cpu_time(process)
    wall = work()
    return Taken(wall, _cpu_time(process) - before)


def _cpu_time(process: psutil.Process) -> float:
    times = [one.cpu_times() for one in (process, *process.children())]
    return sum(one.user + one.system for one in times)


def ask_all(server: labs.Site, places: list[str]) -> float:
    """Seconds for all, over as many connections as a browser opens."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for place in places:
        waiting.put(place)
    failures: list[BaseException] = []

    def work() -> None:
        asker = labs.Asker(server)
        try:
            while True:
                asker.fetch(waiting.get_nowait())
        except queue.Empty:
            asker.close()
        except RuntimeError as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(CONNECTIONS)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return time.perf_counter() - begin

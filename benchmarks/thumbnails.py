"""Pictures of photographs over HTTP: 200 at once as a grid asks for them, made anew and from the cache; and what the
server's own memory grows by while very many are looked through."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
import time
from pathlib import Path

import numpy as np
import psutil

from benchmarks import labs
from benchmarks.frame import Line
from benchmarks.photos import write_photos
from benchmarks.timing import best
from imgcls_lab import image_table
from imgcls_lab.schemas import DatasetEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from imgcls_lab.thumbnails import cache

SHOWN = 200  # pictures of a screen and of what lies beside it
CONNECTIONS = 6  # of a browser to one server
ROWS = 100_000  # of a table; all but the first name the same files again, since only the number matters


def measure(folder: Path, quick: bool) -> list[Line]:
    settings = labs.settings(folder)
    root = Path(settings.datasets_dir) / "photos"
    write_photos(root, SHOWN // 4)
    images = write_table(settings, root)
    with Store.open(settings, migrate=True) as store:
        number = store.datasets.add(DatasetEdit(name="photos", root=str(root))).id
    paths = [f"datasets/{number}/images/{image}/thumbnail" for image in images[:SHOWN]]
    with labs.serving(folder / "server", settings.home_path) as (server, asker):
        asker.get(paths[0], size=64)  # processes and table
        before = psutil.Process(server.process.pid).memory_info().rss
        cold, warm = [], []
        for _ in range(2 if quick else 4):
            cache.clear(settings.cache_path)
            cold.append(ask_all(server, paths))
            warm.append(ask_all(server, paths))
        for _ in range(2 if quick else 25):
            ask_all(server, [f"{path}?size={size}" for path in paths for size in (64, 128, 256)])
        grown = psutil.Process(server.process.pid).memory_info().rss - before
    return [
        Line(f"{SHOWN} photographs of 500 x 375 px as pictures, made anew", 1.5, best(cold), "s"),
        Line(f"{SHOWN} photographs of 500 x 375 px as pictures, kept", 0.15, best(warm), "s"),
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


def ask_all(server: labs.Site, paths: list[str]) -> float:
    """Seconds for all, over as many connections as a browser opens."""
    waiting: queue.SimpleQueue[str] = queue.SimpleQueue()
    for path in paths:
        waiting.put(path)
    failures: list[BaseException] = []

    def work() -> None:
        asker = labs.Asker(server)
        try:
            while True:
                asker.get(waiting.get_nowait())
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

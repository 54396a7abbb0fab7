"""Metric events of a run's folder into SQLite, by the store's own `ingest`: how many rows a second.

A folder as an engine leaves it that logs every step: 8 figures an event. The disk takes part, as it does in use.
"""

from __future__ import annotations

import time
from pathlib import Path

from benchmarks.frame import Line, reported
from benchmarks.timing import best
from imgcls_lab.events import EventWriter, Metrics, Started
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest

TAGS = (
    "loss/train", "lr", "grad_norm", "throughput/images_per_second", "time/step", "time/data", "memory", "loss/smooth",
)  # fmt: skip
TARGET = 50_000  # rows a second


def measure(folder: Path, quick: bool) -> list[Line]:
    events = 12_500 if quick else 50_000
    rounds = 3 if quick else 5
    with Store.open(Settings(home=str(folder / "home"), autostart=False), migrate=True) as store:
        times = [_one(store, events) for _ in range(rounds)]
        size = store.database.file.stat().st_size
    rows = events * len(TAGS)
    return [
        Line(f"ingest, SQLite, {len(TAGS)} figures an event", TARGET, rows / best(times), "rows/s", "at least"),
        reported("database, a row", size / (rows * rounds), "bytes"),
    ]


def _one(store: Store, events: int) -> float:
    """Seconds to take in a new run's folder."""
    run = store.runs.submit(SubmitRequest(config={"root": "/data", "model_flavour": "stub", "device": "cpu"}))
    with store.database.write() as session:
        claimed = attempts.claim(session, "bench-host", "bench", lambda run: [f"cpu:{run.number}"])
    assert claimed is not None
    target = store.settings.run_dir(run.id)
    target.mkdir(mode=0o700, exist_ok=True)
    with EventWriter(target, claimed.attempt) as writer:
        writer.write(
            Started(
                total_steps=events, steps_per_epoch=1000, epochs=events // 1000, train_images=1, val_images=1,
                classes=2, device="cpu", precision="fp32", threads=1,
            )
        )  # fmt: skip
        for step in range(1, events + 1):
            values = {tag: step * 1e-3 + place / 7 for place, tag in enumerate(TAGS)}
            writer.write(Metrics(step=step, epoch=step / 1000, values=values))
    begin = time.perf_counter()
    assert ingest(store.database, store.settings, run.id, claimed.attempt)
    took = time.perf_counter() - begin
    found = store.metrics.series([run.id], ["lr"], max_points=0).series[0]
    assert len(found.step) == events, "rows are missing"
    return took

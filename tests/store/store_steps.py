"""What a daemon does to a store, in single steps, without a process: for tests."""

from __future__ import annotations

from pathlib import Path

from imgcls_lab.events import CheckpointSaved, EpochEnded, Event, EventWriter, Metrics, RunState, Started
from imgcls_lab.store import Store, attempts
from imgcls_lab.store.ingest import ingest
from imgcls_lab.store.verdict import Verdict

HOST = "host-a"


def claim(store: Store, device: str = "cpu:0", host: str = HOST) -> attempts.Claim | None:
    with store.database.write() as session:
        return attempts.claim(session, host, f"{host}-1", lambda _: [device])


def finish(store: Store, run_id: str, attempt: int, state: RunState, **verdict: object) -> RunState | None:
    with store.database.write() as session:
        return attempts.finish(session, run_id, attempt, Verdict(state, **verdict), None)


def started(resume_step: int = 0, total: int = 100) -> Started:
    return Started(
        resume_step=resume_step, total_steps=total, steps_per_epoch=10, epochs=total // 10, train_images=80,
        val_images=20, classes=2, device="cpu", precision="fp32", threads=1,
    )  # fmt: skip


def points(first: int, last: int, value: float | None = None) -> list[Event]:
    return [
        Metrics(step=step, epoch=step / 10, values={"loss/train": 1 / step if value is None else value, "lr": 0.1})
        for step in range(first, last + 1)
    ]


def epoch(number: int, accuracy: float, best: bool = True) -> EpochEnded:
    return EpochEnded(step=10 * number, epoch=number, seconds=1, values={"metric/accuracy": accuracy}, best=best)


def checkpoint(store: Store, run_id: str, attempt: int, step: int, *links: str) -> CheckpointSaved:
    name = f"checkpoints/a{attempt:03d}-s{step:08d}"
    (store.settings.run_dir(run_id) / name).mkdir(parents=True, exist_ok=True)
    return CheckpointSaved(step=step, epoch=step // 10, folder=name, links=links)


def write(store: Store, run_id: str, attempt: int, *events: Event) -> None:
    folder: Path = store.settings.run_dir(run_id)
    folder.mkdir(parents=True, exist_ok=True)
    with EventWriter(folder, attempt) as out:
        for event in events:
            out.write(event)


def feed(store: Store, run_id: str, attempt: int, *events: Event) -> bool:
    """Write events and ingest them."""
    write(store, run_id, attempt, *events)
    return ingest(store.database, store.settings, run_id, attempt)


def steps(store: Store, run_id: str, tag: str = "loss/train") -> list[int]:
    series = store.metrics.series([run_id], [tag], max_points=10**6).series
    return series[0].step if series else []

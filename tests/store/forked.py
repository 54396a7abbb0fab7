"""Runs with checkpoints, and forks of them, without a training: for tests of the store."""

from __future__ import annotations

import json
from collections.abc import Sequence

from store_steps import claim, feed, finish

from imgcls_lab.events import CheckpointSaved, Event, RunState
from imgcls_lab.schemas import ForkRequest
from imgcls_lab.store import Store
from tests.forkable import write_checkpoint

CONFIG = {"root": "/data/digits", "model_flavour": "tiny", "epochs": 3, "lr": 1e-3}


def save(store: Store, run_id: str, attempt: int, step: int, *links: str, batch: int = 0) -> CheckpointSaved:
    name = f"checkpoints/a{attempt:03d}-s{step:08d}"
    write_checkpoint(store.settings.run_dir(run_id) / name, step=step, epoch=step // 10, batch=batch)
    return CheckpointSaved(step=step, epoch=step // 10, folder=name, links=links)


def train(store: Store, run_id: str, events: Sequence[Event], state: RunState = RunState.SUCCEEDED) -> None:
    claim(store)
    folder = store.settings.run_dir(run_id)
    (folder / "manifest.json").write_text("{}")
    (folder / "config.json").write_text(json.dumps(store.runs.get(run_id).config))
    feed(store, run_id, 1, *events)
    finish(store, run_id, 1, state)


def fork(store: Store, parent: str, at: str = "best", **fields: object) -> str:
    return store.runs.fork(parent, ForkRequest(at=at, fields=fields)).id


def past(store: Store, run_id: str, tag: str = "loss/train") -> list[int]:
    found = [each for each in store.metrics.series([run_id], [tag]).inherited if each.run_id == run_id]
    return found[0].step if found else []

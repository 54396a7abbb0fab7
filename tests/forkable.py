"""A checkpoint with the files that a fork reads, without a training: for tests of the store and the server."""

from __future__ import annotations

import json
from pathlib import Path


def write_checkpoint(place: Path, *, step: int, epoch: int, batch: int = 0, since_best: int = 0) -> None:
    """What the engine's checkpoint says of its progress; weights and hashes are of this place alone."""
    place.mkdir(parents=True, exist_ok=True)
    progress = {"step": step, "epoch": epoch, "batch": batch, "since_best": since_best, "ranking": []}
    tree = {"__pairs__": [["progress", {"__pairs__": [*map(list, progress.items())]}]]}
    (place / "training_state.json").write_text(json.dumps(tree))
    (place / "model.safetensors").write_text(f"weights of {place}")
    (place / "checksums.json").write_text(json.dumps({"model.safetensors": str(place)}))

"""A log of the images of each step: the proof that a resume loses and doubles none, whatever the number of processes.

Each process writes its own file, `indices-ATTEMPT-RANK.jsonl`, where the config asks for it (`log_indices`). A line is
written after the step and reaches the file before the next step, so that a checkpoint never knows a step that the log
lacks. Nothing reads the log to train.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

from imgcls_lab import run_layout
from imgcls_lab.engine.data.image_set import Indices
from imgcls_lab.events import Started, read_events


class IndexLog:
    """What one process trains on in one attempt. path: None where nothing is written down."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._images: list[Indices] = []

    def add(self, images: Indices) -> None:
        """Images that the current step uses, by their numbers in the training set."""
        if self._path is not None:
            self._images.append(images)

    def end_step(self, step: int, epoch: int) -> None:
        """The weights have moved; step: how many steps are done now; epoch: from 0."""
        if self._path is None:
            return
        images = np.concatenate(self._images).tolist()
        self._images.clear()
        descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.write(descriptor, json.dumps({"step": step, "epoch": epoch, "images": images}).encode() + b"\n")
        finally:
            os.close(descriptor)


def trained_images(folder: Path) -> dict[int, list[int]]:
    """Epoch (from 0) -> the numbers of the images that the weights were trained on, all processes together.

    Steps that a later attempt did again, since they came after its checkpoint, count once: as the later attempt did
    them. Raises ValueError for a log that another program has changed.
    """
    found: dict[int, list[int]] = {}
    kept_until = float("inf")
    for events in reversed(run_layout.event_files(folder)):
        attempt = run_layout.attempt_of(events) or 0
        for path in sorted(folder.glob(run_layout.indices_name(attempt, "*"))):
            for line in path.read_bytes().splitlines():
                entry = json.loads(line)
                if entry["step"] <= kept_until:
                    found.setdefault(entry["epoch"], []).extend(entry["images"])
        started = next((event for event in read_events(events)[0] if isinstance(event, Started)), None)
        if started is not None:
            kept_until = min(kept_until, started.resume_step)
    return dict(sorted(found.items()))

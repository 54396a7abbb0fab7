"""What the events of a run say of its steps, so far as they can be compared to the last bit. Called by `verify`."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from imgcls_lab import run_layout
from imgcls_lab.events import EpochEnded, Failed, Metrics, Started, WeightsHashed, read_events

_OF_THE_CLOCK = ("time/", "throughput/", "device/")  # beginnings of metrics that no two runs have alike


@dataclass
class Record:
    """Of each step: metrics, the hash of the weights behind it (0: before the first), and what its epoch came to.

    started: the first event of that kind; ended: the steps that end an epoch.
    """

    metrics: dict[int, dict[str, float | str]] = field(default_factory=dict)
    hashes: dict[int, str] = field(default_factory=dict)
    ended: dict[int, dict[str, float | str]] = field(default_factory=dict)
    started: Started | None = None
    failed: Failed | None = None

    @classmethod
    def read(cls, folder: Path) -> Record:
        """Of a run's folder. A resume takes back what it does again."""
        found = cls()
        for path in run_layout.event_files(folder):
            for event in read_events(path)[0]:
                found.add(event)
        return found

    def add(self, event: object) -> None:
        """Take what an event says."""
        match event:
            case Started():
                self.started = self.started or event
                for values in (self.metrics, self.hashes, self.ended):
                    for step in [step for step in values if step > event.resume_step]:
                        del values[step]
            case Metrics():
                self.metrics[event.step] = _comparable(event.values)
            case WeightsHashed():
                self.hashes[event.step] = event.hash
            case EpochEnded():
                self.ended[event.step] = _comparable(event.values)
            case Failed():
                self.failed = event

    @property
    def steps(self) -> list[int]:
        """Those of which something can be compared, in order."""
        return sorted({*self.metrics, *self.hashes} - {0})


def _comparable(values: dict[str, float]) -> dict[str, float | str]:
    """Without times; a value that is no number is equal to itself here, as two runs can have the same overflow."""
    kept = {tag: value for tag, value in values.items() if not tag.startswith(_OF_THE_CLOCK)}
    return {tag: "nan" if math.isnan(value) else value for tag, value in kept.items()}

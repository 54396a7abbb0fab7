"""Makes a folder a fork of another one, as the store does, for tests of the engine alone."""

from __future__ import annotations

from pathlib import Path

from imgcls_lab import forks, run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.events import Started, read_events
from imgcls_lab.forks import Beginning, Fork, LrSchedule


def fork_from(
    parent: Path,
    child: Path,
    checkpoint: str,
    config: TrainConfig,
    changed: TrainConfig,
    *,
    schedule: LrSchedule = "continue",
) -> Fork:
    """checkpoint: its name or a link to it, such as `last`; config: the parent's; changed: the fork's."""
    child.mkdir()
    resumed = {
        run_layout.attempt_of(path) or 0: event.resume_step
        for path in run_layout.event_files(parent)
        for event in read_events(path)[0]
        if isinstance(event, Started)
    }
    beginning = Beginning.read((parent / "checkpoints" / checkpoint).resolve())
    facts = {"run": parent.name, "name": parent.name, "schedule": schedule, "resume_steps": resumed}
    return forks.fork_of(parent, child, beginning, (config, changed), **facts)

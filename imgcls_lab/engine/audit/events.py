"""The progress of an audit, as events of its run: its stage, how far it is and how long it takes.

Called by the pipeline. Events are few: a file more is none.
"""

from __future__ import annotations

import time

from imgcls_lab.audits.task import PHASES
from imgcls_lab.events import EventWriter, Notice, Phase

EVERY = 0.5  # seconds between two events of one stage


class AuditEvents:
    """Writes the events of one attempt. `step` is what was done last, of whatever the stage counts."""

    def __init__(self, events: EventWriter) -> None:
        self._events = events
        self._stage = ""
        self._began = self._said_at = 0.0
        self._first = 0
        self.step = 0

    def progress(self, stage: str, done: int, total: int) -> None:
        """So many of the stage's images, or of whatever it counts, are done. Their rate gives the time left."""
        self.say(PHASES[stage], done, total)

    def say(self, stage: str, done: int, total: int) -> None:
        """The same in the words that the run shows."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._first, self._said_at = stage, now, done, 0.0
        self.step = done
        if now - self._said_at < EVERY and done < total:
            return
        self._said_at = now
        since, seconds = done - self._first, now - self._began
        left = (total - done) * seconds / since if since and seconds > EVERY else None
        self._events.write(Phase(name=stage, done=done, total=total, seconds_left=left))

    def note(self, sentence: str) -> None:
        self._events.write(Notice(level="info", text=sentence))

"""Says when another look at the queue could find something new. Called by the daemon in each of its rounds.

A look asks some forty queries, and there are three rounds a second. With a daemon on each of hundreds of hosts, looks
that find nothing would be nearly all that the database does. Whether anything has changed is one query.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from imgcls_lab.executor.devices import Device
from imgcls_lab.executor.scheduler import Scheduler
from imgcls_lab.store.live_runs import Changes

LOOK_EVERY = 5.0  # seconds between two looks though no change concerns this daemon: sentences, limits, absent hosts
LOOK_OFTEN = 1.0  # the same while a device is free though runs wait, or other homes share the devices


class QueueWatch:
    """What a daemon has seen of the queue, and whether that is out of date."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._is_due = True
        self._next = 0.0
        self._has_free = False  # at the last look: a change of any run, such as the end of one elsewhere, may use it
        self._is_shared = False
        self._has_taken = False  # the others do not say yet what they wait for
        self._devices: Sequence[Device] = ()
        self._held: set[tuple[str, str | None]] = set()  # devices, and who outside the database holds them
        self._problem: str | None = None  # why nothing can start, as the backend says

    def note(self, changes: Changes, devices: Sequence[Device], problem: str | None, *, urgent: bool) -> None:
        """Take in what has changed since the last round. urgent: look in any case."""
        if changes.concern or urgent or problem != self._problem or (self._has_free and changes.any):
            self._is_due = True
        self._problem = problem
        if devices is not self._devices:
            before, self._held = self._held, {(device.name, device.held_by) for device in devices}
            self._devices = devices
            self._is_due = self._is_due or self._held != before

    def is_due(self) -> bool:
        return self._is_due or self._clock() >= self._next

    def begin(self) -> None:
        """A look begins. While none has succeeded, the next round looks again."""
        self._is_due = True
        self._has_free = self._is_shared = self._has_taken = False

    def looked(self, scheduler: Scheduler, taken: int) -> None:
        """A pass over the queue has ended. taken: how many runs this daemon got of those that it had planned."""
        self._has_free = scheduler.has_free() or taken < scheduler.placed
        self._is_shared = bool(scheduler.others)
        self._has_taken = taken > 0

    def succeeded(self) -> None:
        """The look has ended, and what it found is done."""
        self._is_due = self._has_taken
        self._next = self._clock() + (LOOK_OFTEN if self._has_free or self._is_shared else LOOK_EVERY)

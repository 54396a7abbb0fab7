"""What the daemon and its monitors know of the place where attempts run: `Backend`, and nothing else.

`local.py` starts processes of this host, `cluster.py` hands jobs to an outer scheduler. Nothing here starts anything.
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from imgcls_lab.executor.devices import Device
from imgcls_lab.identity import Owner
from imgcls_lab.store.tables import Run


class OwnerState(StrEnum):
    """Whether an attempt goes on, as far as its backend can see.

    WAITING: an outer scheduler has it and has not started it. UNKNOWN: nobody can be asked now; it counts as living.
    GONE: its supervisor has ended and cannot write any more.
    """

    WAITING = "waiting"
    RUNNING = "running"
    UNKNOWN = "unknown"
    GONE = "gone"


@dataclass(frozen=True)
class OwnerStatus:
    """reason: a sentence for the run's page, where there is something to say."""

    state: OwnerState
    reason: str | None = None


class Backend(Protocol):
    """Where attempts run.

    host: the name under which its devices and runs stand in the database; release_seconds: for how long a device may
    still be held after its run has ended.
    """

    @property
    def host(self) -> str: ...
    @property
    def release_seconds(self) -> float: ...

    def devices(self, claimed: Set[str]) -> list[Device]:
        """What it offers now. claimed: names of those that runs of the database hold.

        Called every few seconds; raises nothing for a device that is gone.
        """

    def holder(self, device: Device) -> str | None:
        """Who outside the database holds a device, as part of a sentence. None: a run may start on it."""

    def problem(self) -> str | None:
        """Why no run can start here now, sentences with the remedy; None: one can where a device is free."""

    def start(self, run: Run, attempt: int, devices: Sequence[Device]) -> Owner | None:
        """Write the run's folder and start its attempt. Raises OSError and ExecutorError, with nothing started.

        Called by several threads at the same time.
        """

    def find(self, run_id: str, attempt: int) -> Owner | None:
        """Who has an attempt whose start is not in the database, because a daemon died in between."""

    def status(self, owner: Owner, silent: float) -> OwnerStatus:
        """Whether an attempt goes on. silent: seconds for which its heartbeat has not grown."""

    def ask_to_stop(self, owner: Owner, tag: str) -> str | None:
        """Have an attempt save and end whose folder takes no request. The reason where nothing was signalled.

        tag: what its processes carry in their environment.
        """

    def clear(self, run_id: str, attempt: int) -> list[str]:
        """End everything of an attempt. What still lives, as parts of a sentence; the caller asks again then."""

    def reap(self) -> None:
        """Forget what has ended. Called once a round."""

    def close(self) -> None:
        """The daemon ends; runs go on."""

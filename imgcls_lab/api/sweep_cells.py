"""A sweep's output in a notebook, brought up to date while the sweep runs and when it has ended.

JupyterLab with the extension shows the sweep live by its id. Everywhere else, and in the file, stands the table that
this keeps up to date, as `display.py` does for a run.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from threading import Event, RLock, Thread
from typing import Any, NamedTuple

from imgcls_lab.api.progress import dated, execution
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import ENDED, RunState

PERIOD = 2.0  # seconds between two looks at a sweep that runs
REST = 5.0  # ... at one that ended but may be filled
SHARE = 0.05  # of the time that looking may take: the table of a large sweep is long


class Look(NamedTuple):
    """A sweep as of now: its state, and its output by MIME type."""

    state: RunState
    bundle: dict[str, Any]

    def output(self) -> dict[str, Any]:
        """As it is shown: that of a sweep which goes on says as of when it is."""
        return self.bundle if self.state in ENDED or "text/html" not in self.bundle else dated(self.bundle)


class SweepCell:
    """One output. A thread follows the sweep until it has succeeded or was deleted."""

    def __init__(self, look: Callable[[], Look]) -> None:
        """look: called in the thread, too; raises ImgclsError."""
        self._look = look
        self._handle: Any = None
        self._shown: Look | None = None
        self._lock = RLock()  # the thread, and `update` of the kernel's own
        self._stop = Event()
        self.shown_in: int | None = None  # the execution of the kernel that displayed it

    def show(self, place: Any = None) -> None:
        """Display it. place: the handle of an output that it replaces."""
        from IPython.display import display

        found = self._look()
        self._shown, self.shown_in = found, execution()
        if place is None:
            self._handle = display(found.output(), raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle = place
            place.update(found.output(), raw=True)
        if found.state is not RunState.SUCCEEDED:
            Thread(target=self._follow, name="imgcls-sweep-cell", daemon=True).start()

    def update(self) -> RunState:
        """Bring it up to date where anything has changed; the state of the sweep."""
        with self._lock:
            found = self._look()
            if found != self._shown:
                self._shown = found
                self._handle.update(found.output(), raw=True)
        return found.state

    def close(self) -> None:
        """Follow it no longer; what is shown stays."""
        self._stop.set()

    def _follow(self) -> None:
        period = PERIOD
        while not self._stop.wait(period):
            begun = time.monotonic()
            try:
                state = self.update()
            except ImgclsError as error:
                if error.status == 404:  # it was deleted
                    return
                state = RunState.LOST
            if state is RunState.SUCCEEDED:
                return
            took = time.monotonic() - begun
            period = max(REST if state in ENDED else PERIOD, took / SHARE)

"""The home of one test that starts an executor: both end with the test, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from imgcls_lab.api import context
from imgcls_lab.events import LIVE, DesiredState, RunState
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings


@contextmanager
def ended(patch: pytest.MonkeyPatch, *, cpu_slots: int = 2, stop_grace: int = 10) -> Iterator[Settings]:
    """The settings of the test's home, with so many runs at once on the processor; then all that it started is ended.

    stop_grace: seconds that a run has to save and end.
    """
    patch.setenv("IMGCLS_CPU_SLOTS", str(cpu_slots))
    patch.setenv("IMGCLS_STOP_GRACE", str(stop_grace))
    settings = Settings()
    yield settings
    for run in context.store().runs.list(states=[RunState.QUEUED, *LIVE]).items:
        if not run.external:
            context.store().runs.set_desired_state(run.id, DesiredState.KILL)
    client.stop(settings, stop_runs=True)
    context.close()

"""The home of one test that starts an executor: both end with the test, however it ends."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from imgcls_lab.api import context
from imgcls_lab.events import LIVE, DesiredState, RunState
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings


@contextmanager
def ended() -> Iterator[Settings]:
    """The settings of the test's home as they are now; then its runs and its executor are ended."""
    settings = Settings()
    yield settings
    for run in context.store().runs.list(states=[RunState.QUEUED, *LIVE]).items:
        if not run.external:
            context.store().runs.set_desired_state(run.id, DesiredState.KILL)
    client.stop(settings, stop_runs=True)
    context.close()

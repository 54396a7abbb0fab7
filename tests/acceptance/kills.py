"""kill -9 of everything that works for a sweep, while it runs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time

import psutil

from imgcls_lab import Sweep, locks
from imgcls_lab.api import context
from imgcls_lab.events import LIVE, RunState
from imgcls_lab.executor import client, processes
from imgcls_lab.settings import Settings
from tests.waiting import until


def kill_everything(settings: Settings) -> int:
    """kill -9 of the executor, its fork server, the driver, supervisors and trainings; how many these were."""
    daemon = json.loads(settings.executor_info.read_text())["pid"]
    live = context.store().runs.list(states=LIVE).items
    victims = [daemon, *(child.pid for child in psutil.Process(daemon).children(recursive=True))]
    victims += [pid for run in live for pid in processes.tagged(processes.tag_of(run.id, run.attempt))]
    killed = 0
    for pid in dict.fromkeys(victims):
        with contextlib.suppress(ProcessLookupError):  # it ended with the one before
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


def wait_with_kills(sweep: Sweep, settings: Settings, moments: list[int]) -> int:
    """Until the sweep has ended; kill everything once so many epochs are done. How many kills hit it."""
    hits = 0
    while sweep.run.refresh().state not in {RunState.SUCCEEDED, RunState.FAILED}:
        if hits < len(moments) and sweep.view.epochs_done >= moments[hits]:
            assert kill_everything(settings) > 2
            hits += 1
            until(lambda: not locks.is_locked(settings.executor_lock))
            client.ensure(settings)
        time.sleep(0.2)
    assert sweep.state is RunState.SUCCEEDED, sweep.run.view.message
    return hits

"""What `imgcls-lab doctor` says of a cluster: its scheduler, and its nodes as a job on them sees them.

The job holds no GPU and ends within seconds. What it finds is compared with this machine. Changes nothing in the end.
"""

from __future__ import annotations

import contextlib
import json
import platform
import secrets
import shutil
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from imgcls_lab._version import __version__
from imgcls_lab.entry_points import NODE_PROBE
from imgcls_lab.errors import ExecutorError
from imgcls_lab.executor.backends.job_scheduler import Finding, Job, JobScheduler, JobState
from imgcls_lab.executor.node import REFUSED
from imgcls_lab.executor.node_probe import MARK, TOKEN
from imgcls_lab.plurals import counted
from imgcls_lab.settings import Settings

WAIT = 60.0  # seconds that the job may take to start and end
MOST = 16  # nodes that are asked, all at once
SKEW = 2.0  # seconds that a node's clock may differ

Facts = dict[str, Any]  # as `node_probe.facts` gives them


def findings(settings: Settings, scheduler: JobScheduler, wait: float = WAIT) -> Iterator[Finding]:
    """The scheduler's own findings, then those of its nodes where it answers. Raises nothing of the scheduler's."""
    checked = scheduler.check()
    yield from checked
    if any(not finding.ok for finding in checked[:1]):  # it does not answer
        return
    try:
        nodes = [node for node in scheduler.nodes() if node.alive]
        if not nodes:
            return
        probe = _Probe(settings, scheduler, min(len(nodes), MOST), wait)
        if probe.refusal and probe.count > 1 and not probe.found:  # perhaps one node alone can be taken
            single = _Probe(settings, scheduler, 1, wait)
            if single.found:
                yield Finding("several nodes", False, probe.refusal)
            probe = single
        yield from _of_nodes(probe)
    except (ExecutorError, OSError) as error:
        yield Finding("node check", False, f"No job could be started on the nodes: {error}")


class _Probe:
    """One job on so many nodes.

    `found`: what each node says; `log`: of the job; `refusal`: why it could not take the nodes; `state` and `reason`:
    its end.
    """

    def __init__(self, settings: Settings, scheduler: JobScheduler, count: int, wait: float) -> None:
        self.count = count
        self.title, self.python = scheduler.title, settings.node_python or sys.executable
        self.home = settings.home_path
        name = f"imgcls-doctor-{secrets.token_hex(4)}"
        folder, token = settings.executor_dir / name, secrets.token_hex(8)
        folder.mkdir(mode=0o700, parents=True)
        try:
            (folder / TOKEN).write_text(token)
            self.began = time.time()
            scheduler.submit(
                Job(name, tuple(NODE_PROBE.argv(self.python, str(folder), token, str(count))), nodes=count)
            )
            self._wait(scheduler, name, folder, wait)
        finally:
            with contextlib.suppress(ExecutorError):
                scheduler.cancel(name, 0)
            shutil.rmtree(folder, ignore_errors=True)

    def _wait(self, scheduler: JobScheduler, name: str, folder: Path, wait: float) -> None:
        until = time.monotonic() + wait
        while True:
            status = scheduler.status([name])[name]
            self.found = {facts["node"]: facts for facts in _answers(folder)}
            over = status.state in (JobState.ENDED, JobState.MISSING) or time.monotonic() > until
            if len(self.found) >= self.count or over:
                break
            time.sleep(0.3)
        self.ended, self.state, self.reason = time.time(), status.state, status.reason
        self.log = scheduler.log(name)
        refusals = [line.partition(REFUSED)[2].strip() for line in self.log.splitlines() if REFUSED in line]
        self.refusal = refusals[-1] if refusals else ""
        if len(self.found) < self.count:  # those that do not see the home
            self.found |= {facts["node"]: facts for facts in _lines(self.log) if facts["node"] not in self.found}


def _answers(folder: Path) -> Iterator[Facts]:
    for file in sorted(folder.glob("[!.]*.json")):
        with contextlib.suppress(OSError, ValueError):
            yield json.loads(file.read_text())


def _lines(log: str) -> Iterator[Facts]:
    for line in log.splitlines():
        with contextlib.suppress(ValueError):
            if MARK in line:
                yield json.loads(line.partition(MARK)[2])


def _of_nodes(probe: _Probe) -> Iterator[Finding]:
    if len(probe.found) < probe.count:
        busy = probe.state is JobState.WAITING
        yield Finding("node check", busy, _waits(probe) if busy else _silence(probe), note=busy)
    for facts in probe.found.values():
        yield _versions(facts)
    if probe.found:
        yield _home(probe)
        yield _clocks(probe)


def _waits(probe: _Probe) -> str:
    reason = f" ({probe.reason.rstrip('.')})" if probe.reason else ""
    return (
        f"The nodes could not be asked: the job still waits in the queue of {probe.title}{reason}. Ask again when the "
        "cluster has a free CPU on each node."
    )


def _silence(probe: _Probe) -> str:
    """Why nodes did not answer."""
    if probe.refusal:
        return probe.refusal
    missing = probe.count - len(probe.found)
    words = probe.log + probe.reason
    if "No module named" in words and "imgcls_lab" in words:
        return (
            f"{probe.python} on a node has no imgcls_lab. Install it there: `pip install imgcls-lab=={__version__}`, "
            "or name a Python that has it in IMGCLS_NODE_PYTHON."
        )
    if "No such file" in words or "not found" in words or "can't open file" in words:
        return f"A node has no {probe.python}. Name the Python of the nodes in IMGCLS_NODE_PYTHON."
    last = (probe.log.strip().splitlines() or [probe.reason or "its log is empty"])[-1]
    return f"{counted(missing, 'node')} of {probe.count} did not answer. The job's last words: {last[:300]}"


def _versions(facts: Facts) -> Finding:
    name, ray = f"node {facts['node']}", f", Ray {facts['ray']}" if facts["ray"] else ""
    text = f"imgcls-lab {facts['package']}, Python {facts['python']}{ray}"
    if facts["package"] != __version__:
        remedy = f"It refuses runs. Install imgcls-lab {__version__} there: `pip install imgcls-lab=={__version__}`."
        return Finding(name, False, f"{text}; this machine has imgcls-lab {__version__}. {remedy}")
    if facts["python"].split(".")[:2] != platform.python_version().split(".")[:2]:
        note = "Plugins and pickled objects may differ; a run that is resumed stays on the Python of the nodes."
        return Finding(name, True, f"{text}; this machine has Python {platform.python_version()}. {note}")
    return Finding(name, True, text)


def _home(probe: _Probe) -> Finding:
    blind = [name for name, facts in probe.found.items() if not facts["home"]]
    if not blind:
        return Finding("shared home", True, f"{probe.home} is the same folder on {_on(probe)}")
    return Finding(
        "shared home", False,
        f"{', '.join(blind[:5])} {'do' if len(blind) > 1 else 'does'} not see {probe.home}, so runs are refused there. "
        "Mount the home on each node at the same path, or set IMGCLS_STORE_URL.",
    )  # fmt: skip


def _clocks(probe: _Probe) -> Finding:
    """A node wrote its time while the job ran: what lies outside of that is the clock's error, at least."""
    off = {
        name: min(facts["time"] - probe.began, 0.0) or max(facts["time"] - probe.ended, 0.0)
        for name, facts in probe.found.items()
    }
    worst = max(off, key=lambda name: abs(off[name]))
    if abs(off[worst]) <= SKEW:
        return Finding("clocks", True, f"agree on {_on(probe)}")
    way = "ahead" if off[worst] > 0 else "behind"
    return Finding(
        "clocks", False,
        f"The clock of {worst} is {abs(off[worst]):.0f} s {way}. Nothing is decided by it, but times of its runs are "
        "wrong. Set it by NTP (`timedatectl set-ntp true`).",
    )  # fmt: skip


def _on(probe: _Probe) -> str:
    return ", ".join(sorted(probe.found)) if len(probe.found) <= 4 else counted(len(probe.found), "node")

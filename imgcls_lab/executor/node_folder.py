"""The run's folder on a node that shares no disk with the head: it comes and goes by the object store.

Called by the node agent, which is standard library only; so the mirror itself (`executor/mirror`) is a process of its
own. That one is no part of the attempt: it outlives the supervisor until its last word is in the store.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from imgcls_lab import private_folder, run_layout
from imgcls_lab.entry_points import MIRROR

# In the environment of a job and of a mirror, but of no process of the run: by which they know the head's objects.
STORE_KEY = "IMGCLS_STORE_KEY"
STORE_URL, HOME, NODE_HOME, CACHE = "IMGCLS_STORE_URL", "IMGCLS_HOME", "IMGCLS_NODE_HOME", "IMGCLS_CACHE_DIR"

DISK_FULL = 4  # exit code of a mirror that has no space here
NOT_OURS = 3  # exit code of a mirror whose attempt another node or a newer attempt has
LARGEST_WORDS = 2**20  # characters that a mirror may say
POLL, RESTART_PAUSE = 0.2, 1.0  # seconds
PATIENCE = 3600.0  # seconds after the end of an attempt in which a mirror that fails is started again


class NotRestoredError(Exception):
    """The folder could not be brought here; a sentence of the mirror. full: for want of space."""

    def __init__(self, text: str, *, full: bool = False) -> None:
        super().__init__(text)
        self.full = full


def is_mirrored(launch: dict[str, Any]) -> bool:
    return bool(launch["environment"].get(STORE_URL))


def restored(launch: dict[str, Any], node: int) -> dict[str, Any]:
    """The launch with this node's folder in the place of the head's, which holds what the attempt starts with.

    node: 0 takes the attempt, the others of the same attempt read. Raises NotRestoredError, UnsafeFolderError, OSError.
    """
    environment = dict(launch["environment"])
    theirs, head_home = launch["folder"], environment[HOME]
    home = os.environ.get(NODE_HOME) or environment.get(NODE_HOME) or head_home
    ours = Path(home, "runs", launch["run_id"])
    private_folder.make(ours.parent)
    private_folder.require_own(ours.parent, "The node's folder", NODE_HOME)  # what it holds is executed
    environment[HOME] = home
    if (cache := environment.get(CACHE) or "").startswith(f"{head_home}/"):
        environment[CACHE] = home + cache[len(head_home) :]
    argv = [str(ours) if word == theirs else word for word in launch["argv"]]
    found = {**launch, "folder": str(ours), "environment": environment, "argv": argv}
    note = {name: value for name, value in found.items() if name != STORE_KEY}
    command = "restore" if node == 0 else "read"
    with subprocess.Popen(
        _argv(found, command), env=_environment(found), stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd="/",
        text=True, errors="replace",
    ) as mirror:  # fmt: skip
        assert mirror.stderr is not None  # noqa: S101
        lines = mirror.stderr.read(LARGEST_WORDS).strip().splitlines()
    if mirror.returncode != 0:
        text = lines[-1] if lines else f"The mirror ended with code {mirror.returncode}."
        raise NotRestoredError(text, full=mirror.returncode == DISK_FULL)
    run_layout.write_atomic(ours / run_layout.launch_name(launch["attempt"]), json.dumps(note, indent=1))
    return found


@contextmanager
def mirrored(launch: dict[str, Any], node: int) -> Iterator[None]:
    """While the attempt lives, and until all that it wrote is in the store."""
    over = threading.Event()
    keeper = threading.Thread(target=_keep, args=(launch, "push" if node == 0 else "follow", over))
    keeper.start()
    try:
        yield
    finally:
        over.set()
        keeper.join()


def _keep(launch: dict[str, Any], command: str, over: threading.Event) -> None:
    """Keep a mirror beside the attempt: another one takes the place of one that was killed, also for the last word.

    Its standard input ends when the attempt is over, or with this process.
    """
    over_since: float | None = None
    while True:
        beside = subprocess.Popen(
            _argv(launch, command), env=_environment(launch), stdin=subprocess.PIPE, start_new_session=True, cwd="/"
        )
        assert beside.stdin is not None  # noqa: S101
        while beside.poll() is None and not over.wait(POLL):
            pass
        beside.stdin.close()
        code = beside.wait()
        if over.is_set():
            over_since = over_since or time.monotonic()
        if code in (0, NOT_OURS) or (over_since is not None and time.monotonic() - over_since > PATIENCE):
            return
        time.sleep(RESTART_PAUSE)  # the store may be away: what the attempt wrote is sent once it is back


def _argv(launch: dict[str, Any], command: str) -> list[str]:
    return MIRROR.argv(sys.executable, command, launch["folder"], "--attempt", str(launch["attempt"]))


def _environment(launch: dict[str, Any]) -> dict[str, str]:
    """This node's, with the settings of the launch; without the tag, by which all processes of an attempt are ended."""
    settings = {
        name: value
        for name, value in launch["environment"].items()
        if name.startswith("IMGCLS_") and value is not None and name not in (run_layout.RUN_TAG, run_layout.BEFORE)
    }
    return {**os.environ, **settings, STORE_KEY: launch[STORE_KEY]}

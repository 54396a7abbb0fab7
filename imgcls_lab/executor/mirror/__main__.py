"""`python -m imgcls_lab.executor.mirror COMMAND FOLDER --attempt N`: what the node agent runs beside a supervisor.

`restore` and `push` on the first node of an attempt, `read` and `follow` on further ones. `push` and `follow` go on
until the attempt has ended, or their standard input does: then their agent is gone. It ends with 0, or with a sentence
on its standard error and: 3 where a newer attempt or another node has the run, 4 where this disk is full, 1 for
anything else.
"""

from __future__ import annotations

import argparse
import errno
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from imgcls_lab.errors import ConflictError, ImgclsError, ObjectStoreError
from imgcls_lab.executor.mirror.index import RunObjects
from imgcls_lab.executor.mirror.node import LONGEST_PAUSE, FencedError, Push, follow, restore
from imgcls_lab.executor.mirror.object_store import ObjectStore, is_transient
from imgcls_lab.executor.node_folder import DISK_FULL, NOT_OURS, STORE_KEY
from imgcls_lab.identity import host_name
from imgcls_lab.settings import Settings

PATIENCE = 300.0  # seconds for which a start waits for the store; the executor's own patience may end before


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="imgcls_lab.executor.mirror")
    parser.add_argument("command", choices=("restore", "push", "read", "follow"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, required=True)
    given = parser.parse_args(arguments)
    os.umask(0o077)
    folder = given.folder.absolute()
    try:
        settings = Settings()
        objects = RunObjects(ObjectStore(settings.store_url), folder.name, os.environ.pop(STORE_KEY))
        if given.command in ("restore", "read"):
            threading.Thread(target=_end_with_agent, daemon=True).start()
            bring(objects, folder, given.attempt, take=given.command == "restore")
        else:
            beside(given.command, objects, folder, given.attempt, settings)
    except (FencedError, ConflictError) as error:
        print(error, file=sys.stderr, flush=True)
        return NOT_OURS
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            print(f"The folder {folder} could not be mirrored: {error}", file=sys.stderr, flush=True)
            return 1
        where = f"{host_name()} is full, so {folder} could not be brought there"
        print(f"The disk of {where}. Free some space and resume the run.", file=sys.stderr, flush=True)
        return DISK_FULL
    except ImgclsError as error:
        text = error if isinstance(error, ObjectStoreError) else f"The folder {folder} could not be mirrored: {error}"
        print(text, file=sys.stderr, flush=True)
        return 1
    return 0


def bring(objects: RunObjects, folder: Path, attempt: int, *, take: bool) -> None:
    """Restore the folder; again while the store is away, or an earlier attempt ends on this node. Raises as it does."""
    until, pause = time.monotonic() + PATIENCE, 1.0
    while True:
        try:
            restore(objects, folder, attempt, take=take)
            return
        except (ObjectStoreError, ConflictError) as error:
            passes = error.reason in ("lives", "full") or (isinstance(error, ObjectStoreError) and is_transient(error))
            if not passes or time.monotonic() > until:
                raise
            print(f"{error} It is tried again.", file=sys.stderr, flush=True)
        time.sleep(pause)
        pause = min(LONGEST_PAUSE, 2 * pause)


def beside(command: str, objects: RunObjects, folder: Path, attempt: int, settings: Settings) -> None:
    """Until the attempt has ended. Raises FencedError, ObjectStoreError, OSError."""
    over, hurry = threading.Event(), threading.Event()
    threading.Thread(target=_await_end_of_input, args=(over,), daemon=True).start()
    for number in (signal.SIGTERM, signal.SIGINT):  # the supervisor saves first; its end is ours
        signal.signal(number, lambda *_: hurry.set())
    interval = settings.store_interval
    if command == "push":
        beat_every = min(5.0, settings.lease / 6)
        Push(objects, folder, attempt, interval=interval, beat_every=beat_every, over=over, hurry=hurry).run()
    else:
        follow(objects, folder, attempt, interval=interval, over=over)


def _end_with_agent() -> None:
    """Nothing has begun yet: what is half brought is removed by the next start."""
    while os.read(0, 1):
        pass
    os._exit(1)


def _await_end_of_input(over: threading.Event) -> None:
    while os.read(0, 1):
        pass
    over.set()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    sys.exit(main(sys.argv[1:]))

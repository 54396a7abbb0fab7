"""`python -m imgcls_lab.executor.mirror restore|push FOLDER --attempt N`: what the node agent runs beside a supervisor.

It ends with 0, or with a sentence on its standard error and: 3 where a newer attempt or another node has the run, 1 for
anything else.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from imgcls_lab.errors import ConflictError, ImgclsError, ObjectStoreError
from imgcls_lab.executor.mirror.index import RunObjects
from imgcls_lab.executor.mirror.node import FencedError, Push, restore
from imgcls_lab.executor.mirror.object_store import ObjectStore
from imgcls_lab.settings import Settings

NOT_OURS = 3


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="imgcls_lab.executor.mirror")
    parser.add_argument("command", choices=("restore", "push"))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--attempt", type=int, required=True)
    given = parser.parse_args(arguments)
    os.umask(0o077)
    folder = given.folder.absolute()
    try:
        settings = Settings()
        objects = RunObjects(ObjectStore(settings.store_url), folder.name)
        if given.command == "restore":
            restore(objects, folder, given.attempt)
        else:
            beat_every = min(5.0, settings.lease / 6)
            push = Push(objects, folder, given.attempt, interval=settings.store_interval, beat_every=beat_every)
            for number in (signal.SIGTERM, signal.SIGINT):  # the supervisor saves first; its end is ours
                signal.signal(number, lambda *_: push.hurry.set())
            push.run()
    except (FencedError, ConflictError) as error:
        print(error, file=sys.stderr, flush=True)
        return NOT_OURS
    except (ImgclsError, OSError) as error:
        text = error if isinstance(error, ObjectStoreError) else f"The folder {folder} could not be mirrored: {error}"
        print(text, file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    sys.exit(main(sys.argv[1:]))

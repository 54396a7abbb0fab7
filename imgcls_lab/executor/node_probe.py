"""What `imgcls-lab doctor` starts on nodes of a cluster: `python -m imgcls_lab.executor.node_probe FOLDER TOKEN COUNT`.

It says on its standard output, and in the folder if the home is shared, what this node has. Standard library only. It
changes nothing else.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path

from imgcls_lab._version import __version__
from imgcls_lab.executor.node import node_name

MARK = "imgcls-lab node: "  # begins the line that it prints
TOKEN = "token"  # noqa: S105 - the file in the folder by which a node knows the home
PATIENCE = 5.0  # seconds in which a new folder may become visible on a shared file system
OTHERS = 20.0  # seconds that the first node waits for the others: a job may end with it


def facts(folder: Path, token: str) -> dict[str, str | float | bool | None]:
    """This node: its name, versions, clock, and whether it sees the folder that `doctor` has written."""
    try:
        ray = metadata.version("ray")
    except metadata.PackageNotFoundError:
        ray = None
    return {
        "node": node_name(),
        "python": platform.python_version(),
        "package": __version__,
        "ray": ray,
        "home": _sees(folder, token),
        "time": time.time(),
    }


def _sees(folder: Path, token: str) -> bool:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            if (folder / TOKEN).read_text() == token:
                return True
        except OSError:
            pass
        if time.monotonic() > until:
            return False
        time.sleep(0.2)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("token")
    parser.add_argument("count", type=int, help="nodes that are asked")
    parser.add_argument("--node", type=int, default=0)
    given, _ = parser.parse_known_args(arguments)  # the scheduler's way to start several nodes adds options
    folder, token = given.folder, given.token
    found = facts(folder, token)
    text = json.dumps(found)
    print(f"{MARK}{text}", flush=True)
    if found["home"]:
        partial = folder / f".{found['node']}"
        partial.write_text(text)
        partial.rename(folder / f"{found['node']}.json")
    until = time.monotonic() + OTHERS
    while given.node == 0 and time.monotonic() < until and len([*folder.glob("[!.]*.json")]) < given.count:
        time.sleep(0.2)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""`timed.py NAME COMMAND...` runs a command and notes how long it took; `timed.py --report` prints the notes.

Called by the Makefile, so that `make test` ends with where the time went. Commands may run side by side.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

NOTES = Path(__file__).parents[1] / ".make" / "times.jsonl"


class Stage(NamedTuple):
    """A command that ran. begin: Unix seconds; took: seconds."""

    name: str
    begin: float
    took: float


def timed(name: str, command: list[str], folder: Path | None = None) -> tuple[Stage, int]:
    """Run the command in the folder; how long it took, and its exit status."""
    begin = time.time()
    status = subprocess.run(command, cwd=folder, check=False).returncode
    return Stage(name, begin, round(time.time() - begin, 1)), status


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds: 3:07."""
    return f"{round(seconds) // 60}:{round(seconds) % 60:02d}"


def table(stages: list[Stage]) -> str:
    """One line a stage, with a bar as long as its part of the whole, and the time from the first to the last."""
    whole = max(stage.begin + stage.took for stage in stages) - min(stage.begin for stage in stages)
    width = max(len(stage.name) for stage in stages)
    bars = (f"  {name:<{width}} {clock(took):>7}  {'█' * round(40 * took / (whole or 1))}" for name, _, took in stages)
    return "\n".join([*bars, f"  {'in all':<{width}} {clock(whole):>7}"])


def report() -> None:
    """Print where the time went since the last report."""
    if NOTES.exists():
        stages = [Stage(*json.loads(line)) for line in NOTES.read_text().splitlines()]
        print("\nWhere the time went:\n" + table(stages))
        NOTES.unlink()


def main(name: str, *command: str) -> int:
    stage, status = timed(name, list(command))
    NOTES.parent.mkdir(exist_ok=True)
    with NOTES.open("a") as file:
        file.write(json.dumps(stage) + "\n")
    return status


if __name__ == "__main__":
    if sys.argv[1:] == ["--report"]:
        report()
    else:
        sys.exit(main(*sys.argv[1:]))

"""`timed.py NAME COMMAND...` runs a command and notes how long it took; `timed.py --report` prints the notes.

Called by the Makefile, so that `make test` ends with where the time went.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

NOTES = Path(__file__).parents[1] / ".make" / "times.jsonl"


def clock(seconds: float) -> str:
    """Seconds as minutes and seconds: 3:07."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def table(rows: list[tuple[str, float]]) -> str:
    """One line a row, with a bar as long as its share of the whole, and the sum."""
    whole = sum(seconds for _, seconds in rows) or 1.0
    width = max((len(name) for name, _ in rows), default=0)
    lines = [f"  {name:<{width}} {clock(took):>7}  {'█' * round(40 * took / whole)}" for name, took in rows]
    return "\n".join([*lines, f"  {'in all':<{width}} {clock(whole):>7}"])


def run(name: str, command: list[str]) -> int:
    """The exit status of the command; its time is noted whether it fails or not."""
    begin = time.monotonic()
    status = subprocess.run(command, check=False).returncode
    NOTES.parent.mkdir(exist_ok=True)
    with NOTES.open("a") as file:
        file.write(json.dumps([name, round(time.monotonic() - begin, 1)]) + "\n")
    return status


def report() -> None:
    """Print where the time went since the last report."""
    if NOTES.exists():
        print("\nWhere the time went:\n" + table([tuple(json.loads(line)) for line in NOTES.read_text().splitlines()]))
        NOTES.unlink()


if __name__ == "__main__":
    if sys.argv[1:] == ["--report"]:
        report()
    else:
        sys.exit(run(sys.argv[1], sys.argv[2:]))

"""`python -m benchmarks.table`: the figures of `results/` into docs/performance.md, and the plots beside it.

`--check` changes nothing and fails where the page tells other figures than the results.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import frame, plots
from benchmarks.__main__ import BENCHMARKS

PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
LOADED = 25  # percent of the cores that others took
BEGIN, END = "<!-- results: python -m benchmarks.table -->", "<!-- end of the figures -->"


def page(text: str, results: list[dict[str, Any]]) -> str:
    """The page with these results in place of those it had."""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise SystemExit(f"{PAGE.name} has lost its marks {BEGIN} and {END}; put them back.")
    return f"{before}{BEGIN}\n\n{''.join(map(_section, results))}{END}{after}"


def _section(result: dict[str, Any]) -> str:
    rows = ["| what | result | target | |", "|---|---|---|---|"]
    for saved in result["lines"]:
        fields = {key: value for key, value in saved.items() if key != "verdict"}
        rows.append(f"| {' | '.join(frame.columns(frame.Line(**fields)))} |")
    hardware, versions = result["hardware"], result["versions"]
    processor = ", ".join(hardware[key] for key in ("processor", "arithmetic") if key in hardware)
    machine = [f"{hardware['cores']} cores ({processor})", f"{hardware['memory_gb']} GB"]
    machine += hardware.get("gpus", [])
    if result.get("busy", 0) > LOADED:  # results of before have none
        machine.append("on a loaded machine")
    where = f"{result['date']}, {', '.join(machine)}; torch {versions.get('torch', '–')}, Python {versions['python']}."
    return f"### {result['title']}\n\n`python -m benchmarks {result['name']}`: {where}\n\n" + "\n".join(rows) + "\n\n"


def main(arguments: list[str]) -> int:
    paths = [frame.RESULTS / f"{name}.json" for benchmark in BENCHMARKS for name in benchmark.files]
    results = [json.loads(path.read_text()) for path in paths if path.exists()]
    old = PAGE.read_text()
    new = page(old, results)
    if "--check" in arguments:
        return 0 if new == old else 1
    PAGE.write_text(new)
    searched = frame.RESULTS / "search-regrets.json"
    means = json.loads(searched.read_text())["means"] if searched.exists() else None
    plots.draw(results, means, PAGE.parent / "pictures")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

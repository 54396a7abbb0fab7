"""A long curve asked of the server: a million points as 2,000, whole and zoomed, over one HTTP connection.

The short form takes a fifth of them, since most of its time goes into writing them.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from benchmarks import labs
from benchmarks.frame import Line, reported
from benchmarks.timing import best
from imgcls_lab.run_layout import events_name
from imgcls_lab.store import Store
from imgcls_lab.store.ingest import ingest

POINTS = 1_000_000
SPIKE = 0.654321  # where in the curve the value is that no thinning may lose


def measure(folder: Path, quick: bool) -> list[Line]:
    points, rounds = (POINTS // 5, 5) if quick else (POINTS, 15)
    spike = int(points * SPIKE)
    settings = labs.settings(folder)
    with Store.open(settings, migrate=True) as store:
        run_id = long_run(store, points)
        values = store.metrics.series([run_id], ["loss/train"], low=spike - 500, high=spike + 500).series[0].value
        assert max(value for value in values if value is not None) == 9.0
    with labs.serving(folder / "server", settings.home_path) as (_, asker):
        common = {"run": run_id, "tag": "loss/train", "max_points": 2000}
        first, body = asker.get("series", **common)
        _check(body, points)
        whole = [asker.get("series", **common)[0] for _ in range(rounds)]
        windows = {}
        for share in (0.5, 0.1, 0.02):
            width = int(points * share)
            low = spike - width // 2
            query = {**common, "low": low, "high": low + width}
            _check(asker.get("series", **query)[1], width)
            windows[share] = best([asker.get("series", **query)[0] for _ in range(rounds)])
        clock = [
            asker.get("series", **common, axis="time", low=spike - points // 20, high=spike + points // 20)[0]
            for _ in whole
        ]
    zoomed = [
        Line(f"a window of {share:.0%} of it", 50, took * 1e3, "ms") for share, took in windows.items()
    ]  # fmt: skip
    return [
        Line(f"{points:,} points as 2,000", 100, best(whole) * 1e3, "ms"),
        reported("the same, the first time in a new server", first * 1e3, "ms"),
        *zoomed,
        Line("a window of 10% by training time", 50, best(clock) * 1e3, "ms"),
    ]


START = 1_700_000_000  # Unix seconds of the first point; one a second


def long_run(store: Store, points: int, name: str | None = None) -> str:
    """A run that lives, with a noisy curve of so many points and a spike at SPIKE."""
    run, attempt, folder = labs.claimed(store, name)
    values = 1 + np.random.default_rng(0).normal(0, 0.1, points) + 2 / np.sqrt(np.arange(1, points + 1))
    values[int(points * SPIKE) - 1] = 9.0
    head = labs.started(points).model_copy(update={"attempt": attempt, "seq": 1, "t": float(START)})
    with (folder / events_name(attempt)).open("w") as file:
        file.write(head.model_dump_json() + "\n")
        file.writelines(
            f'{{"v":1,"attempt":{attempt},"seq":{step + 1},"t":{START + step},"type":"metrics","step":{step},'
            f'"epoch":{step / 1000},"values":{{"loss/train":{value!r}}}}}\n'
            for step, value in enumerate(values.tolist(), 1)
        )
    assert ingest(store.database, store.settings, run.id, attempt)
    return run.id


def _check(body: bytes, points: int) -> None:
    """About as many points as asked for, and the largest among them."""
    series = json.loads(body)["series"][0]
    assert 1000 <= len(series["step"]) <= 2000, f"{len(series['step'])} points of {points}"
    assert max(value for value in series["value"] if value is not None) == 9.0

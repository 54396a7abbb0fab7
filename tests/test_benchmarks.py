"""The frame of the benchmarks. None of their times is asserted here."""

from __future__ import annotations

import importlib.util
import json

import pytest

from benchmarks import frame, plots, table, timing
from benchmarks.__main__ import BENCHMARKS
from benchmarks.frame import Line


def test_the_page_tells_the_figures_of_the_results() -> None:
    assert table.main(["--check"]) == 0, "run `python -m benchmarks.table`"


@pytest.mark.parametrize("benchmark", BENCHMARKS, ids=lambda benchmark: benchmark.name)
def test_every_benchmark_is_a_module_of_the_folder(benchmark: object) -> None:
    assert importlib.util.find_spec(f"benchmarks.{benchmark.name}") is not None  # type: ignore[attr-defined]


def test_a_figure_is_judged_by_its_direction() -> None:
    assert Line("time", 50, 50, "ms").verdict == "pass"
    assert Line("time", 50, 50.1, "ms").verdict == "short"
    assert Line("rows", 50, 50.1, "rows/s", "at least").verdict == "pass"
    assert Line("rows", 50, 49.9, "rows/s", "at least").verdict == "short"
    assert Line("rows", 50, None, "rows/s").verdict == "not measured"
    assert frame.reported("size", 3, "bytes").verdict == "reported"


def test_results_name_hardware_and_versions_but_no_place(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(frame, "RESULTS", tmp_path)
    text = frame.save("x", "X", [Line("time", 5, 4, "ms")], quick=False, seconds=1, busy=0).read_text()
    saved = json.loads(text)
    assert saved["lines"][0]["verdict"] == "pass"
    assert {"processor", "cores", "memory_gb"} <= saved["hardware"].keys()
    assert {"torch", "python", "sqlite"} <= saved["versions"].keys()
    assert str(tmp_path) not in text
    assert frame.platform.node() not in text


def test_contestants_take_turns() -> None:
    order: list[str] = []
    timing.in_turn({name: lambda name=name: order.append(name) or 0.0 for name in "ab"}, rounds=2)
    assert order == ["a", "b", "b", "a"]


def test_a_percentile_is_one_of_the_values() -> None:
    assert timing.percentile([4, 1, 3, 2], 0.5) == 2
    assert timing.percentile(range(1, 101), 0.95) == 95
    assert timing.percentile([7], 0.95) == 7


def test_the_plots_show_who_trains_how_fast_and_what_a_figure_uses_of_its_target(tmp_path) -> None:
    lines = [
        Line("loop / Trainer", 3, 2.5, "", "at least"),
        Line("page", 50, 20, "ms"),
        frame.reported("loop", 2000, "images/s"),
        frame.reported("Trainer", 800, "images/s"),
    ]
    saved = [{**line.__dict__, "verdict": line.verdict} for line in lines]
    means = {"random": [2.0, 1.0, 0.5], "halving, 27 trials": [2.0, 0.1, 0.0]}
    plots.draw([{"title": "Training, on a processor without bf16", "lines": saved}], means, tmp_path)
    assert "tiny ResNet, 28 px, without bf16: Trainer" in (tmp_path / "throughput.svg").read_text()
    targets = (tmp_path / "targets.svg").read_text()
    assert "120 %" in targets
    assert "40 %" in targets
    assert targets.count(plots.SHORT) == 1
    searches = (tmp_path / "search.svg").read_text()
    assert all(f">{name}<" in searches for name in means)
    assert plots.OURS in searches

"""The plots of docs/performance.md, drawn from the results by `python -m benchmarks.table`.

One shows how many images a second a training passes, beside what people use today; one how much of each target is
used; and one the regret of searches against their epochs. Grey on nothing, so that they read on a light page and on a
dark one.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

GREY, OURS, THEIRS, SHORT = "#7d8590", "#3f7fd6", "#a8b1bb", "#d9822b"
WIDTH, BAR = 9.0, 0.24  # inches
CLIP = 125  # percent of a target: where a bar ends at the latest
PEERS = ("loop", "bare step", "Trainer", "Trainer, bf16", "timm")
STYLE: dict[Any, Any] = {
    "svg.hashsalt": "imgcls-lab", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9,
    "text.color": GREY, "axes.labelcolor": GREY, "axes.edgecolor": GREY, "xtick.color": GREY, "ytick.color": GREY,
    "axes.spines.top": False, "axes.spines.right": False,
}  # fmt: skip


def draw(results: list[dict[str, Any]], means: Mapping[str, Sequence[float]] | None, folder: Path) -> None:
    """Write throughput.svg, targets.svg and search.svg. means: of searches, the regret after each epoch."""
    with mpl.rc_context(STYLE):
        figures = {"throughput": throughput(results), "targets": targets(results)}
        if means is not None:
            figures["search"] = search(means)
        for name, figure in figures.items():
            figure.savefig(folder / f"{name}.svg", transparent=True, metadata={"Date": None})


def throughput(results: list[dict[str, Any]]) -> Figure:
    """Images a second of our loop and of the others, as shares of our loop; a group a model."""
    groups: dict[str, dict[str, float]] = {}
    for result, line in ((one, line) for one in results for line in one["lines"]):
        model, who = _trained(line["what"])
        if who and line["unit"] == "images/s" and line["figure"] is not None:
            groups.setdefault(f"{model or 'tiny ResNet, 28 px'}{_kind(result)}", {})[who] = line["figure"]
    bars = [(model, who, rate, group["loop"]) for model, group in groups.items() for who, rate in group.items()]
    figure, axes = _room(len(bars) + len(groups))
    place, ticks = 0.0, []
    for index, (model, who, rate, loop) in enumerate(bars):
        place += 0.7 if index and bars[index - 1][0] != model else 0.0
        share = 100 * rate / loop
        axes.barh(place, share, color=OURS if who == "loop" else THEIRS)
        axes.text(share + 1, place, f"{rate:,.0f} images/s" if rate >= 100 else f"{rate:.1f} images/s", va="center")
        ticks.append((place, f"{model}: {'imgcls-lab' if who == 'loop' else who}"))
        place += 1
    _label(axes, ticks, "images a second, % of imgcls-lab")
    axes.set_xlim(0, 130)
    return figure


def _trained(what: str) -> tuple[str, str]:
    """Model and trainer of a line of `small` or `photos`: “MODEL, WHO”, or “WHO” alone; empty for other lines."""
    who = next((name for name in PEERS if what == name or what.endswith(f", {name}")), "")
    return what[: -len(who)].removesuffix(", "), who


def _kind(result: dict[str, Any]) -> str:
    """The kind of processor, where the same lines were measured on several."""
    return ", without bf16" if result["title"].endswith("without bf16") else ""


def targets(results: list[dict[str, Any]]) -> Figure:
    """What each judged line uses of its target: under 100 % is a pass, and the shorter the bar the better."""
    lines = [
        line | {"what": f"{line['what']}{_kind(result)}"}
        for result in results
        for line in result["lines"]
        if line["verdict"] in ("pass", "short")
    ]
    figure, axes = _room(len(lines))
    ticks = []
    for place, line in enumerate(lines):
        found, target = max(line["figure"], 1e-9), line["target"]
        share = 100 * (found / target if line["direction"] == "at most" else target / found)
        axes.barh(place, min(share, CLIP), color=SHORT if line["verdict"] == "short" else OURS)
        axes.text(CLIP + 9, place, f"{share:.0f} %", va="center", ha="right")
        ticks.append((place, line["what"] if len(line["what"]) <= 72 else line["what"][:71] + "…"))
    _label(axes, ticks, "used of the target, %")
    axes.axvline(100, color=GREY, linewidth=1, linestyle="--")
    axes.set_xlim(0, CLIP + 10)
    return figure


def search(means: Mapping[str, Sequence[float]]) -> Figure:
    """The regret of each search after each epoch; ours in colour, and the name at the end of each line."""
    figure = Figure(figsize=(WIDTH, 4.2), layout="constrained")
    axes = figure.subplots()
    least = min(regret for curve in means.values() for regret in curve if regret > 0)
    ends = []
    for (name, curve), style in zip(means.items(), itertools.cycle(("-", "--", "-.", ":"))):
        halves = name.startswith(("halving", "hyperband"))
        colour = (OURS if name.startswith("halving") else SHORT) if halves else THEIRS
        heights = [max(regret, least / 2) for regret in curve]  # a regret of 0 is at the bottom
        axes.plot(range(1, len(curve) + 1), heights, color=colour, linestyle=style, linewidth=2 if halves else 1.5)
        ends.append((heights[-1], name, colour))
    axes.set_yscale("log")
    axes.set_xlim(1, max(map(len, means.values())))
    axes.set_xlabel("epochs of all trials")
    axes.set_ylabel("loss above that of the best trial")
    _name_ends(axes, sorted(ends))
    return figure


def _name_ends(axes: Axes, ends: Sequence[tuple[float, str, str]]) -> None:
    """Names right of the lines, the lowest first; one above the other where the ends are close."""
    low, high = (math.log10(limit) for limit in axes.get_ylim())
    place = -1.0
    for height, name, colour in ends:
        place = max((math.log10(height) - low) / (high - low), place + 0.06)
        axes.annotate(
            name, (1.01, place), xycoords="axes fraction", color=colour if colour != THEIRS else GREY, va="center"
        )


def _room(bars: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 0.7 + BAR * bars), layout="constrained")
    return figure, figure.subplots()


def _label(axes: Axes, ticks: Sequence[tuple[float, str]], what: str) -> None:
    axes.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(ticks[-1][0] + 0.6, -0.6)
    axes.set_xlabel(what)

"""The two plots of docs/performance.md, drawn from the results by `python -m benchmarks.table`.

One shows how many images a second a training passes, beside what people use today; the other how much of each target
is used. Grey on nothing, so that they read on a light page and on a dark one.
"""

from __future__ import annotations

from collections.abc import Sequence
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


def draw(results: list[dict[str, Any]], folder: Path) -> None:
    """Write throughput.svg and targets.svg."""
    with mpl.rc_context(STYLE):
        throughput(results).savefig(folder / "throughput.svg", transparent=True, metadata={"Date": None})
        targets(results).savefig(folder / "targets.svg", transparent=True, metadata={"Date": None})


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


def _room(bars: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(WIDTH, 0.7 + BAR * bars), layout="constrained")
    return figure, figure.subplots()


def _label(axes: Axes, ticks: Sequence[tuple[float, str]], what: str) -> None:
    axes.set_yticks([place for place, _ in ticks], [text for _, text in ticks])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(ticks[-1][0] + 0.6, -0.6)
    axes.set_xlabel(what)

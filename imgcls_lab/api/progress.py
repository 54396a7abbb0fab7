"""The progress of a run as one line: under `run.wait()` in a terminal, a pipe or a notebook cell.

Called by `Run.wait` and `train`. It writes to the page or the terminal only; it knows runs as `RunDetail`.
"""

from __future__ import annotations

import html
import sys
from collections.abc import Callable
from typing import Any, Protocol

from imgcls_lab.config.evaluation import format_metric
from imgcls_lab.events import ENDED
from imgcls_lab.run_sentence import as_of, line
from imgcls_lab.schemas import RunView, SeriesReply
from imgcls_lab.terminal import inert


def fraction_done(run: RunView) -> float:
    """The part of a run that is done, 0 to 1."""
    return min(1.0, run.step / run.total_steps) if run.total_steps else 0.0


ReadSeries = Callable[[list[str]], SeriesReply]  # all points of some tags of the run that is shown


class ProgressLine(Protocol):
    """A line that is overwritten. `note`: a sentence beside it, as long as it holds; None: there is none."""

    def show(self, run: RunView, series: ReadSeries) -> None: ...
    def note(self, sentence: str | None) -> None: ...
    def close(self) -> None: ...


class TerminalLine:
    """A bar at the bottom of a terminal, a row an epoch above it; in a pipe the rows alone, and changes of state.

    Each epoch has a row. Of the epochs before the first call only the last one has.
    """

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._state = ""
        self._note: str | None = None
        self._metrics: tuple[float | None, ...] | None = None  # at the last call
        self._last_epoch = -1  # the last epoch that has a row

    def show(self, run: RunView, series: ReadSeries) -> None:
        self.print_epochs(run, series)
        if sys.stderr.isatty():
            self._draw(run)
        elif run.state != self._state:
            self._print(line(run))
        self._state = run.state

    def print_epochs(self, run: RunView, series: ReadSeries) -> None:
        """The rows that are due, and nothing else."""
        metrics = tuple(run.latest.get(tag) for tag in _METRICS.values())
        if _METRICS["loss"] in run.latest and (metrics != self._metrics or run.state in ENDED):
            rows = _epochs(series(list(_METRICS.values())))
            for epoch in [epoch for epoch in rows if epoch > self._last_epoch][-1 if self._metrics is None else 0 :]:
                self._last_epoch = epoch
                self._print(f"epoch {epoch:>3}   {'   '.join(rows[epoch])}")
        self._metrics = metrics

    def note(self, sentence: str | None) -> None:
        if sentence != self._note and sentence is not None:
            self._print(inert(sentence))
        self._note = sentence

    def _draw(self, run: RunView) -> None:
        if self._bar is None:
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[standing]}"))
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=1, standing="")
            self._bar.start()
        head, _, standing = line(run).partition(": ")
        from rich.markup import escape

        self._bar.update(self._task, completed=fraction_done(run), description=escape(head), standing=escape(standing))

    def _print(self, text: str) -> None:
        if self._bar is not None:
            self._bar.console.print(text, highlight=False, markup=False)
        else:
            print(text, file=sys.stderr, flush=True)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.stop()


_METRICS = {"loss": "loss/val", "accuracy": "metric/accuracy", "macro_f1": "metric/macro_f1"}


def _epochs(reply: SeriesReply) -> dict[int, list[str]]:
    """Epoch -> its metrics, in words."""
    values: dict[int, dict[str, float | None]] = {}
    for item in reply.series:
        for epoch, value in zip(item.epoch, item.value, strict=True):
            values.setdefault(round(epoch), {})[item.tag] = value
    return {
        epoch: [format_metric(name, values[epoch].get(tag)) for name, tag in _METRICS.items()]
        for epoch in sorted(values)
    }


class NotebookLine:
    """One output of a cell, updated in place; needs no widgets, so it stays in a saved notebook."""

    def __init__(self, *, beside: bool = False) -> None:
        """beside: the cell shows the run already, so that the line says the note alone."""
        self._beside = beside
        self._shown_in = execution()
        self._handle: Any = None
        self._last = ""
        self._note: str | None = None

    def show(self, run: RunView, _series: ReadSeries) -> None:
        note = inert(self._note) if self._note else ""
        text = note if self._beside else f"{line(run)}. {note}" if note else line(run)
        if text == self._last:
            return
        self._last = text
        if not self._beside and run.state not in ENDED:
            text = f"{text} ({as_of()})"  # saved now, the line stays so when its kernel is gone
        style = "width: 12em; vertical-align: middle"
        bar = f'<progress max="1" value="{fraction_done(run):.4f}" style="{style}"></progress> '
        shown = f"{'' if self._beside else bar}<span>{html.escape(text)}</span>"
        bundle = {"text/plain": text, "text/html": shown}
        if self._handle is None:
            from IPython.display import display

            self._handle = display(bundle, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(bundle, raw=True)

    def note(self, sentence: str | None) -> None:
        self._note = sentence

    def close(self) -> None:
        """The last line stays as it is."""

    def give_up(self) -> Any:
        """Its output, for something else to show there, in the cell that shows the line; None in any other."""
        handle = self._handle if self._shown_in == execution() and not self._beside else None
        if handle is not None:
            self._handle, self._last = None, ""
        return handle


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def execution() -> int | None:
    """The number of the cell that this kernel executes; None in any other process."""
    number: int | None = sys.modules["IPython"].get_ipython().execution_count if in_notebook() else None
    return number


def front_end_shows() -> bool:
    """Whether a front end shows this cell now, as papermill and nbclient do not: they take no input from a person.

    A widget is for a front end alone. In a notebook that was executed without one it would stand in the place of the
    picture: nbconvert shows the widget, whose kernel has ended.
    """
    kernel = getattr(sys.modules["IPython"].get_ipython(), "kernel", None) if in_notebook() else None
    return bool(getattr(kernel, "_allow_stdin", False))


def dated(bundle: dict[str, Any]) -> dict[str, Any]:
    """An output of what goes on, with the moment at which it was so: a saved notebook may show it for ever."""
    moment = f"This is {as_of()}."
    texts = {"text/plain": f"{bundle['text/plain']}\n{moment}", "text/html": f"{bundle['text/html']}<p>{moment}</p>"}
    return bundle | texts


def progress_line(*, beside: bool) -> ProgressLine:
    """beside: as for a `NotebookLine`."""
    return NotebookLine(beside=beside) if in_notebook() else TerminalLine()

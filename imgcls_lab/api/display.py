"""A run's live cell: one output with a form for each kind of reader.

Made by `Run.watch`, `train`, and a run as the last expression of a cell. JupyterLab with the extension takes the run's
own type and asks the server by run id, with no kernel; VS Code, Colab and others take the widget while the run lives;
GitHub, nbconvert and a saved notebook take the picture with its table; a terminal the text.
"""

from __future__ import annotations

import time
from threading import Event, RLock, Thread
from typing import Any

from imgcls_lab.api import context
from imgcls_lab.api.progress import execution, front_end_shows, in_notebook
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import ENDED, RunState
from imgcls_lab.schemas import RunDetail
from imgcls_lab.widgets import static_cell, widget_output
from imgcls_lab.widgets.comm import RunSource

RUN_TYPE = "application/vnd.imgcls.run+json"
VERSION = 1
PERIOD = 1.0  # seconds between two looks at a run that lives
REST = 5.0  # ... at one that ended but may be resumed
LEAST = 2.0  # seconds between two pictures of a run that lives, however short its epochs are


class LiveCell:
    """One output. `served`: the server knows the run, so that the cell can live without this kernel.

    A thread follows the run. At each epoch and at the end it makes the picture and the table anew, and at the end it
    takes the widget away: what a notebook keeps of a finished run needs neither a kernel nor widgets.
    """

    def __init__(self, source: RunSource, *, served: bool) -> None:
        self._source = source
        self._served = served
        self._handle: Any = None
        self._widget: Any = None
        self._lock = RLock()  # the thread below, and `update` of the kernel's own
        self._kept = ""  # the mark of what is shown
        self._kept_at = 0.0
        self._stop = Event()
        self.shown_in: int | None = None  # the execution of the kernel that displayed it

    def show(self, place: Any = None) -> None:
        """Display it; in a plain Python shell print the table. place: the handle of an output that it replaces."""
        if not in_notebook():
            print(self.bundle()["text/plain"])
            return
        from IPython.display import display

        self.shown_in = execution()
        with self._lock:
            run = self._source.run()
            self._adapt_widget(run)
            self._remember(run)
            shown = {"raw": True, "metadata": static_cell.METADATA}
            if place is None:
                self._handle = display(self.bundle(run), display_id=True, **shown)  # type: ignore[no-untyped-call]
            else:
                self._handle = place
                place.update(self.bundle(run), **shown)
        if run.state is not RunState.SUCCEEDED:
            Thread(target=self._follow, name=f"imgcls-cell-{self._source.run_id}", daemon=True).start()

    def update(self) -> None:
        """Bring the picture and the table up to date, so that the saved notebook shows how it ended."""
        if self._handle is None:
            return
        with self._lock:
            run = self._source.run()
            self._adapt_widget(run)
            self._remember(run)
            self._handle.update(self.bundle(run), raw=True, metadata=static_cell.METADATA)

    def close(self) -> None:
        """Follow it no longer; what is shown stays."""
        self._stop.set()

    def bundle(self, run: RunDetail | None = None) -> dict[str, Any]:
        """The output by MIME type."""
        run = run or self._source.run()
        series = self._source.series(static_cell.tags(run), static_cell.POINTS).whole()
        bundle: dict[str, Any] = dict(static_cell.static_parts(run, series))
        if self._widget is not None:
            bundle |= widget_output.view_of(self._widget, served=self._served)
        if self._served:
            home = str(context.settings().home_path)
            bundle[RUN_TYPE] = {"run_id": run.id, "version": VERSION, "home": home, "kept": static_cell.mark(run)}
        return bundle

    def _follow(self) -> None:
        """Until the run has succeeded, was deleted, or the cell is closed."""
        period = PERIOD
        while not self._stop.wait(period):
            try:
                run = self._source.run()
                ended = run.state in ENDED
                due = ended or time.monotonic() - self._kept_at > LEAST
                if static_cell.mark(run) != self._kept and due:
                    self.update()
                if run.state is RunState.SUCCEEDED:
                    return
                period = REST if ended else PERIOD
            except ImgclsError as error:
                if error.status == 404:  # the run was deleted
                    return
                period = REST

    def _remember(self, run: RunDetail) -> None:
        self._kept, self._kept_at = static_cell.mark(run), time.monotonic()

    def _adapt_widget(self, run: RunDetail) -> None:
        """A widget for a run that lives, and none for one that has ended."""
        if run.state in ENDED and self._widget is not None:
            self._widget.close()
            self._widget = None
        elif run.state not in ENDED and self._widget is None:
            self._widget = self._make_widget()

    def _make_widget(self) -> Any:
        if not front_end_shows() or not widget_output.available():
            return None
        from imgcls_lab.widgets import live

        try:
            return live.LiveRunWidget(self._source)
        except ImgclsError:
            return None  # the other forms show it

"""A run's live cell: one output with a form for each kind of reader.

Made by `Run.watch` and `train`. JupyterLab with the extension takes the run's own type and asks the server by run id,
with no kernel; VS Code, Colab and others take the widget; GitHub and nbconvert take the picture; a terminal the table.
"""

from __future__ import annotations

from typing import Any

from imgcls_lab.api.progress import front_end_shows, in_notebook, line
from imgcls_lab.config.evaluation import format_metric
from imgcls_lab.errors import ImgclsError
from imgcls_lab.schemas import RunDetail, Series
from imgcls_lab.widgets import widget_output
from imgcls_lab.widgets.comm import RunSource
from imgcls_lab.widgets.static_picture import svg

RUN_TYPE = "application/vnd.imgcls.run+json"
VERSION = 1
TAGS = ["loss/train", "loss/val", "metric/accuracy", "metric/macro_f1"]
POINTS = 300  # a series of the picture


class LiveCell:
    """One output. `served`: the server knows the run, so that the cell can live without this kernel."""

    def __init__(self, source: RunSource, *, served: bool) -> None:
        self._source = source
        self._served = served
        self._handle: Any = None
        self._widget: Any = None

    def show(self) -> None:
        """Display it; in a plain Python shell print the table."""
        if not in_notebook():
            print(self.bundle()["text/plain"])
            return
        from IPython.display import display

        self._widget = self._make_widget()
        self._handle = display(self.bundle(), raw=True, display_id=True)  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Bring the picture and the table up to date, so that the saved notebook shows how it ended."""
        if self._handle is not None:
            self._handle.update(self.bundle(), raw=True)

    def bundle(self) -> dict[str, Any]:
        """The output by MIME type."""
        run = self._source.run()
        series = self._source.series(TAGS, POINTS).series
        bundle: dict[str, Any] = {"text/plain": table(run, series), "image/svg+xml": svg(series, line(run))}
        if self._widget is not None:
            bundle |= widget_output.view_of(self._widget, served=self._served)
        if self._served:
            bundle[RUN_TYPE] = {"run_id": run.id, "version": VERSION}
        return bundle

    def _make_widget(self) -> Any:
        if not front_end_shows() or not widget_output.available():
            return None
        from imgcls_lab.widgets import live

        try:
            return live.LiveRunWidget(self._source)
        except ImgclsError:
            return None  # the other forms show it


def table(run: RunDetail, series: list[Series]) -> str:
    """The state of a run and the metrics of its last epochs, as text."""
    rows: dict[int, dict[str, float | None]] = {}
    for item in series:
        if item.tag == "loss/train":
            continue
        for epoch, value in zip(item.epoch, item.value, strict=True):
            rows.setdefault(round(epoch), {})[item.tag] = value
    lines = [line(run)]
    if rows:
        lines.append(f"{'epoch':>5}  {'loss/val':>9}  {'accuracy':>9}  {'macro F1':>9}")
    for epoch, row in sorted(rows.items())[-10:]:
        loss = format_metric("loss", row.get("loss/val")).removeprefix("loss ")
        accuracy = format_metric("accuracy", row.get("metric/accuracy")).removeprefix("accuracy ")
        f1 = format_metric("macro_f1", row.get("metric/macro_f1")).removeprefix("macro F1 ")
        lines.append(f"{epoch:>5}  {loss:>9}  {accuracy:>9}  {f1:>9}")
    return "\n".join(lines)

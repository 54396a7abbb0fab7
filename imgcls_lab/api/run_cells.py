"""How a `Run` shows itself in a notebook: by live cells, which it knows; a sweep's run knows the tables, too."""

from __future__ import annotations

import html
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from imgcls_lab.api.progress import NotebookLine, ProgressLine, execution, progress_line
from imgcls_lab.schemas import RunDetail

if TYPE_CHECKING:
    from imgcls_lab.api.display import LiveCell
    from imgcls_lab.api.sweep_cells import SweepCell
    from imgcls_lab.widgets.comm import RunSource


class RunCells:
    """The part of `Run` that shows it."""

    _cells: list[LiveCell]
    _tables: list[SweepCell]
    _waited: ProgressLine | None  # the line of its last `wait`
    _deleted: bool

    @property
    @abstractmethod
    def view(self) -> RunDetail: ...

    @property
    @abstractmethod
    def _served(self) -> bool: ...

    @abstractmethod
    def _source(self) -> RunSource: ...

    @abstractmethod
    def _line(self) -> str: ...

    def watch(self) -> None:
        """Show its live cell. It needs no kernel in JupyterLab, and leaves a picture in the saved notebook.

        >>> run.watch()
        first digits has finished: epoch 2 of 2...
        """
        self._watch_in(self._place_of_line())

    def _watch_in(self, place: Any) -> None:
        """Show it in an output that is there already; None: in a new one."""
        from imgcls_lab.api.display import LiveCell

        cell = LiveCell(self._source(), served=self._served)
        cell.show(place)
        self._adopt(cell)

    def _adopt(self, cell: LiveCell) -> None:
        """A cell that shows it: `wait` brings it up to date at the end."""
        self._cells.append(cell)

    def _show_table(self, table: SweepCell) -> None:
        """The table of the sweep that it drives, unless this cell shows it already; `wait` treats it as a live cell."""
        if not _any_here(self._tables):
            table.show(self._place_of_line())
            self._tables.append(table)

    def _ipython_display_(self) -> None:
        """As the last expression of a cell it is live, unless that cell shows it already."""
        if self._deleted or execution() is None:
            print(repr(self))
        elif not _any_here(self._cells):
            self.watch()

    def _line_of_wait(self) -> ProgressLine:
        """Where a live cell stands the line says nothing of the run; one that comes later takes its place."""
        self._waited = progress_line(beside=_any_here([*self._cells, *self._tables]))
        return self._waited

    def _place_of_line(self) -> Any:
        """The output of the last `wait`'s line, if the cell that is executed shows it; a live cell takes it."""
        return self._waited.give_up() if isinstance(self._waited, NotebookLine) else None

    def _update_cells(self) -> None:
        for cell in self._cells:
            cell.update()
        for table in self._tables:
            table.update()

    def _repr_html_(self) -> str:
        text, run = html.escape(self._line()), self.view
        return f'<span title="{html.escape(run.folder)}"><code>{html.escape(run.id)}</code> {text}</span>'


def _any_here(cells: Sequence[LiveCell | SweepCell]) -> bool:
    """Whether the cell that is executed shows one of them."""
    here = execution()
    return here is not None and any(cell.shown_in == here for cell in cells)

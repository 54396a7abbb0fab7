"""What a live cell leaves in a saved notebook: a sentence, a table and a picture of the run as of now.

Called by `api/display.py` in the kernel and by the server for JupyterLab, which puts it into the notebook when the run
ends and before each save. Needs no network, no widget and no kernel to be shown.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Sequence
from html import escape

from imgcls_lab.config.evaluation import FRACTION_METRICS, METRIC_TITLES, format_metric
from imgcls_lab.events import ENDED, RESUMABLE
from imgcls_lab.run_sentence import as_of, line
from imgcls_lab.schemas import RunDetail, Series, StaticCell
from imgcls_lab.widgets.static_picture import HEIGHT, WIDTH, png

POINTS = 200  # a series of the picture
ROWS = 10  # epochs of the table, the last ones
METADATA = {"image/png": {"width": WIDTH, "height": HEIGHT}}  # the picture is sharper than the page
_COLUMNS = (("loss", "loss/val"), ("accuracy", "metric/accuracy"), ("macro_f1", "metric/macro_f1"))
_TITLES = ("epoch", "validation loss", "accuracy", "macro F1")


def tags(run: RunDetail) -> list[str]:
    """The series that the picture and the table need."""
    watched = f"metric/{run.best.metric}" if run.best and run.best.metric in FRACTION_METRICS else None
    shown = ["loss/train", *(tag for _, tag in _COLUMNS)]
    return [*shown, watched] if watched and watched not in shown else shown


def static_parts(run: RunDetail, series: Sequence[Series]) -> dict[str, str]:
    """By MIME type. series: those of `tags`, at most POINTS each."""
    rows = _rows(series)
    picture = base64.b64encode(png(run, series)).decode()
    return {
        "text/plain": "\n".join([standing(run), *_plain(rows)]),
        "text/html": _html(run, rows, picture),
        "image/png": picture,
    }


def static_cell(run: RunDetail, series: Sequence[Series]) -> StaticCell:
    """The static parts with what they show."""
    parts = static_parts(run, series)
    return StaticCell(kept=mark(run), ended=run.state in ENDED, data=parts, metadata=METADATA)


def mark(run: RunDetail) -> str:
    """What the static parts show: with another mark they are to be made anew."""
    return f"{run.state.value} {run.attempt} {math.floor(run.epoch + 1e-6)}"


def standing(run: RunDetail) -> str:
    """The sentence of a run: of one that lives with the moment at which it was so, of one that can go on with how."""
    if run.state in ENDED:
        resumed = run.state in RESUMABLE and run.resumable and not run.view_only
        return f'{line(run)}. To go on: lab.run("{run.id}").resume()' if resumed else line(run)
    return f'{line(run)} ({as_of()}). Where it stands now: lab.run("{run.id}")'


def _rows(series: Sequence[Series]) -> list[tuple[str, ...]]:
    """The last epochs, each with its metrics in words."""
    values: dict[int, dict[str, float | None]] = {}
    for item in series:
        if item.tag == "loss/train":
            continue
        for epoch, value in zip(item.epoch, item.value, strict=True):
            values.setdefault(round(epoch), {})[item.tag] = value
    rows = []
    for epoch, row in sorted(values.items())[-ROWS:]:
        rows.append((str(epoch), *(_value(name, row.get(tag)) for name, tag in _COLUMNS)))
    return rows


def _value(metric: str, value: float | None) -> str:
    """A metric's value without its title."""
    return "–" if value is None else format_metric(metric, value).removeprefix(METRIC_TITLES[metric]).strip()


def _plain(rows: Sequence[tuple[str, ...]]) -> list[str]:
    if not rows:
        return []
    widths = [max(map(len, column)) for column in zip(_TITLES, *rows, strict=True)]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in (_TITLES, *rows)]


def _html(run: RunDetail, rows: Sequence[tuple[str, ...]], picture: str) -> str:
    sentence = escape(standing(run))
    alt = escape(f"Curves of {run.name}")
    image = f'<img alt="{alt}" width="{WIDTH}" height="{HEIGHT}" src="data:image/png;base64,{picture}">'
    if not rows:
        return f"<p>{sentence}</p>{image}"
    head = "".join(f"<th>{title}</th>" for title in _TITLES)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<p>{sentence}</p>{image}<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"

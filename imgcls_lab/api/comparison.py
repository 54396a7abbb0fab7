"""`lab.compare(...)`: several runs beside each other, as the compare page shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any

from imgcls_lab.api import context
from imgcls_lab.api.evaluations import Flips
from imgcls_lab.api.galleries import SHOWN_ROWS, Shown
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.tables import table_html
from imgcls_lab.config.evaluation import FRACTION_METRICS, METRIC_TITLES
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ComparisonView, RunView
from imgcls_lab.widgets.static_comparison import comparison_svg

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.store import Store

POINTS = 200  # a curve of the picture
_RESULTS = ("loss/val", "metric/accuracy", "metric/macro_f1", "test/accuracy")


def compare(*runs: Run | str | Iterable[Run | str]) -> Comparison:
    """Up to 100 runs beside each other: `lab.compare(first, second)`, `lab.compare(lab.runs(where="lr>1e-3"))`.

    Each is a run, its id or the beginning of it. Raises NotFoundError; InputError for fewer than two or more than 100.

    >>> lab.compare(run, sweep.best).frame["state"].tolist()
    ['succeeded', 'succeeded']
    """
    ids: list[str] = []
    for item in runs:
        several = [item] if isinstance(item, Run | str) else list(item)
        ids += [each.id if isinstance(each, Run) else each for each in several]
    store = context.store()
    view = store.runs.compare(ids)
    if len(view.runs) < 2:
        raise InputError("A comparison needs two different runs or more.")
    return Comparison(view, store)


class Comparison(Shown):
    """Runs beside each other. view: all that is known; frame: a row a run; differences: a row a fact.

    A notebook shows the table and the curves of the metric by which their best is kept.
    """

    def __init__(self, view: ComparisonView, store: Store) -> None:
        self.view = view
        self._store = store
        self.title = f"{counted(len(view.runs), 'run')}, {counted(len(view.differs), 'difference')}"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Index `id`; what differs under the names of TrainConfig, `best`, the last value of each metric, `seconds`."""
        import pandas as pd

        return pd.DataFrame(self.rows(), index=pd.Index([run.id for run in self.view.runs], name="id"))

    def rows(self) -> dict[str, list[Any]]:
        """The columns of `frame`: a value a run each.

        >>> lab.compare(run, sweep.best).rows()["name"][0]
        'first digits'
        """
        runs = self.view.runs
        return {
            "name": [run.name for run in runs],
            "state": [run.state.value for run in runs],
            **{field.name: list(field.values) for field in self.view.differs},
            "best": [run.best.value if run.best else None for run in runs],
            **{tag: self._last(tag) for tag in _RESULTS if any(tag in run.latest for run in runs)},
            "seconds": [run.ran if run.started_at is not None else None for run in runs],
        }

    def _last(self, tag: str) -> list[float | None]:
        return [run.latest.get(tag) for run in self.view.runs]

    @cached_property
    def differences(self) -> pd.DataFrame:
        """Index (part, fact); a column a run, under its name, or its id where another has the same name."""
        import pandas as pd

        index = pd.MultiIndex.from_tuples(
            [(field.part, field.title) for field in self.view.differs], names=["part", "fact"]
        )
        return pd.DataFrame([field.values for field in self.view.differs], index=index, columns=self.names)

    @property
    def names(self) -> list[str]:
        """A name for each run that no other has."""
        return names_of(self.view.runs)

    @property
    def metric(self) -> str:
        """The metric by which most of the runs keep their best."""
        return Counter(run.best.metric if run.best else "accuracy" for run in self.view.runs).most_common(1)[0][0]

    def flips(self, split: str = "val") -> Flips:
        """What the second of two runs fixed and broke against the first, with the 95 % interval of the difference.

        Raises InputError for more than two runs; ConflictError where both share no image.

        >>> len(lab.compare(run, sweep.best).flips().frame.columns) > 3
        True
        """
        if len(self.view.runs) != 2:
            raise InputError("Fixed and broken images are those of two runs; compare two.")
        first, second = (Run(run.id, store=self._store) for run in self.view.runs)
        return second.flips(first, split)

    def table(self) -> pd.DataFrame:
        return self.frame.drop(columns="state").head(SHOWN_ROWS)

    def picture(self) -> dict[str, str]:
        tag = "loss/val" if self.metric == "loss" else f"metric/{self.metric}"
        series = self._store.metrics.series([run.id for run in self.view.runs], [tag], max_points=POINTS).whole()
        names = dict(zip((run.id for run in self.view.runs), self.names, strict=True))
        curves = [(names[item.run_id], item) for item in series]
        drawn = comparison_svg(
            curves, f"validation {METRIC_TITLES[self.metric]}", fraction=self.metric in FRACTION_METRICS
        )
        warned = "<p>They are judged on different validation images.</p>" if self.view.other_images else ""
        return {
            "text/html": f"<p>{escape(self.title)}</p>{warned}{drawn}{table_html(self.table())}",
            "image/svg+xml": drawn,
        }


def names_of(runs: Iterable[RunView]) -> list[str]:
    """A name for each run that no other has: with its id where two have the same."""
    listed = list(runs)
    seen = Counter(run.name for run in listed)
    return [run.name if seen[run.name] == 1 else f"{run.name} ({run.id})" for run in listed]

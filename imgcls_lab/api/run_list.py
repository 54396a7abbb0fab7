"""`Runs`: a list of runs, as `lab.runs` finds them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from imgcls_lab.api import context
from imgcls_lab.api.progress import dated
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.tables import readable, table_html
from imgcls_lab.events import ENDED, RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import RunPage, RunRow, RunView
from imgcls_lab.store import queries

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.store import Store

RUNS_TYPE = "application/vnd.imgcls.runs+json"
VERSION = 1
COLUMNS = ["name", "project", "state", "epoch", "epochs", "best", "model_flavour", "root", "lr", "batch_size"]
NUMBERS = ["epoch", "epochs", "best", "lr", "batch_size"]

FOLDED = ["kind", "name", "runs", "metric", "best", "best sd", "mean", "sd", "id", "where"]

# of a run, where it is not called as its column
_FIELDS = {
    "created": "created_at", "started": "started_at", "ended": "ended_at", "model": "model_flavour", "data": "root",
    "parent": "parent_id", "tag": "tags",
}  # fmt: skip


def ids_of(runs: Iterable[Run | str]) -> list[str]:
    return [item.id if isinstance(item, Run) else item for item in runs]


def column_value(view: RunView, column: str) -> Any:
    """The value of a column of a list that was asked for it."""
    if column in view.values:
        return view.values[column]
    return getattr(view, _FIELDS.get(column, column), None)


def _folded_row(row: RunRow) -> dict[str, Any]:
    if (group := row.group) is None:
        assert row.run is not None  # noqa: S101 — a row is a run or a group
        best = row.run.best
        known = {"metric": best.metric, "best": best.value} if best else {}
        return {"kind": "run", "name": row.run.name, "id": row.run.id, "runs": 1, "where": f"id={row.run.id}", **known}
    known = group.model_dump(include={"kind", "name", "runs", "where", "metric", "best", "mean"})
    return known | {"id": group.head, "best sd": group.best_deviation, "sd": group.deviation}


class Runs(Sequence[Run]):
    """A list of runs; `frame()` gives it as a DataFrame, and so it is shown."""

    def __init__(
        self, store: Store, page: RunPage, columns: Sequence[str] = (), *, query: Mapping[str, Any] | None = None
    ) -> None:
        """query: what the runs were asked for by, as `GET runs` takes it; without it no cell can ask again."""
        self._store = store
        self._query = query
        self.columns = list(columns)  # beside those that every list has
        self.views = page.items
        self.total = page.total  # of all that match, listed or not
        self.owners = page.owners  # of all runs of the store

    @overload
    def __getitem__(self, index: int) -> Run: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Run]: ...
    def __getitem__(self, index: int | slice) -> Run | Sequence[Run]:
        if isinstance(index, slice):
            return [Run(view.id, store=self._store) for view in self.views[index]]
        return Run(self.views[index].id, store=self._store)

    def __len__(self) -> int:
        return len(self.views)

    def __iter__(self) -> Iterator[Run]:
        return (Run(view.id, store=self._store) for view in self.views)

    def frame(self) -> pd.DataFrame:
        """Index `id`; `best` is the best value of the metric each run watches. `owner` where there are several.

        A notebook that waits has no settings of a training yet.

        >>> lab.runs(project="flowers", columns=["loss/val"]).frame().columns[-1]
        'loss/val'
        """
        import pandas as pd

        columns = COLUMNS if len(self.owners) < 2 else [COLUMNS[0], "owner", *COLUMNS[1:]]
        views = self.views
        values: dict[str, Any] = {
            **{name: [getattr(view, name) for view in views] for name in columns},
            "state": [view.state.value for view in views],
            "best": [view.best.value if view.best else None for view in views],
            "created": pd.to_datetime([view.created_at for view in views], unit="s", utc=True),
            **{name: [column_value(view, name) for view in views] for name in self.columns if name not in columns},
        }
        frame = pd.DataFrame(values, index=pd.Index([view.id for view in views], name="id", dtype=object))
        for name in NUMBERS:
            if frame[name].isna().all():  # else they are None to pandas, which compares with nothing
                frame[name] = frame[name].astype("float64")
        return frame

    def folded(self) -> pd.DataFrame:
        """A row for each sweep, for runs that differ in their seed alone, and for each run that is in neither.

        `best` of a sweep with replicates is the best mean of a trial, `best sd` its standard deviation; `mean` and `sd`
        are of all runs of the row, which `where` finds.

        >>> "sweep" in lab.runs(limit=500).folded()["kind"].tolist()
        True
        """
        import pandas as pd

        asked = dict(self._query or {"where": f"id={','.join(view.id for view in self.views)}"})
        wanted = queries.filter_of(
            asked.get("where", ""),
            project_id=asked.get("project"),
            states=[RunState(state) for state in asked["states"]] if "states" in asked else None,
            owner=asked.get("owner"),
        )
        order = queries.RunOrder(
            asked.get("sort", "created_at"), asked.get("order", "desc") == "desc", asked.get("limit", len(self) or 1)
        )
        rows = self._store.run_lists.groups(("sweep", "seeds"), wanted, order).rows
        return pd.DataFrame([_folded_row(row) for row in rows], columns=FOLDED)

    def __repr__(self) -> str:
        shown = repr(readable(self.frame())) if self.views else "No runs yet."
        return shown if self.total <= len(self) else f"{shown}\n{len(self)} of {counted(self.total, 'run')}"

    def _repr_html_(self) -> str:
        if not self.views:
            return "<em>No runs yet.</em>"
        more = f"<p>{len(self)} of {counted(self.total, 'run')}</p>" if self.total > len(self) else ""
        return table_html(self.frame()) + more

    def _repr_mimebundle_(self, **_: object) -> dict[str, Any]:
        """Live and from the server in JupyterLab with the extension; elsewhere the table as of now."""
        bundle: dict[str, Any] = {"text/plain": repr(self), "text/html": self._repr_html_()}
        if any(view.state not in ENDED for view in self.views):
            bundle = dated(bundle)
        if self._query is not None:
            home = str(context.settings().home_path)
            bundle[RUNS_TYPE] = {"version": VERSION, "home": home, "query": dict(self._query)}
        return bundle

"""Audits of data sets: `lab.audit`, and what the command line and `lab.dataset` do with one.

The audit runs in the background, as a training does; this only queues it, waits and reads what it found.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self

from imgcls_lab.api import context
from imgcls_lab.api.executor_status import ExecutorWatch
from imgcls_lab.api.galleries import Gallery, ShownImage
from imgcls_lab.api.problems import Problems, origin_of
from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.validation import request
from imgcls_lab.audits.map_export import write_parquet
from imgcls_lab.errors import ImgclsError, NotFoundError
from imgcls_lab.events import ACTIVE, RunState
from imgcls_lab.executor import client
from imgcls_lab.schemas import AuditRequest, AuditView, DatasetView, ProblemView

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.store import Store

PAGE = 1000
SHOWN_OF_A_KIND = 8  # problems
Look = Callable[[AuditView], None]


class Audit(Gallery):
    """The newest audit of a data set, shown as its worst problems. `view` is as of the last look."""

    def __init__(self, dataset: DatasetView, store: Store) -> None:
        self.dataset = dataset
        self._store = store
        self.view = store.audits.view(dataset.id)
        self.origin = origin_of(store, dataset)

    @property
    def title(self) -> str:  # type: ignore[override]
        counts = ", ".join(f"{kind.replace('_', ' ')} {count:,}" for kind, count in self.view.counts.items())
        state = self.view.state.value if self.view.state else "none yet"
        return f"Audit of {self.dataset.name}: {state}; {counts or 'no problems'}"

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each problem that it found so far."""
        return Problems(self.title, self.problems(), self.origin).frame

    def gallery(self) -> Iterator[ShownImage]:
        """The images of its worst problems, some of each kind."""
        found = [self.problems(kind, limit=SHOWN_OF_A_KIND) for kind in self.view.counts]
        return Problems(self.title, [problem for some in found for problem in some], self.origin).gallery()

    def refresh(self) -> Self:
        """Look again.

        >>> data.last_audit().refresh().dataset.name == data.name
        True
        """
        self.view = self._store.audits.view(self.dataset.id)
        return self

    def wait(self, timeout: float | None = None, on_look: Look | None = None, poll: float = 0.3) -> Self:
        """Wait until it has ended. on_look: gets the view, and a sentence while no executor runs, at each look.

        Raises ImgclsError with the audit's own sentence if it failed, and TimeoutError after `timeout` seconds; the
        audit goes on. An interrupt ends the wait alone, too.

        >>> data.audit(wait=False).wait(timeout=300).view.state
        <RunState.SUCCEEDED: 'succeeded'>
        """
        start, executor = time.monotonic(), ExecutorWatch(self._store)
        while self.refresh().view.state in ACTIVE:
            run = self._store.runs.by_id([self.view.run_id or ""]).get(self.view.run_id or "")
            if run is not None and (missing := executor.check(run)):
                self.view.notes.append(missing)
            if on_look is not None:
                on_look(self.view)
            if timeout is not None and time.monotonic() - start > timeout:
                raise TimeoutError(f"The audit of “{self.dataset.name}” has not ended after {timeout:g} s. It goes on.")
            time.sleep(poll)
        if on_look is not None:
            on_look(self.view)
        if self.view.state is RunState.FAILED:
            raise ImgclsError(f"The audit of “{self.dataset.name}” failed: {self.view.message or 'see its log'}")
        return self

    def cancel(self) -> Self:
        """Stop it; what it found so far stays. Raises NotFoundError where it has ended.

        >>> started = data.audit(wait=False)
        >>> started.cancel() is started
        True
        """
        self.view = self._store.audits.cancel(self.dataset.id)
        return self

    def problems(
        self, kind: str | None = None, *, leak: bool | None = None, limit: int | None = None
    ) -> list[ProblemView]:
        """What it found so far, by kind and the worst first. leak: only those across splits, or only the others.

        >>> len(data.last_audit().problems(limit=3)) <= 3
        True
        """
        found: list[ProblemView] = []
        while limit is None or len(found) < limit:
            most = PAGE if limit is None else min(PAGE, limit - len(found))
            page = self._store.audits.problems(self.dataset.id, kind, leak=leak, offset=len(found), limit=most)
            found += page.items
            if not page.items or len(found) >= page.total:
                break
        return found

    def write_map(self, path: str | os.PathLike[str]) -> None:
        """Write the map as a Parquet file, as for Embedding Atlas.

        Raises ConflictError where the audit has no map, InputError where the file cannot be written.

        >>> data.last_audit().write_map("map.parquet")
        Traceback (most recent call last):
            ...
        imgcls_lab.errors.ConflictError: ...
        """
        write_parquet(self._store.dataset_pages.map(self.dataset.id), Path(path))


def audit(
    dataset: str | os.PathLike[str] | int,
    *,
    model: str | int | None = None,
    run: Run | str | None = None,
    revision: int | None = None,
    device: str | None = None,
    wait: bool = True,
) -> Audit:
    """Look for problems in a registered data set: files, copies and quality; with a model also labels and outliers.

    dataset: its name, number or folder. model: a registered model; run: a run whose best checkpoint gives the features.
    revision: of the data set, by default its folders as they are. An audit that is under way and does as much is
    joined. Raises InputError, NotFoundError, ConflictError; ImgclsError where it fails.

    >>> lab.audit(data.root).view.state
    <RunState.SUCCEEDED: 'succeeded'>
    """
    store = context.store()
    found = find_dataset(store, dataset)
    asked = request(
        AuditRequest,
        model_id=None if model is None else store.models.find(str(model)).id,
        run_id=run.id if isinstance(run, Run) else run,
        revision=revision,
        device=device,
    )
    store.audits.start(found.id, asked)
    client.ensure(store.settings)
    started = Audit(found, store)
    return started.wait() if wait else started


def find_dataset(store: Store, dataset: str | os.PathLike[str] | int) -> DatasetView:
    """A data set by its name, number or folder. Raises NotFoundError."""
    try:
        found: DatasetView = store.datasets.find(str(dataset))
    except NotFoundError:
        root = os.path.abspath(Path(dataset).expanduser()) if not isinstance(dataset, int) else ""
        same = next((item for item in store.datasets.list() if item.root == root), None)
        if same is None:
            raise
        return same
    return found

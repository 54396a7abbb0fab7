"""`Replicates`: runs of one config that differ by their seed, as `lab.launch(config, replicates=5)` queues them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Self

from imgcls_lab.api.run_handle import Run
from imgcls_lab.api.run_list import Runs
from imgcls_lab.batch.replicates import deviation_of
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.evaluation import format_metric
from imgcls_lab.errors import NotFoundError
from imgcls_lab.events import RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import RunPage, RunView
from imgcls_lab.store.run_rows import repetition_of

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.store import Store

LIVE_IDS = 40  # that a query of a live table may name


class Replicates(Runs):
    """Runs of one config that differ by their seed, in the order of their seeds. Figures are of those that finished.

    One whose settings were changed while it trained differs in more than its seed, and is left out of them.
    """

    def __init__(self, store: Store, views: Sequence[RunView], config: TrainConfig) -> None:
        """config: that of the first."""
        ids = [view.id for view in views]
        page = RunPage(items=[*views], total=len(views), counts={}, owners=[])
        query = {"where": f"id={','.join(ids)}", "limit": len(ids)} if len(ids) <= LIVE_IDS else None
        super().__init__(store, page, query=query)
        self.seeds = {run_id: config.seed + number for number, run_id in enumerate(ids)}
        self.metric = config.monitor_metric  # by which the best epoch of each is kept
        self._repetition = repetition_of(config)
        self._better = max if config.higher_is_better else min

    def refresh(self) -> Self:
        """Read them again; a run that was deleted is left out."""
        self.views = list(self._store.runs.by_id([view.id for view in self.views]).values())
        self.total = len(self.views)
        return self

    @property
    def values(self) -> dict[str, float]:
        """The best value of each that has finished, by its id, without those that were changed."""
        alike = [view for view in self.refresh().views if view.repetition == self._repetition]
        return {view.id: view.best.value for view in alike if view.best and view.state is RunState.SUCCEEDED}

    @property
    def changed(self) -> list[Run]:
        """Those whose settings were changed while they trained, so that mean and deviation leave them out."""
        return [Run(view.id, store=self._store) for view in self.views if view.repetition != self._repetition]

    @property
    def mean(self) -> float | None:
        return fmean(values) if (values := [*self.values.values()]) else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the sample; None for fewer than two."""
        return deviation_of([*self.values.values()])

    @property
    def best(self) -> Run:
        """The one with the best value. Raises NotFoundError before the first has finished."""
        if not (values := self.values):
            raise NotFoundError("None of these runs has finished yet.")
        return Run(self._better(values, key=lambda run_id: values[run_id]), store=self._store)

    def wait(self, timeout: float | None = None) -> Self:
        """Wait until all have ended. Raises ImgclsError for the first that has failed, TimeoutError."""
        until = None if timeout is None else time.monotonic() + timeout
        for run in self:
            run.wait(None if until is None else max(0.0, until - time.monotonic()))
        return self.refresh()

    def stop(self) -> Self:
        """End each after a checkpoint."""
        for run in self:
            run.stop()
        return self.refresh()

    def frame(self) -> pd.DataFrame:
        """As of other runs, with a column `seed`."""
        frame = super().frame()
        frame.insert(1, "seed", [self.seeds[view.id] for view in self.views])
        return frame

    def title(self) -> str:
        """How many have finished, and mean ± standard deviation of these."""
        values = self.values
        ended = f"{len(values)} of {counted(len(self) - len(self.changed), 'replicate')} finished"
        if (mean := self.mean) is not None:
            ended += f": {format_metric(self.metric, mean, self.deviation)}"
        if changed := self.changed:
            ended += f", without {counted(len(changed), 'run')} whose settings were changed meanwhile"
        return ended

    def __repr__(self) -> str:
        return f"{self.title()}\n{super().__repr__()}"

    def _repr_html_(self) -> str:
        return f"<p>{self.title()}</p>{super()._repr_html_()}"

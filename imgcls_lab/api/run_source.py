"""The source of a live cell for a run of the store; `RunFolder` is the source for a run's folder.

Made by `Run.watch`. `widgets/comm.py` defines what a source is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from imgcls_lab import image_lookup
from imgcls_lab.analysis.one_image import Wanted
from imgcls_lab.data_files import FoundImage
from imgcls_lab.events import DesiredState
from imgcls_lab.schemas import (
    ClassCurves,
    Cursor,
    EpochReport,
    EvaluatedPage,
    EvaluatedQuery,
    EvaluationView,
    FlipsView,
    ImageDetail,
    LogChunk,
    MetricsBatch,
    RunDetail,
    RunView,
    SeriesReply,
)

if TYPE_CHECKING:
    from imgcls_lab.store import Store

ALL_POINTS = 1_000_000_000


class StoreRunSource:
    """One run of the store."""

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self.run_id = run_id

    def run(self) -> RunDetail:
        return self._store.runs.get(self.run_id)

    def series(self, tags: list[str] | None = None, max_points: int | None = None) -> SeriesReply:
        return self._store.metrics.series([self.run_id], tags, max_points=max_points or ALL_POINTS)

    def points_since(self, cursor: Cursor) -> MetricsBatch:
        return self._store.metrics.points_since({self.run_id: cursor})

    def log(self, offset: int = -65_536, limit: int = 262_144, node: int = 0) -> LogChunk:
        return self._store.runs.log(self.run_id, offset, limit, node)

    def report(self, epoch: int | None = None, split: str = "val") -> EpochReport:
        return self._store.runs.report(self.run_id, epoch, split)

    def evaluation(self, split: str = "val", epoch: int | None = None) -> EvaluationView:
        return self._store.evaluations.view(self.run_id, split, epoch)

    def evaluated(self, query: EvaluatedQuery) -> EvaluatedPage:
        return self._store.evaluations.page(self.run_id, query)

    def curves(self, label: str, split: str = "val", epoch: int | None = None) -> ClassCurves:
        return self._store.evaluations.curves(self.run_id, label, split, epoch)

    def image(self, wanted: Wanted) -> ImageDetail:
        return self._store.evaluations.image(self.run_id, wanted)

    def flips(self, against: str | None = None, split: str = "val") -> FlipsView:
        return self._store.evaluations.flips(self.run_id, against, split)

    def image_file(self, image: str) -> FoundImage:
        """The file of an image that the run evaluated or trained on. Raises NotFoundError, ConflictError."""
        folder, root = self._store.evaluations.folder_and_root(self.run_id)
        return image_lookup.in_run(self._store.settings, folder, root, image)

    def command(self, name: str) -> RunView:
        """stop, kill or resume."""
        if name == "resume":
            return self._store.runs.resume(self.run_id)
        return self._store.runs.set_desired_state(self.run_id, DesiredState(name))

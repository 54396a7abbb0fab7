"""Who answers about a run's images: the store, or a run's folder. `Run` and the live cell ask, and know no more."""

from __future__ import annotations

from typing import Protocol

from imgcls_lab.analysis.one_image import Wanted
from imgcls_lab.data_files import FoundImage
from imgcls_lab.schemas import ClassCurves, EvaluatedPage, EvaluatedQuery, EvaluationView, FlipsView, ImageDetail


class EvaluationSource(Protocol):
    """The answers about one run. An image is named by its id; `image_file` finds its file."""

    def evaluation(self, split: str = ..., epoch: int | None = None) -> EvaluationView: ...
    def evaluated(self, query: EvaluatedQuery) -> EvaluatedPage: ...
    def curves(self, label: str, split: str = ..., epoch: int | None = None) -> ClassCurves: ...
    def image(self, wanted: Wanted) -> ImageDetail: ...
    def flips(self, against: str | None = None, split: str = ...) -> FlipsView: ...
    def image_file(self, image: str) -> FoundImage: ...

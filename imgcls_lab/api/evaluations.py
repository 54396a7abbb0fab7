"""What `Run` says about its images: mistakes, confusion, reliability, flips, one image. Each has a DataFrame behind it.

`RunEvaluations` is the part of `Run` that asks its source; the other classes hold an answer and show it in a notebook.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any, get_args

from imgcls_lab.analysis.one_image import Wanted
from imgcls_lab.analysis.source import EvaluationSource
from imgcls_lab.api.galleries import SHOWN_ROWS, Gallery, Origin, Shown, ShownImage, percent
from imgcls_lab.api.validation import one_of, request
from imgcls_lab.config import takes_fields_of
from imgcls_lab.errors import InputError
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import (
    EpochOfImage,
    EvaluatedImage,
    EvaluatedQuery,
    EvaluationView,
    Flip,
    FlipsView,
    ImageDetail,
    Wire,
)
from imgcls_lab.schemas.evaluations import MAX_PAGE, ImageOrder
from imgcls_lab.widgets.picture_table import MOST, Line
from imgcls_lab.widgets.static_evaluation import confusion_svg, reliability_svg

if TYPE_CHECKING:
    import pandas as pd

SHOWN_CLASSES = 30  # up to which the confusion is shown as a matrix
_SHOWN = {
    "all": "images",
    "mistakes": "mistakes",
    "right": "right answers",
    "confident_mistakes": "confident mistakes",
    "unsure": "unsure answers",
}
_ASKED = {*EvaluatedQuery.model_fields} - {"offset", "limit"}  # by whom wants images, not pages of them
DENSE_CLASSES = 1000  # up to which its DataFrame is dense


class Images(Gallery):
    """Images of an evaluation, or of the training set. total: how many the filter leaves."""

    def __init__(self, title: str, items: list[EvaluatedImage], total: int, origin: Origin) -> None:
        self.title, self.items, self.total, self.origin = title, items, total, origin

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each image, as `EvaluatedImage`; `image` is its id."""
        return _frame(self.items, EvaluatedImage)

    def __iter__(self) -> Iterator[EvaluatedImage]:
        return iter(self.items)

    def gallery(self) -> Iterator[ShownImage]:
        return map(_shown, self.items)


class Evaluation(Shown):
    """An evaluation. view: all that its page draws; frame: a row for each image."""

    def __init__(self, view: EvaluationView, read_images: Callable[[], Images]) -> None:
        self.view = view
        self._read_images = read_images
        self.title = _title("Evaluation", view)

    @cached_property
    def frame(self) -> pd.DataFrame:
        return self._read_images().frame

    @cached_property
    def classes(self) -> pd.DataFrame:
        """A row for each class: images, predicted, precision, recall, f1."""
        import pandas as pd

        rows = [row.model_dump(exclude={"f1_by_epoch", "taken_for"}) for row in self.view.classes]
        return pd.DataFrame(rows).set_index("name")

    def table(self) -> pd.DataFrame:
        """The metrics with their intervals."""
        import pandas as pd

        intervals = self.view.intervals
        rows = {tag: (value, *intervals.get(tag, (math.nan, math.nan))) for tag, value in self.view.values.items()}
        return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "low 95 %", "high 95 %"])


class ConfusionMatrix(Shown):
    """Images by true class (rows) and predicted class (columns). cells: the same as a list, the largest first."""

    def __init__(self, view: EvaluationView) -> None:
        self.view = view
        self.title = _title("Confusion matrix", view)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """Columns label, predicted, images; without what is 0."""
        return _frame(self.view.cells).sort_values("images", ascending=False, ignore_index=True)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Classes x classes; sparse for more than 1,000 classes.

        Raises InputError where there are more cells than an evaluation lists (10,000).
        """
        import numpy as np
        import pandas as pd

        names = self.view.class_names
        if self.view.cells_left_out:
            raise InputError(
                f"The confusion has {self.view.cells_left_out:,} cells more than are listed. Use `cells`, which has "
                "the mistakes first, or run.evaluation().frame."
            )
        place = {name: number for number, name in enumerate(names)}
        rows, columns = ([place[getattr(cell, key)] for cell in self.view.cells] for key in ("label", "predicted"))
        images = [cell.images for cell in self.view.cells]
        if len(names) > DENSE_CLASSES:
            from scipy.sparse import coo_matrix

            matrix = coo_matrix((images, (rows, columns)), shape=(len(names), len(names)))
            sparse: pd.DataFrame = pd.DataFrame.sparse.from_spmatrix(matrix, names, names)  # type: ignore[attr-defined]
            return sparse
        dense = np.zeros((len(names), len(names)), np.int64)
        dense[rows, columns] = images
        return pd.DataFrame(dense, names, names)

    def table(self) -> pd.DataFrame:
        """The matrix of few classes, else what is mistaken most."""
        if len(self.view.class_names) <= SHOWN_CLASSES:
            return self.frame
        return self.cells[self.cells["label"] != self.cells["predicted"]].head(SHOWN_ROWS)

    def picture(self) -> dict[str, str]:
        drawn = confusion_svg(self.view, self.title)
        return {"image/svg+xml": drawn} if drawn else {}


class Reliability(Shown):
    """Mean confidence and accuracy by confidence, and the same at the fitted temperature."""

    def __init__(self, view: EvaluationView) -> None:
        self.view = view
        self.title = _title("Reliability", view)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each of the 15 bins; calibrated_confidence and calibrated_accuracy where they are known."""
        frame = _frame(self.view.reliability)
        if self.view.calibrated:
            calibrated = _frame(self.view.calibrated)
            for name in ("images", "confidence", "accuracy"):
                frame[f"calibrated_{name}"] = calibrated[name]
        return frame

    def picture(self) -> dict[str, str]:
        return {"image/svg+xml": reliability_svg(self.view, self.title)}


class Flips(Gallery):
    """What a run fixed and broke. view: counts and the test; frame: a row for each image, at most 200 of each kind."""

    def __init__(self, view: FlipsView, origin: Origin) -> None:
        self.view, self.origin = view, origin
        self.title = view.sentence

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Columns change (fixed or broke), image, name, label, before, after and both confidences."""
        import pandas as pd

        parts = {"fixed": self.view.fixed, "broke": self.view.broke}
        rows = [{"change": change, **flip.model_dump()} for change, flips in parts.items() for flip in flips]
        return pd.DataFrame(rows, columns=["change", *Flip.model_fields])

    def gallery(self) -> Iterator[ShownImage]:
        """As many that were fixed as broke at first, so that the picture of a saved notebook has both."""
        parts = (("fixed", True, self.view.fixed), ("broke", False, self.view.broke))
        for some in (slice(MOST // 2), slice(MOST // 2, None)):
            for change, good, flips in parts:
                for flip in flips[some]:
                    said: Line = (f"{flip.before} → {flip.after}", None)
                    yield ShownImage(flip.image, flip.name, [(change, good), said])


class ImageStory(Gallery):
    """One image in depth. view: all that is known; frame: a row for each epoch."""

    def __init__(self, view: ImageDetail, origin: Origin) -> None:
        self.view, self.origin = view, origin
        shown = view.image
        said = f", predicted {shown.predicted}" if shown.predicted is not None else ""
        self.title = f"{shown.name}: true {shown.label}{said}"

    @cached_property
    def frame(self) -> pd.DataFrame:
        return _frame(self.view.biography, EpochOfImage)

    def gallery(self) -> Iterator[ShownImage]:
        """The image, and the training images that are nearest to it."""
        yield _shown(self.view.image)
        for item in self.view.nearest:
            yield ShownImage(item.image, item.name, [(f"near: {item.label}", None), (f"{item.similarity:.2f}", None)])


class RunEvaluations(ABC):
    """The questions about its images that a `Run` answers."""

    @property
    @abstractmethod
    def id(self) -> str: ...

    @abstractmethod
    def _source(self) -> EvaluationSource: ...

    @property
    @abstractmethod
    def _served(self) -> bool:
        """Whether the server knows it."""

    def _origin(self) -> Origin:
        return Origin(self._source().image_file, {"kind": "run", "id": self.id} if self._served else None)

    @takes_fields_of(EvaluatedQuery, _ASKED)
    def images(self, n: int | None = None, **query: Any) -> Images:
        """Images of an evaluation, or of the training set (`split="train"`).

        n: how many at most, by default all. epoch: by default the best, of train the last. label, predicted: names of
        classes. low, high: bounds of the confidence, of train those of the label's probability. group: of train, how
        an image was learnt. sort: loss, confidence or name; of train also mean or spread, over the epochs, of the
        label's probability. Raises InputError, NotFoundError.

        >>> len(run.images(3, sort="confidence"))
        3
        """
        query.setdefault("limit", MAX_PAGE)
        asked = request(EvaluatedQuery, **query)
        items: list[EvaluatedImage] = []
        wanted = math.inf if n is None else max(0, n)
        while True:
            limit = int(min(MAX_PAGE, max(1, wanted - len(items))))
            page = self._source().evaluated(asked.model_copy(update={"offset": len(items), "limit": limit}))
            items += page.items
            if not page.items or len(items) >= min(wanted, page.total):
                break
        items = items[: len(items) if n is None else max(0, n)]
        title = f"{len(items):,} of {page.total:,} {_SHOWN[asked.show]} on {asked.split}/, by {asked.sort}"
        return Images(title, items, page.total, self._origin())

    @takes_fields_of(EvaluatedQuery, _ASKED - {"show", "sort"})
    def mistakes(
        self, n: int | None = 20, *, by: str = "loss", split: str = "val", epoch: int | None = None, **query: Any
    ) -> Images:
        """Wrongly classified images, those of the largest loss first; by="confidence": the surest ones first.

        n: how many at most, None for all; epoch: by default the best. label, predicted, low, high: as for `images`.

        >>> set(run.mistakes(5, by="confidence").frame["correct"])
        {False}
        """
        one_of("by", by, get_args(ImageOrder))
        return self.images(n, show="mistakes", sort=by, split=split, epoch=epoch, **query)

    def evaluation(self, split: str = "val", epoch: int | None = None) -> Evaluation:
        """The stored evaluation of an epoch, by default the best; "test": of the best model on test/.

        >>> run.evaluation().view.images
        60
        """
        view = self._source().evaluation(split, epoch)
        return Evaluation(view, lambda: self.images(split=split, epoch=view.epoch, sort="name", order="asc"))

    def confusion_matrix(self, split: str = "val", epoch: int | None = None) -> ConfusionMatrix:
        """Images by true and predicted class.

        >>> run.confusion_matrix().frame.shape
        (10, 10)
        """
        return ConfusionMatrix(self._source().evaluation(split, epoch))

    def reliability(self, split: str = "val", epoch: int | None = None) -> Reliability:
        """How often it is right at each confidence.

        >>> len(run.reliability().frame)
        15
        """
        return Reliability(self._source().evaluation(split, epoch))

    def flips(self, other: RunEvaluations | str | None = None, split: str = "val") -> Flips:
        """What it fixed and broke compared with another run, by default the one that it was continued from.

        >>> run.flips(sweep.best).frame.columns[:3].tolist()
        ['change', 'image', 'name']
        """
        against = other.id if isinstance(other, RunEvaluations) else other
        return Flips(self._source().flips(against, split), self._origin())

    def image(self, image: str, split: str = "val", epoch: int | None = None) -> ImageStory:
        """One image by its id (SHA-256 of the file) or by its path inside the data set, such as val/cat/1.jpg.

        >>> image = run.images(1).frame["image"][0]
        >>> run.image(image).frame["epoch"].tolist()
        [1, 2]
        """
        return ImageStory(self._source().image(Wanted(image, split, epoch)), self._origin())


def _shown(item: EvaluatedImage) -> ShownImage:
    return ShownImage(item.image, item.name, _captions(item))


def _captions(item: EvaluatedImage) -> list[Line]:
    if item.predicted is None:
        probability = "" if item.label_prob is None else percent(item.label_prob)
        return [(item.label, None), (probability, None)]
    said = f"→ {item.predicted}" if item.confidence is None else f"→ {item.predicted} {percent(item.confidence)}"
    return [(item.label, None), (said, item.correct)]


def _title(what: str, view: EvaluationView) -> str:
    epoch = f", epoch {view.epoch}" if view.epoch is not None else ""
    return f"{what} of {counted(view.images, 'image')} of {view.split}/{epoch}"


def _frame(rows: list[Any], kind: type[Wire] | None = None) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame([row.model_dump() for row in rows], columns=[*kind.model_fields] if kind else None)

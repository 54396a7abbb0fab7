"""What a notebook shows of `run.predict(...)`: each image with its likeliest class. Made by `Run.predict`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, overload

from imgcls_lab import data_files
from imgcls_lab.api.galleries import Gallery, Origin, ShownImage, percent
from imgcls_lab.data_files import FoundImage
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ImagePrediction
from imgcls_lab.widgets.picture_table import Line

if TYPE_CHECKING:
    import pandas as pd


class Predictions(Gallery, Sequence[ImagePrediction]):
    """The answers of a model, a list in the order of the images. Images that cannot be read have an error."""

    def __init__(self, model: str, items: list[ImagePrediction]) -> None:
        self.items = items
        self.title = f"{counted(len(items), 'image')} by the best model of {model}"
        self.origin = Origin(_find)

    @overload
    def __getitem__(self, index: int) -> ImagePrediction: ...
    @overload
    def __getitem__(self, index: slice) -> list[ImagePrediction]: ...
    def __getitem__(self, index: int | slice) -> ImagePrediction | list[ImagePrediction]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each image: path, predicted, confidence, abstains, error; top: names and probabilities."""
        import pandas as pd

        columns = ["path", "predicted", "confidence", "abstains", "error", "top"]
        rows = []
        for item in self.items:
            first = item.classes[0] if item.classes else None
            said = (first.name, first.prob) if first else (None, None)
            top = {answer.name: answer.prob for answer in item.classes}
            rows.append((item.path, *said, item.abstains, item.error, top))
        return pd.DataFrame(rows, columns=columns)

    def table(self) -> pd.DataFrame:
        """The likeliest class of the first images."""
        return super().table().drop(columns="top")

    def gallery(self) -> Iterator[ShownImage]:
        for item in self.items:
            yield ShownImage(item.path, item.path, _captions(item))


def _captions(item: ImagePrediction) -> list[Line]:
    name: Line = (os.path.basename(item.path), None)
    if item.error is not None or not item.classes:
        return [name, (item.error or "no answer", False)]
    first = item.classes[0]
    return [name, (f"{first.name} {percent(first.prob)}", None), *([("abstains", False)] if item.abstains else [])]


def _find(path: str) -> FoundImage:
    """A file that the user named, by its path. Raises DataError where it cannot be read any more."""
    folder, name = os.path.split(os.path.abspath(path))
    return FoundImage(folder, name, data_files.digest_of(folder, name))

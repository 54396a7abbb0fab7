"""What an audit found, as a gallery: of all problems or of some. Made by `Dataset` and `Audit`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import TYPE_CHECKING, Any

from imgcls_lab import image_lookup
from imgcls_lab.api.galleries import Gallery, Origin, ShownImage, percent
from imgcls_lab.schemas import DatasetView, ImageView, ProblemView
from imgcls_lab.widgets.picture_table import Line

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.store import Store


def origin_of(store: Store, dataset: DatasetView) -> Origin:
    """Where the images of a registered data set come from."""
    settings, root = store.settings, dataset.root
    return Origin(lambda image: image_lookup.in_dataset(settings, root, image), {"kind": "dataset", "id": dataset.id})


class Problems(Gallery):
    """What an audit found. items: a problem each, the worst first."""

    def __init__(self, title: str, items: list[ProblemView], origin: Origin) -> None:
        self.title, self.items, self.origin = title, items, origin

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each problem; names, images and splits: of all its images."""
        import pandas as pd

        rows = []
        for item in self.items:
            row = item.model_dump(exclude={"images", "id"})
            rows.append({
                **row,
                "names": [image.name for image in item.images],
                "images": [image.image for image in item.images],
                "splits": [image.split for image in item.images],
                "label": item.images[0].label if item.images else None,
            })  # fmt: skip
        return pd.DataFrame(rows)

    def gallery(self) -> Iterator[ShownImage]:
        """Of each problem its first two images."""
        for item in self.items:
            for image in item.images[:2]:
                if image.image:
                    yield ShownImage(image.image, image.name, _captions(image, item))


def _captions(image: ImageView, problem: ProblemView) -> list[Line]:
    said: Any = f"→ {problem.suggested} {percent(problem.confidence or 0)}" if problem.suggested else problem.kind
    if problem.suggested and problem.settled:  # the newest revision may have given it the suggested class
        return [(image.folder_label, None), (f"{said} settled", True)]
    return [(image.label, None), (str(said).replace("_", " "), False)]

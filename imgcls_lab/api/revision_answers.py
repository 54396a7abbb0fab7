"""What a notebook shows of corrections: a sentence for a revision, a table of all, the images that differ.

Made by `Dataset`. A `Revision` is a `RevisionView` that a cell shows as a sentence with its images.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, overload

from pydantic import PrivateAttr

from imgcls_lab.api.galleries import Gallery, Origin, Shown, ShownImage
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ChangeView, RevisionDiff, RevisionView

if TYPE_CHECKING:
    import pandas as pd


class Revision(RevisionView):
    """A revision of a data set, whose name is `dataset`; a notebook shows the images that it changed."""

    dataset: str
    _diff: Callable[[int], Difference] = PrivateAttr()

    @classmethod
    def of(cls, dataset: str, view: RevisionView, diff: Callable[[int], Difference]) -> Self:
        """diff: what a revision of this data set changed."""
        made = cls(dataset=dataset, **view.model_dump())
        made._diff = diff
        return made

    @cached_property
    def changes(self) -> Difference:
        """What it changed: the images, before and after."""
        changes = self._diff(self.number)
        changes.title = "\n".join(self._lines())
        return changes

    @property
    def frame(self) -> pd.DataFrame:
        """A row for each change."""
        return self.changes.frame

    def __repr__(self) -> str:
        return "\n".join(self._lines())

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        return {**self.changes._repr_mimebundle_(), "text/plain": repr(self)}

    def _lines(self) -> list[str]:
        return [self.sentence(self.dataset), *self.notes]


class Revisions(Shown, Sequence[Revision]):
    """The revisions of a data set, newest first: a list, shown as a table."""

    def __init__(self, dataset: str, views: Sequence[RevisionView], diff: Callable[[int], Difference]) -> None:
        self.items = [Revision.of(dataset, view, diff) for view in views]
        none = ": the labels are those of the folders" if not views else ""
        self.title = f"{counted(len(views), 'revision')} of {dataset}{none}"

    @overload
    def __getitem__(self, index: int) -> Revision: ...
    @overload
    def __getitem__(self, index: slice) -> list[Revision]: ...
    def __getitem__(self, index: int | slice) -> Revision | list[Revision]:
        return self.items[index]

    def __len__(self) -> int:
        return len(self.items)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each revision, as `RevisionView`."""
        import pandas as pd

        kept = [*RevisionView.model_fields]
        return pd.DataFrame([item.model_dump(include={*kept}) for item in self.items], columns=kept)

    def table(self) -> pd.DataFrame:
        """The newest, without digests."""
        shown = super().table()
        when = [time.strftime("%Y-%m-%d %H:%M", time.localtime(at)) for at in shown["created_at"]]
        columns = ["author", "when", "relabelled", "excluded", "restored", "total", "runs", "message"]
        return shown.assign(when=when).set_index("number")[columns]


class Difference(Gallery):
    """What differs between two revisions. view: counts and changes; frame: a row for each change."""

    def __init__(self, dataset: str, view: RevisionDiff, number: int, origin: Origin) -> None:
        self.view, self.origin = view, origin
        against = f"revision {view.against}" if view.against else "the folders"
        self.title = f"Revision {number} of {dataset} against {against}: {view.summary}"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Columns image, name, split, before, label (both None: excluded), why, found."""
        import pandas as pd

        changes = [change.model_dump() for change in self.view.changes]
        return pd.DataFrame(changes, columns=[*ChangeView.model_fields])

    def gallery(self) -> Iterator[ShownImage]:
        for change in self.view.changes:
            said: list[Any] = [change.before or "excluded", change.label or "excluded"]
            yield ShownImage(change.image, change.name, [(" → ".join(said), None)])

"""What sets two runs apart, and whether it matters: `run.diff(other)`.

All figures are those of the compare page: facts by `store.runs.compare`, images and the paired test by the analysis.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev
from typing import TYPE_CHECKING

from imgcls_lab import run_query
from imgcls_lab.analysis.flips import LIKELY
from imgcls_lab.api.evaluations import Flips
from imgcls_lab.api.galleries import Shown
from imgcls_lab.errors import ConflictError, DataError, InputError, NotFoundError
from imgcls_lab.events import RunState
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import ChangedImage, ComparedField, FlipsView, ImageChanges, RunView
from imgcls_lab.schemas.run_contents import CodeChanges

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.store import Store

SEEDS = 200  # repetitions of a run that are averaged


@dataclass(frozen=True)
class SeedBand:
    """The best values of the runs that differ from one in their seed alone, itself included."""

    runs: int
    mean: float
    deviation: float


@dataclass(frozen=True)
class Significance:
    """Whether a run is better than another on the same images.

    view: the paired test with all its counts; seeds: of this run and of the other one, None where one of them was never
    repeated.
    """

    view: FlipsView
    seeds: tuple[SeedBand, SeedBand] | None

    @property
    def images(self) -> int:
        """Those that both have judged."""
        return self.view.images

    @property
    def difference(self) -> float:
        """The fraction that is right, less the other run's."""
        return self.view.difference

    @property
    def interval(self) -> tuple[float, float]:
        """Its 95 % interval (Bonett and Price, 2012)."""
        return self.view.difference_low, self.view.difference_high

    @property
    def bootstrap(self) -> tuple[float, float]:
        """The same by resampling the images."""
        return self.view.bootstrap_low, self.view.bootstrap_high

    @property
    def p_value(self) -> float | None:
        """Of the exact McNemar test; None without an image that was fixed or broken."""
        return self.view.p_value

    @property
    def significant(self) -> bool:
        """Whether the test calls it so at 5 %."""
        return self.p_value is not None and self.p_value < LIKELY

    @property
    def sentence(self) -> str:
        """One that a person can quote."""
        return _sentence(self.view, self.seeds)

    def __str__(self) -> str:
        return self.sentence


class RunDiff(Shown):
    """What `run` has otherwise than `against`. fields: facts, each with both values; images: by content, None: unknown.

    Its `frame` has a row for each fact, with the values of both.
    """

    def __init__(self, store: Store, against: str, run: str, flips: Callable[[str, str], Flips]) -> None:
        self._store, self._flips = store, flips
        self.view = store.runs.compare([against, run])
        if len(self.view.runs) != 2:
            raise InputError("A run does not differ from itself. Name another one.")
        changes = "; " + self.images.sentence if self.images is not None else ""
        self.title = f"{counted(len(self.view.differs), 'difference')} to “{self.against.name}”{changes}"

    @property
    def against(self) -> RunView:
        return self.view.runs[0]

    @property
    def run(self) -> RunView:
        return self.view.runs[1]

    @property
    def fields(self) -> list[ComparedField]:
        return self.view.differs

    @cached_property
    def images(self) -> ImageChanges | None:
        """Which images were added, removed, relabelled or moved to another split; None where a run kept no list."""
        try:
            return self._store.evaluations.image_changes(self.run.id, self.against.id)
        except (ConflictError, DataError, NotFoundError):
            return None

    @cached_property
    def code(self) -> CodeChanges:
        """What git prints between the commits of both, in `diff`, or a `sentence` that says why that is not known."""
        return self._store.run_contents.code_changes(self.run.id, self.against.id)

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Index (part, fact); columns before and after."""
        import pandas as pd

        index = pd.MultiIndex.from_tuples([(each.part, each.title) for each in self.fields], names=["part", "fact"])
        return pd.DataFrame([each.values for each in self.fields], index=index, columns=["before", "after"])

    @cached_property
    def changed_images(self) -> pd.DataFrame:
        """A row for each image that is listed: change, image, name, split, label, and both before."""
        import pandas as pd

        kinds = ("added", "removed", "relabelled", "moved")
        rows = [
            {"change": kind, **image.model_dump()}
            for kind in kinds
            for image in (getattr(self.images, kind) if self.images else [])
        ]
        return pd.DataFrame(rows, columns=["change", *ChangedImage.model_fields])

    def flips(self, split: str = "val") -> Flips:
        """The images that the run fixed and broke, as pictures. Raises ConflictError where both share no image.

        >>> run.diff(sweep.best).flips().view.images > 0
        True
        """
        return self._flips(self.against.id, split)

    def significance(self, split: str = "val") -> Significance:
        """The paired test on the same images, with the band of seeds where both were repeated. Raises as `flips`.

        >>> run.diff(sweep.best).significance().sentence.startswith("Of ")
        True
        """
        view = self.flips(split).view
        own, other = (self._seeds(run) for run in (self.run, self.against))
        seeds = (own, other) if own is not None and other is not None and split == "val" else None
        return Significance(view, seeds)

    def _seeds(self, run: RunView) -> SeedBand | None:
        """None where the run was not repeated with another seed."""
        if not run.repetition or run.best is None:
            return None
        found = self._store.runs.list(
            where=f"repetition={run_query.quoted(run.repetition)}", states=[RunState.SUCCEEDED], limit=SEEDS
        ).items
        values = [each.best.value for each in found if each.best is not None and each.best.metric == run.best.metric]
        return SeedBand(len(values), mean(values), stdev(values)) if len(values) > 1 else None


def _sentence(view: FlipsView, seeds: tuple[SeedBand, SeedBand] | None) -> str:
    low, high = (100 * end for end in (view.bootstrap_low, view.bootstrap_high))
    text = f"{view.sentence} The difference is {100 * view.difference:+.1f} points (95 % bootstrap interval "
    text += f"{low:+.1f} to {high:+.1f})."
    if seeds is not None:
        own, other = (f"{band.mean:.4g} ± {band.deviation:.2g} of {band.runs} seeds" for band in seeds)
        text += f" Over seeds its best is {own}, against {other}."
    return text

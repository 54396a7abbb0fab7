"""`lab.find_lr` and `lab.find_batch_size`: find values to begin with, in some seconds, in this process.

An answer is a curve in a notebook, a table in a terminal, and a DataFrame as its `frame`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from html import escape
from typing import TYPE_CHECKING, Any, Unpack

from imgcls_lab.api import context, error_frames
from imgcls_lab.api.galleries import SHOWN_ROWS, Shown
from imgcls_lab.api.resolving import config_of, resolve
from imgcls_lab.config import ConfigFields, TrainConfig, takes_fields
from imgcls_lab.data_revision import Overlay
from imgcls_lab.errors import StoreError
from imgcls_lab.widgets.static_finders import rates_svg, speeds_svg

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.engine.training.finders import BatchFinding, LrFinding

# why a search for a batch size ended, by `BatchFinding.ended`
ENDED = {
    "limit": "No larger batch was tried: the training images, or the largest size that was asked for, end there.",
    "memory": "A larger batch does not fit the memory.",
    "time": "A larger batch would take too long for one step.",
}


class FoundRates(Shown):
    """What `lab.find_lr` found. suggestion: a rate to begin with, or None; finding: all numbers; frame: lr, loss."""

    def __init__(self, finding: LrFinding) -> None:
        self.finding = finding
        self.suggestion = finding.suggestion
        said = "the loss fell nowhere, so there is nothing to suggest"
        if self.suggestion is not None:
            said = f"the loss falls most steeply at lr={self.suggestion:.1e}"
        self.title = f"Learning rates: {said}"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """A row for each rate tried: lr, loss (smoothed)."""
        import pandas as pd

        return pd.DataFrame({"lr": self.finding.lrs, "loss": self.finding.losses})

    def table(self) -> pd.DataFrame:
        """Rates evenly spread over those that were tried."""
        return self.frame.iloc[:: max(1, len(self.frame) // SHOWN_ROWS)]

    def picture(self) -> dict[str, str]:
        drawn = rates_svg(self.finding.lrs, self.finding.losses, self.suggestion, self.title)
        return {"text/html": drawn, "image/svg+xml": drawn}


class FoundBatchSizes(Shown):
    """What `lab.find_batch_size` found. suggestion: a size to begin with; finding: all numbers; frame: a row a size."""

    def __init__(self, finding: BatchFinding) -> None:
        self.finding = finding
        self.suggestion = finding.suggestion
        self.title = f"Batch sizes: batch_size={finding.suggestion} is the smallest that is nearly the fastest"

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Columns batch_size, images_per_second, memory (bytes)."""
        import pandas as pd

        columns = ["batch_size", "images_per_second", "memory"]
        return pd.DataFrame(
            [[getattr(item, name) for name in columns] for item in self.finding.trials], columns=columns
        )

    def picture(self) -> dict[str, str]:
        trials = self.finding.trials
        drawn = speeds_svg(
            [item.batch_size for item in trials],
            [item.images_per_second for item in trials],
            self.suggestion,
            self.title,
        )
        shown = {"images_per_second": "{:,.0f}".format, "memory": lambda held: f"{held / 2**30:.2f} GiB"}
        table = self.frame.to_html(border=0, index=False, formatters=shown)
        return {
            "text/html": f"{drawn}<p>{escape(ENDED[self.finding.ended])}</p>{table}",
            "image/svg+xml": drawn,
        }


@takes_fields()
def find_lr(
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    lowest: float = 1e-7,
    highest: float = 1.0,
    steps: int = 100,
    on_step: Callable[[int, int], None] | None = None,
    **fields: Unpack[ConfigFields],
) -> FoundRates:
    """Train a trial model with a rate that grows until the loss diverges; `.suggestion` is a rate to begin with.

    `config` and `fields` are as in `lab.launch`. on_step hears of steps done and of how many. A notebook shows the
    curve. Raises ConfigError, DataError and ModelError.

    >>> found = lab.find_lr(config, steps=20)
    >>> list(found.frame.columns)
    ['lr', 'loss']
    """
    from imgcls_lab.engine.training import finders

    resolved, overlay = _resolved(config_of(config, fields))
    with error_frames.emptied():
        found = finders.find_lr(resolved, overlay, lowest=lowest, highest=highest, steps=steps, on_step=on_step)
    return FoundRates(found)


@takes_fields()
def find_batch_size(
    config: TrainConfig | Mapping[str, Any] | None = None,
    *,
    largest: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
    **fields: Unpack[ConfigFields],
) -> FoundBatchSizes:
    """Double the batch until it no longer fits; `.suggestion` is the smallest size that is nearly the fastest.

    `config` and `fields` are as in `lab.launch`. on_step hears of the size done and of the last one to try. A notebook
    shows the speed of each. Raises ConfigError, DataError and ModelError.

    >>> found = lab.find_batch_size(config, largest=8)
    >>> list(found.frame["batch_size"])
    [2, 4, 8]
    """
    from imgcls_lab.engine.training import finders

    resolved, overlay = _resolved(config_of(config, fields))
    with error_frames.emptied():
        return FoundBatchSizes(finders.find_batch_size(resolved, overlay, largest=largest, on_step=on_step))


def _resolved(config: TrainConfig) -> tuple[TrainConfig, Overlay | None]:
    """The config as a run would have it, and the corrections that it means."""
    try:
        store = context.store()
    except StoreError:  # only names are looked up there
        store = None
    resolved = resolve(config, context.settings(), store)
    if resolved.data_revision is None:
        return resolved, None
    return resolved, (store or context.store()).revisions.for_config(resolved)

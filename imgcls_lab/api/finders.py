"""`lab.find_lr` and `lab.find_batch_size`: find values to begin with, in some seconds, in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from imgcls_lab.api import context
from imgcls_lab.api.resolving import resolve
from imgcls_lab.config import TrainConfig
from imgcls_lab.data_revision import Overlay
from imgcls_lab.errors import StoreError

if TYPE_CHECKING:
    from imgcls_lab.engine.training.finders import BatchFinding, LrFinding


def find_lr(
    config: TrainConfig | Mapping[str, Any],
    *,
    lowest: float = 1e-7,
    highest: float = 1.0,
    steps: int = 100,
    on_step: Callable[[int, int], None] | None = None,
) -> LrFinding:
    """Train a trial model with a rate that grows until the loss diverges; `.suggestion` is a rate to begin with.

    on_step hears of steps done and of how many. Raises ConfigError, DataError and ModelError.
    """
    from imgcls_lab.engine.training import finders

    resolved, overlay = _resolved(config)
    return finders.find_lr(resolved, overlay, lowest=lowest, highest=highest, steps=steps, on_step=on_step)


def find_batch_size(
    config: TrainConfig | Mapping[str, Any],
    *,
    largest: int | None = None,
    on_step: Callable[[int, int], None] | None = None,
) -> BatchFinding:
    """Double the batch until it no longer fits; `.suggestion` is the smallest size that is nearly the fastest.

    on_step hears of the size done and of the last one to try. Raises ConfigError, DataError and ModelError.
    """
    from imgcls_lab.engine.training import finders

    resolved, overlay = _resolved(config)
    return finders.find_batch_size(resolved, overlay, largest=largest, on_step=on_step)


def _resolved(config: TrainConfig | Mapping[str, Any]) -> tuple[TrainConfig, Overlay | None]:
    """The config as a run would have it, and the corrections that it means."""
    try:
        store = context.store()
    except StoreError:  # only names are looked up there
        store = None
    resolved = resolve(config, context.settings(), store)
    if resolved.data_revision is None:
        return resolved, None
    return resolved, (store or context.store()).revisions.for_config(resolved)

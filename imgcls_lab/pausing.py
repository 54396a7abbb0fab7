"""A training that pauses at the end of an epoch: what its payload says of it, and who stops it in its process.

Sweeps by successive halving pause their trials so. The config names all epochs, so the learning rate is that of the
whole training from the first step on, and a run that goes on computes what it would have computed without the pause.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from imgcls_lab.events import EpochEnded, Event, Started

UNTIL_EPOCH = "until_epoch"  # under this key of a run's payload


def until_epoch(payload: Mapping[str, Any]) -> int | None:
    """The epoch after which a run pauses, by its payload; None: it trains to its end."""
    epoch = payload.get(UNTIL_EPOCH)
    return epoch if isinstance(epoch, int) and not isinstance(epoch, bool) and epoch > 0 else None


def with_until_epoch(payload: Mapping[str, Any], epoch: int | None) -> dict[str, Any]:
    """The payload of a run that pauses after this epoch, or not at all."""
    rest = {name: value for name, value in payload.items() if name != UNTIL_EPOCH}
    return rest if epoch is None else {**rest, UNTIL_EPOCH: epoch}


class PauseAfter:
    """Sees a run's events, and sets its `stop` when an epoch has ended: the loop stops before the next step."""

    def __init__(self, epoch: int, stop: threading.Event) -> None:
        self._epoch = epoch
        self._stop = stop

    def __call__(self, event: Event) -> None:
        match event:
            case EpochEnded(epoch=done):
                pass
            case Started(resume_step=step, steps_per_epoch=steps):  # a kill came after the epoch, before the end
                done = step // steps
            case _:
                return
        if done >= self._epoch:
            self._stop.set()

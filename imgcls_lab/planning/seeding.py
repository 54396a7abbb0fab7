"""Seeded random generators, one for each place of a run, so that a resume needs no saved generator state.

Called by the hold-out split and by the engine's `rng`. Never touches a global generator.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purpose of the random numbers; two streams never share any."""

    ORDER = 1
    AUGMENT = 2
    MIX = 3
    SPLIT = 4
    INIT = 5
    DROPOUT = 6


def generator(seed: int, stream: Stream, *position: int) -> np.random.Generator:
    """The generator of one place of a run, such as an epoch; the same for the same arguments on every machine."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, stream, *position])))

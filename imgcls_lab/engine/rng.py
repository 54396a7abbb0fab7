"""Every random number of training that is not torch's own, as a pure function of its place in the run.

The order of an epoch is a function of (seed, epoch), an image's augmentation and its mix of (seed, epoch, image). So a
resume needs no state, and neither batch composition nor loader processes matter.
"""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from imgcls_lab.planning.seeding import Stream, generator


def uniforms(
    seed: int, epoch: int, images: npt.NDArray[np.int64], count: int, stream: Stream = Stream.AUGMENT
) -> npt.NDArray[np.float32]:
    """Numbers in [0, 1), shape (images, count): row i depends on (seed, stream, epoch, images[i]) alone.

    SplitMix64 (Steele, Lea, Flood 2014) over a counter, started from a hash of seed, stream and epoch.
    """
    with np.errstate(over="ignore"):
        row = _mix(np.asarray(images, np.uint64) + _start(seed, stream, epoch))
        counter = np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        bits = _mix(row[:, None] + counter[None, :])
    return (bits >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)


@functools.lru_cache
def _start(seed: int, stream: Stream, epoch: int) -> np.uint64:
    found: np.uint64 = np.random.SeedSequence([seed, stream, epoch]).generate_state(1, np.uint64)[0]
    return found


def _mix(z: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def epoch_order(
    seed: int, epoch: int, images: int, weights: npt.NDArray[np.float64] | None = None
) -> npt.NDArray[np.int64]:
    """Image indices of an epoch: a permutation, or with weights as many draws with replacement."""
    random = generator(seed, Stream.ORDER, epoch)
    if weights is None:
        return random.permutation(images).astype(np.int64)
    return random.choice(images, size=images, p=weights / weights.sum()).astype(np.int64)

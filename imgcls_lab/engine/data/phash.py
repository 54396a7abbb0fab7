"""Perceptual hashes of images, by which copies are found that were scaled, re-encoded or retouched.

Called by the scan. Two images look the same if their 64-bit perceptual hashes (pHash: the signs of the low
frequencies of a cosine transform, Zauner 2010) differ in at most `NEAR_BITS` bits and their tiny pictures agree. The
search never compares all with all.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch.nn import functional

NEAR_BITS = 6
NEAR_LEVELS = 6.0  # mean difference of the tiny pictures, of 255
TINY = 4  # edge of the tiny RGB picture
PLAIN = 128  # px; below, Pillow resizes in one go, as torch does for many images at once in a tenth of the time
NEIGHBOURS = 128  # compared with each image in a band
_EDGE = 32
_ZERO = 0.01  # a coefficient of symmetric pictures is 0 but for rounding, which differs with their number; most: 10^5
_ODD_COLUMNS = np.uint64(0x5555555555555555)  # bits of the frequencies 1, 3, 5, 7 across
_BANDS = NEAR_BITS + 1  # hashes that differ in fewer bits than there are bands agree in one of them
_WIDTH = 64 // _BANDS

Hashes = npt.NDArray[np.uint64]
Tiny = npt.NDArray[np.uint8]


def _cosines() -> npt.NDArray[np.float32]:
    """Rows 1..8 of the type II cosine transform of 32 samples."""
    samples = (np.arange(_EDGE) + 0.5) * math.pi / _EDGE
    return np.cos(np.arange(1, 9)[:, None] * samples[None, :]).astype(np.float32)


_COSINES = _cosines()
_LUMA = np.array([19_595, 38_470, 7_471], np.float32)  # of red, green and blue, of 65,536
_BOX = np.tile(np.eye(3, dtype=np.float32), (_EDGE // TINY, 1))  # sums a row of pixels by channel
_WEIGHTS = np.uint64(1) << np.arange(64, dtype=np.uint64)


def shrink(pixels: Tiny) -> Tiny:
    """An RGB image, uint8 (height, width, 3), as the small one that is hashed, uint8 (32, 32, 3)."""
    small = Image.fromarray(pixels).resize((_EDGE, _EDGE), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.asarray(small)


def shrink_each(pixels: Tiny) -> Tiny:
    """As `shrink`, of images of one shape below `PLAIN`: uint8 (n, height, width, 3) -> (n, 32, 32, 3).

    The same to the bit where torch has its integer kernel (AVX2), else within a level.
    """
    channels_first = torch.from_numpy(pixels).permute(0, 3, 1, 2)
    small = functional.interpolate(channels_first, (_EDGE, _EDGE), mode="bilinear", antialias=True)
    resized: Tiny = small.permute(0, 2, 3, 1).numpy()
    return resized


def phashes_of(small: Tiny) -> tuple[Hashes, Tiny]:
    """Hashes, uint64 (n,), and tiny pictures, uint8 (n, 4, 4, 3), of shrunk images, uint8 (n, 32, 32, 3).

    In float32, which holds whole numbers to 2^24: grey and boxes come out as Pillow's integers.
    """
    count, block = len(small), _EDGE // TINY
    values = small.astype(np.float32)
    grey = np.floor((values.reshape(-1, 3) @ _LUMA + 0x8000) / 0x10000).reshape(count, _EDGE, _EDGE)
    coefficients = _COSINES @ (grey.reshape(-1, _EDGE) @ _COSINES.T).reshape(count, _EDGE, 8)
    across = np.floor((values.reshape(-1, 3 * block) @ _BOX + block // 2) / block)  # a box filter, rounded, and down
    down = np.floor((across.reshape(count, TINY, block, 3 * TINY).sum(2) + block // 2) / block)
    return (coefficients.reshape(count, -1) > _ZERO) @ _WEIGHTS, down.astype(np.uint8).reshape(count, TINY, TINY, 3)


def mirrored(hashes: Hashes, tiny: Tiny) -> tuple[Hashes, Tiny]:
    """Hashes and tiny pictures of the same images mirrored left to right: the odd frequencies change their sign."""
    return hashes ^ _ODD_COLUMNS, np.ascontiguousarray(tiny[:, :, ::-1])


def near_pairs(hashes: Hashes, tiny: Tiny, sides: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Index pairs (k, 2), first below second, of images that look the same and are of different sides.

    hashes, sides: (n,); tiny: (n, 4, 4, 3). For each of seven bands of the hash the images are sorted by it, and each
    is compared with at most `NEIGHBOURS` that follow and share the band: n log n, whatever the images. Where more
    share a band, pairs that lie further apart may be missed.
    """
    count = len(hashes)
    found = [np.empty(0, np.int64)]
    for band in range(_BANDS):
        turned = _rotated(hashes, band * _WIDTH)
        order = np.argsort(turned, kind="stable")
        in_order, places = turned[order], turned[order] >> np.uint64(64 - _WIDTH)
        for step in range(1, min(NEIGHBOURS, count - 1) + 1):
            shared = np.flatnonzero(places[:-step] == places[step:])
            if not len(shared):
                break
            shared = shared[np.bitwise_count(in_order[shared] ^ in_order[shared + step]) <= NEAR_BITS]
            one, other = order[shared], order[shared + step]
            across = sides[one] != sides[other]
            one, other = one[across], other[across]
            apart = np.abs(tiny[one].astype(np.int16) - tiny[other]).mean((1, 2, 3))
            one, other = one[apart <= NEAR_LEVELS], other[apart <= NEAR_LEVELS]
            found.append(np.minimum(one, other) * count + np.maximum(one, other))
    return np.stack(np.divmod(np.unique(np.concatenate(found)), max(count, 1)), axis=1)


def _rotated(hashes: Hashes, bits: int) -> Hashes:
    left, right = np.uint64(bits), np.uint64((64 - bits) % 64)
    turned: Hashes = (hashes << left) | (hashes >> right) if bits else hashes
    return turned

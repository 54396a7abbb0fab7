"""A split that is read once: its readable images a portion at a time, so that memory does not grow with their number.

Called by the evaluation of a model folder. A run reads its images again and again, and has the scan and its caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from imgcls_lab.engine.data.file_inspection import Look, looking
from imgcls_lab.engine.data.image_cache import RamCache
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.data.scan_index import ENTRY
from imgcls_lab.image_files import printable

PORTION = 1024  # images; 150 MB at 224 px
MOST_BYTES = 2**28  # pixels of a portion, as far as that is more than one image


def portions(images: ImageSet) -> Iterator[tuple[ImageSet, dict[str, str]]]:
    """The images in their order, and of those that cannot be read path -> reason.

    A set has its pixels with it until the next is asked for; it is empty where nothing of a portion can be read.
    Raises OutOfMemoryError if a process that decodes is killed.
    """
    count = max(1, min(PORTION, len(images), MOST_BYTES // images.reader.image_bytes))
    cache = RamCache(count, images.reader.shape)  # one for all portions
    looks = []
    for first in range(0, len(images), count):
        part = slice(first, first + count)
        own = replace(images, paths=images.paths[part], labels=images.labels[part])
        looks.append(Look(own, np.zeros(0, ENTRY), np.full(len(own), -1), cache))
    with looking(looks) as found_by:
        for look in looks:
            own = look.images
            readable, wrong = np.ones(len(own), bool), {}
            for found in found_by(look):
                for number, pixels in found.pixels.items():
                    cache.put(number, found.entries["digest"][number - found.numbers.start], pixels)
                for number, reason in found.wrong.items():
                    readable[number] = False
                    wrong[printable(own.path(number))] = reason
            # a set of its own: the looks stay as the forked processes know them
            rows, pixels_of_all = np.flatnonzero(readable), torch.from_numpy(cache.pixels())
            yield replace(own, paths=own.paths[rows], labels=own.labels[rows], pixels=pixels_of_all, rows=rows), wrong

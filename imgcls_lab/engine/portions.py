"""A split that is read once: its readable images a portion at a time, so that memory does not grow with their number.

Called by the evaluation of a model folder. A run reads its images again and again, and has the scan and its caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from imgcls_lab.engine.cache import RamCache
from imgcls_lab.engine.data import ImageSet
from imgcls_lab.engine.index import ENTRY
from imgcls_lab.engine.look import Look, looking
from imgcls_lab.imagefolder import printable

PORTION = 1024  # images; 150 MB at 224 px


def portions(images: ImageSet, wrong: dict[str, str]) -> Iterator[ImageSet]:
    """The images in their order, with their pixels, which stay until the next portion is asked for.

    wrong: path -> reason of what cannot be read, filled in as it is met. A portion of nothing else is empty. Raises
    OutOfMemoryError if a process that decodes is killed.
    """
    cache = RamCache(min(PORTION, len(images)), images.reader.edge)  # one for all
    looks = []
    for first in range(0, len(images), PORTION):
        part = slice(first, first + PORTION)
        own = replace(images, paths=images.paths[part], labels=images.labels[part])
        looks.append(Look(own, np.zeros(0, ENTRY), np.full(len(own), -1), cache))
    with looking(looks) as found_by:
        for look in looks:
            own = look.images
            readable = np.ones(len(own), bool)
            for found in found_by(look):
                for number, pixels in found.pixels.items():
                    cache.put(number, found.entries["digest"][number - found.numbers.start], pixels)
                for number, reason in found.wrong.items():
                    readable[number] = False
                    wrong[printable(own.path(number))] = reason
            # a set of its own: the looks stay as the forked processes know them
            rows = np.flatnonzero(readable)
            yield replace(
                own, paths=own.paths[rows], labels=own.labels[rows], pixels=torch.from_numpy(cache.pixels()), rows=rows
            )

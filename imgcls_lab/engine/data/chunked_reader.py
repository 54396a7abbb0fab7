"""A split that is read once: its readable images in chunks, so that memory does not grow with their number.

Called by the evaluation of a model folder and by the computation of features. A run reads its images many times, and
has the scan and its caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from imgcls_lab.engine.data.file_inspection import SetInspection, inspecting
from imgcls_lab.engine.data.image_cache import RamCache
from imgcls_lab.engine.data.image_set import ImageSet, Indices
from imgcls_lab.engine.data.scan_index import ENTRY

CHUNK_IMAGES = 1024  # 150 MB at 224 px
MAX_CHUNK_BYTES = 2**28  # pixels of a chunk, as far as that is more than one image


@dataclass(frozen=True)
class Chunk:
    """Some images of a set.

    images: those that can be read, with their pixels; numbers: where they are in the set, (n,);
    digests: of what was read, uint64 (n, 4); errors: why others cannot be read, by their number in the set.
    """

    images: ImageSet
    numbers: Indices
    digests: npt.NDArray[np.uint64]
    errors: dict[int, str]


def read_chunks(images: ImageSet) -> Iterator[Chunk]:
    """The images in their order.

    A chunk holds its pixels until the next one is taken; it is empty where no image of it can be read. Raises
    OutOfMemoryError if a process that decodes is killed.
    """
    count = max(1, min(CHUNK_IMAGES, len(images), MAX_CHUNK_BYTES // images.reader.image_bytes))
    cache = RamCache(count, images.reader.shape)  # one for all chunks
    inspections = []
    for first in range(0, len(images), count):
        part = slice(first, first + count)
        own = replace(images, paths=images.paths[part], labels=images.labels[part])
        inspections.append(SetInspection(own, np.zeros(0, ENTRY), np.full(len(own), -1), cache))
    with inspecting(inspections) as inspect:
        for place, inspection in enumerate(inspections):
            own = inspection.images
            readable, errors = np.ones(len(own), bool), dict[int, str]()
            digests = np.zeros((len(own), 4), np.uint64)
            for found in inspect(inspection):
                digests[found.numbers.start : found.numbers.stop] = found.entries["digest"]
                for number, pixels in found.pixels.items():
                    cache.put(number, digests[number], pixels)
                for number, reason in found.errors.items():
                    readable[number] = False
                    errors[place * count + number] = reason
            rows, pixels_of_all = np.flatnonzero(readable), torch.from_numpy(cache.pixels())
            chunk = replace(own, paths=own.paths[rows], labels=own.labels[rows], pixels=pixels_of_all, rows=rows)
            yield Chunk(chunk, place * count + rows, digests[rows], errors)

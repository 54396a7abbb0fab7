"""A split that is read once: its readable images in chunks, so that memory does not grow with their number.

Called by the evaluation of a model folder. A run reads its images many times, and has the scan and its caches.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch

from imgcls_lab.engine.data.file_inspection import SetInspection, inspecting
from imgcls_lab.engine.data.image_cache import RamCache
from imgcls_lab.engine.data.image_set import ImageSet
from imgcls_lab.engine.data.scan_index import ENTRY
from imgcls_lab.image_files import printable

CHUNK_IMAGES = 1024  # 150 MB at 224 px
MAX_CHUNK_BYTES = 2**28  # pixels of a chunk, as far as that is more than one image


def read_chunks(images: ImageSet) -> Iterator[tuple[ImageSet, dict[str, str]]]:
    """The images in their order, and for those that cannot be read path -> reason.

    A set holds its pixels until the next one is taken; it is empty where no image of a chunk can be read. Raises
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
        for inspection in inspections:
            own = inspection.images
            readable, errors = np.ones(len(own), bool), {}
            for found in inspect(inspection):
                for number, pixels in found.pixels.items():
                    cache.put(number, found.entries["digest"][number - found.numbers.start], pixels)
                for number, reason in found.errors.items():
                    readable[number] = False
                    errors[printable(own.path(number))] = reason
            rows, pixels_of_all = np.flatnonzero(readable), torch.from_numpy(cache.pixels())
            chunk = replace(own, paths=own.paths[rows], labels=own.labels[rows], pixels=pixels_of_all, rows=rows)
            yield chunk, errors

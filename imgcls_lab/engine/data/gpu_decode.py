"""JPEG files of training decoded on the GPU (nvJPEG), for data too large to be cached. Used by the inputs of training.

Threads read the files. Files that such a decoder decodes differently (turned by EXIF, CMYK, no JPEG at all) are
decoded on the CPU, and so is a batch that it refuses. Validation and prediction never use it.
"""

from __future__ import annotations

import os
import warnings
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch

from imgcls_lab.engine.data.image_set import ImageSet, Indices
from imgcls_lab.images import is_plain_jpeg, read_bytes

READERS = 8  # threads that read files
PREFETCH = 2  # batches whose files are read while one is decoded
# the bytes of JPEG files, each uint8 (size,) on the CPU -> their pixels, each uint8 (3, height, width) on the device
Decode = Callable[[list[torch.Tensor]], list[torch.Tensor]]


def nvjpeg(device: torch.device) -> Decode:
    """torchvision's decoder of a GPU. Not run on a GPU yet."""
    from torchvision.io import ImageReadMode, decode_jpeg

    def decode(files: list[torch.Tensor]) -> list[torch.Tensor]:
        with warnings.catch_warnings():  # it is to move to another package some day
            warnings.simplefilter("ignore")
            found: list[torch.Tensor] = decode_jpeg(files, mode=ImageReadMode.RGB, device=device)
        return found

    return decode


@dataclass(frozen=True)
class _File:
    name: str
    data: bytes
    plain: bool


def decode_batches(
    device: torch.device, images: ImageSet, batches: Sequence[Indices], decode: Decode
) -> Iterator[torch.Tensor]:
    """The pixels of each batch in turn, uint8 (n, height, width, 3), on the device. Raises DataError, as files do."""
    with ThreadPoolExecutor(READERS) as pool:
        waiting: deque[list[Future[_File]]] = deque()
        for batch in batches:
            waiting.append([pool.submit(_read, images, int(number)) for number in batch])
            if len(waiting) > PREFETCH:
                yield _decode_batch(device, images, [file.result() for file in waiting.popleft()], decode)
        while waiting:
            yield _decode_batch(device, images, [file.result() for file in waiting.popleft()], decode)


def _read(images: ImageSet, number: int) -> _File:
    path = os.path.join(images.root, images.path(number))
    data = read_bytes(path)
    return _File(path, data, is_plain_jpeg(data))


def _decode_batch(device: torch.device, images: ImageSet, files: list[_File], decode: Decode) -> torch.Tensor:
    reader = images.reader
    plain = [place for place, file in enumerate(files) if file.plain]
    try:
        decoded = decode([torch.from_numpy(np.frombuffer(files[place].data, np.uint8).copy()) for place in plain])
    except torch.OutOfMemoryError:  # the free memory must not decide about pixels
        raise
    except RuntimeError:  # one file that it cannot decode fails them all; the CPU decodes it, or names it
        plain, decoded = [], []
    pixels = torch.empty((len(files), *reader.shape, 3), dtype=torch.uint8, device=device)
    for place, image in zip(plain, decoded, strict=True):
        pixels[place] = reader.resize(image.movedim(0, -1))
    for place in set(range(len(files))) - set(plain):
        pixels[place] = reader.read(files[place].data, files[place].name)[0].to(device)
    return pixels

"""The process that decodes an image for a thumbnail: a bomb or a faulty decoder ends it, and nothing else.

Started by `pool.py`. It reads a request a line from its standard input and writes each answer to its standard output: a
line of JSON, and behind it the picture as WebP. It ends where the input ends, or after some minutes without a request.
"""

from __future__ import annotations

import hashlib
import io
import json
import resource
import select
import sys
from typing import Any, BinaryIO

from PIL import Image

from imgcls_lab import data_files, images
from imgcls_lab.errors import DataError
from imgcls_lab.image_files import printable

MEMORY = 3 * 2**30  # bytes of addresses; libraries take most of one, the largest image that is decoded 0.6
IDLE = 300.0  # seconds
PLAIN_EDGE = 64  # px; a picture up to that size keeps each pixel as it is
QUALITY, METHOD = 80, 0  # method 0 takes two thirds of the time of 2, for files a tenth larger


def picture(root: str, path: str, image: str, size: int) -> bytes:
    """A file of a data set as WebP, its longer edge at most `size`. Raises DataError.

    image: SHA-256 of the content; a file that holds something else now is refused with the reason `changed`.
    """
    name = printable(path)
    data = data_files.read_image(root, path)
    if hashlib.sha256(data).hexdigest() != image:
        raise DataError(f"“{name}” has changed: it is another image now.", reason="changed")
    pixels, _ = images.decode_sized(data, size_hint=size, name=name)
    return encode(pixels, size)


def encode(pixels: images.Pixels, size: int) -> bytes:
    """RGB pixels, uint8 (height, width, 3), as WebP, the longer edge at most `size`; small ones stay as they are."""
    shown = Image.fromarray(pixels)
    shown.thumbnail((size, size), Image.Resampling.BICUBIC, reducing_gap=2.0)
    content = io.BytesIO()
    if max(pixels.shape[:2]) <= PLAIN_EDGE:
        shown.save(content, "WEBP", lossless=True, method=2)
    else:
        shown.save(content, "WEBP", quality=QUALITY, method=METHOD)
    return content.getvalue()


def answer(line: bytes) -> tuple[dict[str, Any], bytes]:
    """The head of the answer, and the picture."""
    try:
        content = picture(**json.loads(line))
    except DataError as error:
        return {"error": str(error), "reason": error.reason or "unreadable"}, b""
    except MemoryError:
        return {"error": "The image needs more memory than a picture of it may take.", "reason": "too_large"}, b""
    return {"length": len(content)}, content


def serve(requests: BinaryIO, answers: BinaryIO) -> None:
    while select.select([requests], [], [], IDLE)[0]:
        line = requests.readline()
        if not line:
            return
        head, content = answer(line)
        answers.write(json.dumps(head).encode() + b"\n" + content)
        answers.flush()


def main() -> None:
    _, most = resource.getrlimit(resource.RLIMIT_AS)
    limit = MEMORY if most == resource.RLIM_INFINITY else min(MEMORY, most)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = sys.stdout.buffer
    sys.stdout = sys.stderr  # what a decoder prints is no answer
    serve(sys.stdin.buffer.raw if hasattr(sys.stdin.buffer, "raw") else sys.stdin.buffer, answers)


if __name__ == "__main__":
    main()

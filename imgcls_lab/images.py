"""The one decode of an image file: training and prediction both come here.

Torch-free. Never follows anything but a regular file, never runs a decoder that is not in `FORMATS`, never returns
half an image: what cannot be read whole is a DataError that names the file and the reason.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
import threading
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt
import PIL
import simplejpeg
from PIL import Image, ImageCms, UnidentifiedImageError

from imgcls_lab.errors import DataError

_SUFFIXES = {
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".png",
    ".webp",
    ".avif",
    ".bmp",
    ".gif",
    ".tif",
    ".tiff",
    ".ppm",
    ".pgm",
}
HEIF_SUFFIXES = frozenset({".heic", ".heif", ".hif"})
HEIF_REMEDY = "pip install pillow-heif"


def _add_heif() -> str | None:
    """Teach Pillow HEIF where pillow-heif is installed; its version, or None."""
    try:
        import pillow_heif
    except ImportError:
        return None
    pillow_heif.register_heif_opener(thumbnails=False)
    return str(pillow_heif.__version__)


_HEIF = _add_heif()
IMAGE_SUFFIXES = frozenset(_SUFFIXES | HEIF_SUFFIXES if _HEIF else _SUFFIXES)  # taken without a look inside
# no EPS and the like, which start programs; an MPO comes as a JPEG
FORMATS = ("JPEG", "PNG", "WEBP", "AVIF", "BMP", "GIF", "TIFF", "PPM", *(["HEIF"] if _HEIF else []))
# how files of these formats begin; AVIF and HEIF have a length before theirs
_BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"RIFF", b"BM", b"GIF8", b"II", b"MM", b"P", b"\x00\x00")
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")

DECODER = f"Pillow {PIL.__version__} simplejpeg {metadata.version('simplejpeg')}"  # whose pixels these are
if _HEIF:
    DECODER += f" pillow-heif {_HEIF}"
# Pillow warns above this number and refuses above twice of it; a decoded image of this size holds 270 MB.
MAX_PIXELS = 89_478_485
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC  # a FIFO or a device neither blocks nor goes to a child
MAX_BYTES = 512 * 1024 * 1024
LARGE = 16_000_000  # pixels; above, one is decoded at a time, so that memory does not grow with the threads

Lock = contextlib.AbstractContextManager[Any]
_one_at_a_time: Lock = threading.Lock()

_BLOCK = 2**20  # pixels that are computed with at once
_ORIENTATION = 0x0112  # the EXIF tag
_PHOTOMETRIC = 262  # the TIFF tag; 0: white is zero
Pixels = npt.NDArray[np.uint8]


def decode(source: str | os.PathLike[str] | bytes, *, size_hint: int | None = None, name: str | None = None) -> Pixels:
    """The image as uint8, shape (height, width, 3), RGB, upright.

    EXIF rotation is applied, transparency lies on white, 16-bit and float grey is scaled to 8 bits, of an animation
    or of several pages the first counts. With `size_hint` a JPEG may come back smaller (by the cosine transform, in
    eighths), its shorter edge never below the hint: much quicker for training crops, but not bit-equal to a whole
    decode. `name` is what errors call an image given as bytes. Raises DataError for anything that is no readable
    image.
    """
    return decode_sized(source, size_hint=size_hint, name=name)[0]


def decode_sized(
    source: str | os.PathLike[str] | bytes, *, size_hint: int | None = None, name: str | None = None
) -> tuple[Pixels, tuple[int, int]]:
    """As `decode`, and the width and height of the whole upright image, whatever the hint."""
    name = name or ("the given image" if isinstance(source, bytes) else os.fspath(source))
    data = source if isinstance(source, bytes) else read_bytes(source)
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(
                    f"“{name}” has {image.width} x {image.height} pixels; images above {MAX_PIXELS // 1_000_000} "
                    "million pixels are refused. Scale it down or remove it."
                )
            with _one_at_a_time if image.width * image.height > LARGE else contextlib.nullcontext():
                return _pixels(image, data, size_hint)
    except DataError:
        raise
    except UnidentifiedImageError:
        raise DataError(_unknown(name, data)) from None
    except Image.DecompressionBombError:
        raise DataError(
            f"“{name}” has far more than {MAX_PIXELS // 1_000_000} million pixels, which is refused. Scale it down or "
            "remove it."
        ) from None
    except MemoryError:
        raise
    except Exception as error:  # decoders raise anything at all on damaged input
        raise DataError(f"“{name}” is damaged and cannot be read ({error}). Replace or remove it.") from error


def is_plain_jpeg(data: bytes) -> bool:
    """Whether any JPEG decoder gives this file's pixels: grey or colour, upright as it is, and not too large."""
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            plain = image.mode in ("RGB", "L") and image.width * image.height <= MAX_PIXELS
            return plain and _orientation(image) == 1
    except Exception:  # as decoders do; the one decode says what is wrong
        return False


def large_alone(lock: Lock) -> None:
    """Decode an image above LARGE pixels only with this lock: of processes that decode side by side one at a time."""
    global _one_at_a_time  # noqa: PLW0603 - set once, where a process begins
    _one_at_a_time = lock


def size_of(source: str | os.PathLike[str]) -> tuple[int, int]:
    """Width and height by the file's header, all that is read of it, before EXIF rotation. Raises DataError."""
    name = os.fspath(source)
    try:
        with open_plain(source) as file, Image.open(file, formats=FORMATS) as image:
            return image.size
    except DataError:
        raise
    except Exception as error:
        raise DataError(f"“{name}” is no image that can be read ({error}). Replace or remove it.") from error


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file. Raises DataError."""
    name = os.fspath(path)
    try:
        with open_plain(path) as file:
            size = os.fstat(file.fileno()).st_size
            if size == 0:
                raise DataError(f"“{name}” is empty. Replace or remove it.")
            if size > MAX_BYTES:
                raise DataError(f"“{name}” is larger than {MAX_BYTES // 2**20} MB. Scale it down or remove it.")
            return file.read()
    except OSError as error:
        raise DataError(f"“{name}” cannot be opened: {error.strerror or error}.") from None


@contextlib.contextmanager
def open_plain(path: str | os.PathLike[str]) -> Iterator[BinaryIO]:
    """A regular file; a FIFO or a device would block or never end. Raises DataError, OSError."""
    descriptor = os.open(path, _READING)
    with os.fdopen(descriptor, "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise DataError(f"“{os.fspath(path)}” is no regular file.")
        yield file


def _pixels(image: Image.Image, data: bytes, size_hint: int | None) -> tuple[Pixels, tuple[int, int]]:
    """Pixels and size of an opened image, upright."""
    if image.format in ("JPEG", "MPO") and image.mode in ("RGB", "L"):
        quick = _decode_jpeg(data, size_hint)
        if quick is not None:
            return _upright(quick, image.size, _orientation(image))
    image.load()  # before the orientation is asked for: a TIFF is turned while it loads
    return _upright(np.array(_rgb(image)), image.size, _orientation(image))


def _decode_jpeg(data: bytes, size_hint: int | None) -> Pixels | None:
    """libjpeg-turbo without Pillow's copies; None where it is unsure, so that Pillow decides.

    Raises ValueError where the data end too early: Pillow would paint the rest grey.
    """
    least = size_hint or 0
    try:
        pixels: Pixels = simplejpeg.decode_jpeg(
            data, "RGB", fastdct=False, fastupsample=False, min_height=least, min_width=least, min_factor=1
        )
    except ValueError as error:
        if "premature end of data segment" in str(error):
            raise
        return None
    return pixels


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation 1..8; 1 where the EXIF block is damaged, which says nothing about the pixels."""
    try:
        return int(image.getexif().get(_ORIENTATION, 1))
    except Exception:  # as decoders do
        return 1


def _upright(pixels: Pixels, size: tuple[int, int], orientation: int) -> tuple[Pixels, tuple[int, int]]:
    """Undo the EXIF orientation of an image and of its (width, height)."""
    turns: dict[int, Callable[[Pixels], Pixels]] = {
        2: lambda p: p[:, ::-1],
        3: lambda p: p[::-1, ::-1],
        4: lambda p: p[::-1],
        5: lambda p: p.transpose(1, 0, 2),
        6: lambda p: np.rot90(p, -1),
        7: lambda p: p[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90,
    }
    turned = turns.get(orientation)
    if turned is None:
        return pixels, size
    return np.ascontiguousarray(turned(pixels)), size if orientation < 5 else (size[1], size[0])


def _rgb(image: Image.Image) -> Image.Image:
    """Any of Pillow's modes as 8-bit RGB, transparency on white."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image).convert("RGB")
    if image.mode == "LAB":
        return _from_lab(image)
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        clear = image.info.get("transparency")
        if isinstance(clear, tuple) and max(clear) > 255:  # of a 16-bit PNG, whose pixels Pillow has as 8 bits
            image.info["transparency"] = tuple(value >> 8 for value in clear)
        layer = image.convert("RGBA")
        paper = Image.new("RGBA", layer.size, "white")
        return Image.alpha_composite(paper, layer).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _from_lab(image: Image.Image) -> Image.Image:
    transform = ImageCms.buildTransform(ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB"), "LAB", "RGB")
    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None  # noqa: S101 - None is given back only where the image is changed in place
    return converted


def _eight_bits(image: Image.Image) -> Image.Image:
    """Deep grey as 8 bits. Pillow's own conversion clips it to white instead.

    I;16 holds 0..65535, as I does, or 0..255 where no value is above; F holds 0..1 by custom, or else 0..255. What
    goes beyond (32-bit counts, a float of any unit) is scaled by its own largest value.
    """
    values = np.asarray(image).reshape(-1)
    clear, white_is_zero = image.info.get("transparency"), _white_is_zero(image)
    ranges = (1.0, 255.0) if image.mode == "F" else (255.0, 65_535.0)
    top = max((float(block.max()) for _, block in _finite(values)), default=0.0)
    full = 65_535.0 if image.mode.startswith("I;16") else next((r for r in ranges if top <= r), top)
    grey = np.empty(len(values), np.uint8)
    for start, block in _finite(values):
        part = np.clip(block * (255 / full) + 0.5, 0, 255).astype(np.uint8)
        if white_is_zero:
            part = 255 - part
        if isinstance(clear, int):
            part[block == clear] = 255
        grey[start : start + len(part)] = part
    return Image.fromarray(grey.reshape(image.height, image.width))


def _finite(values: npt.NDArray[Any]) -> Iterator[tuple[int, npt.NDArray[np.float64]]]:
    """The values in blocks, with where each begins; all of a large image as float64 would take many times its size."""
    for start in range(0, len(values), _BLOCK):
        yield start, np.nan_to_num(values[start : start + _BLOCK].astype(np.float64), posinf=0.0, neginf=0.0)


def _white_is_zero(image: Image.Image) -> bool:
    """Whether a TIFF says so; Pillow inverts 8 bits by itself and deeper ones not."""
    tags = getattr(image, "tag_v2", {})
    return image.mode.startswith("I") and tags.get(_PHOTOMETRIC) == 0


def is_image_name(name: str | Path) -> bool:
    """Whether a file counts as an image by its name; hidden files never do."""
    base = os.path.basename(name)
    return not base.startswith(".") and os.path.splitext(base)[1].lower() in IMAGE_SUFFIXES


def is_image(path: str | os.PathLike[str]) -> bool:
    """Whether a file is an image by its content: its header is one that `decode` knows. Follows a link."""
    try:
        descriptor = os.open(path, _READING)
        try:  # most files that are none need no more than this, a few microseconds
            if not stat.S_ISREG(os.fstat(descriptor).st_mode) or not os.read(descriptor, 16).startswith(_BEGINNINGS):
                return False
        finally:
            os.close(descriptor)
        with open_plain(path) as file, Image.open(file, formats=FORMATS):
            return True
    except Image.DecompressionBombError:
        return True  # refused by the decoder, with the reason
    except Exception:  # as decoders do; what is no image needs no reason
        return False


def _unknown(name: str, data: bytes) -> str:
    """Why a file that no decoder takes is none, with the remedy where there is one."""
    if data[4:8] == b"ftyp" and data[8:12] in _HEIF_BRANDS and not _HEIF:
        return f"“{name}” is a HEIF image (HEIC). `{HEIF_REMEDY}` makes it readable; or save it as JPEG."
    return f"“{name}” is no image of a known format. Replace or remove it."

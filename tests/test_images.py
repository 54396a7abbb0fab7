"""The one decode: every kind of file as upright RGB, or one sentence that names it."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcls_lab import images
from imgcls_lab.errors import DataError
from imgcls_lab.images import decode, is_image_name, size_of, thumbnail


@pytest.fixture
def photo() -> Image.Image:
    """96 x 64, smooth, all corners different."""
    y, x = np.mgrid[0:64, 0:96]
    pixels = np.stack([x * 2, y * 3, (x + y)], axis=2).astype(np.uint8)
    return Image.fromarray(pixels)


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "TIFF", "WEBP", "PPM"])
def test_lossless_formats_give_what_pillow_gives(photo: Image.Image, kind: str) -> None:
    data = encoded(photo, kind, **({"lossless": True} if kind == "WEBP" else {}))
    assert np.array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_jpeg_is_bit_equal_to_pillow(photo: Image.Image, mode: str, subsampling: int) -> None:
    options = {} if mode == "L" else {"subsampling": subsampling}
    data = encoded(photo.convert(mode), "JPEG", quality=80, **options)
    assert np.array_equal(decode(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_rotation_is_applied(photo: Image.Image, kind: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encoded(photo, kind, exif=exif)
    from PIL import ImageOps

    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB")
    assert np.array_equal(decode(data), np.asarray(expected))


def test_transparency_lies_on_white() -> None:
    clear = Image.new("RGBA", (2, 2), (255, 0, 0, 0))
    half = Image.new("RGBA", (2, 2), (0, 0, 0, 128))
    palette = clear.convert("P")
    palette.info["transparency"] = 0
    assert decode(encoded(clear, "PNG")).min() == 255
    assert abs(int(decode(encoded(half, "PNG"))[0, 0, 0]) - 127) <= 1


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    grey = decode(encoded(Image.fromarray(values), "PNG"))[..., 0].reshape(-1)
    assert np.abs(grey.astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "LA", "YCbCr"])
def test_every_mode_becomes_rgb(photo: Image.Image, mode: str) -> None:
    kind = {"CMYK": "JPEG", "YCbCr": "JPEG"}.get(mode, "PNG")
    pixels = decode(encoded(photo.convert(mode), kind))
    assert (pixels.shape, pixels.dtype) == ((64, 96, 3), np.uint8)


def test_animation_gives_its_first_frame() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode(data)[0, 0].tolist() == [255, 0, 0]


def test_size_hint_shrinks_a_jpeg_and_not_below(photo: Image.Image) -> None:
    data = encoded(photo.resize((960, 640)), "JPEG")
    height, width, _ = decode(data, size_hint=100).shape
    assert 100 <= height < 640
    assert abs(width / height - 1.5) < 0.05


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF"])
def test_truncated_file_is_named(photo: Image.Image, kind: str, tmp_path: Path) -> None:
    path = tmp_path / "half.img"
    data = encoded(photo, kind)
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"half\.img"):
        decode(path)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff\xe0" + bytes(50), b"%!PS-Adobe-3.0 EPSF-3.0\n"])
def test_what_is_no_image_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "note.jpg"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"note\.jpg"):
        decode(path)


def test_image_bomb_is_refused_without_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 12_000)).save(path)
    with pytest.raises(DataError, match="pixels"):
        decode(path)


def test_pixel_cap_names_size(tmp_path: Path, photo: Image.Image, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 1000)
    photo.save(tmp_path / "big.png")
    with pytest.raises(DataError, match="96 x 64"):
        decode(tmp_path / "big.png")


def test_fifo_and_folder_do_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    for path in (tmp_path / "pipe.png", tmp_path, tmp_path / "absent.png"):
        with pytest.raises(DataError, match=path.name):
            decode(path)


def test_thumbnail_fits(photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "a.png")
    small = Image.open(io.BytesIO(thumbnail(tmp_path / "a.png", 48)))
    assert (small.format, small.size) == ("JPEG", (48, 32))
    assert size_of(tmp_path / "a.png") == (96, 64)


def test_hidden_and_foreign_names_are_no_images() -> None:
    names = ["a.JPG", "b.png", ".c.png", "d.txt", "e.eps"]
    assert [is_image_name(name) for name in names] == [True, True, False, False, False]


def test_decoding_needs_no_torch() -> None:
    code = "import imgcls_lab.images, imgcls_lab.imagefolder, imgcls_lab.engine, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

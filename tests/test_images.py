"""The one decode: every kind of file as upright RGB, or one sentence that names it."""

from __future__ import annotations

import io
import os
import resource
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imgcls_lab import images
from imgcls_lab.errors import DataError
from imgcls_lab.images import decode, is_image, is_image_name, size_of


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


def chunk(kind: bytes, data: bytes) -> bytes:
    """One of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(values: np.ndarray, colour: int, *chunks: bytes) -> bytes:
    """A 16-bit PNG of uint16 (height, width, channels), which Pillow does not write. colour: the header's type."""
    header = struct.pack(">IIBBBBB", values.shape[1], values.shape[0], 16, colour, 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return b"".join(
        [
            b"\x89PNG\r\n\x1a\n",
            chunk(b"IHDR", header),
            *chunks,
            chunk(b"IDAT", zlib.compress(rows)),
            chunk(b"IEND", b""),
        ]
    )


def tiff(values: np.ndarray, *, fmt: int, photometric: int = 1) -> bytes:
    """An uncompressed grey TIFF of one strip. fmt: 1 unsigned, 2 signed, 3 float."""
    height, width = values.shape
    tags = [
        (256, 4, width), (257, 4, height), (258, 3, values.itemsize * 8), (259, 3, 1), (262, 3, photometric),
        (273, 4, 8), (277, 3, 1), (278, 4, height), (279, 4, values.nbytes), (339, 3, fmt),
    ]  # fmt: skip
    table = struct.pack("<H", len(tags)) + b"".join(
        struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags
    )
    return b"II*\0" + struct.pack("<I", 8 + values.nbytes) + values.tobytes() + table + bytes(4)


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
    palette = Image.new("P", (2, 2), 0)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((1, 1), 1)
    for kind in ("PNG", "GIF"):
        pixels = decode(encoded(palette, kind, transparency=0))
        assert (pixels[0, 0].tolist(), pixels[1, 1].tolist()) == ([255, 255, 255], [0, 0, 255])
    bits = Image.new("1", (2, 2), 0)
    assert decode(encoded(bits, "PNG", transparency=0)).min() == 255
    assert decode(encoded(clear, "PNG")).min() == 255
    assert abs(int(decode(encoded(half, "PNG"))[0, 0, 0]) - 127) <= 1


def test_sixteen_bit_grey_is_scaled_and_not_clipped() -> None:
    values = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16)
    grey = decode(encoded(Image.fromarray(values), "PNG"))[..., 0].reshape(-1)
    assert np.abs(grey.astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize(("colour", "channels"), [(0, 1), (2, 3), (4, 2), (6, 4)])
def test_sixteen_bit_png_of_every_kind(colour: int, channels: int) -> None:
    values = np.zeros((16, 16, channels), np.uint16)
    values[..., : 3 if channels > 2 else 1] = np.linspace(0, 65535, 256).astype(np.uint16).reshape(16, 16, 1)
    if channels in (2, 4):
        values[..., -1] = 65535
    pixels = decode(png(values, colour)).reshape(-1, 3).astype(int)
    assert np.abs(pixels - np.arange(256)[:, None]).max() <= 1


@pytest.mark.parametrize(("colour", "clear"), [(0, (0x1234,)), (2, (0x1234, 0x5678, 0x9ABC))])
def test_transparent_colour_of_a_sixteen_bit_png_is_white(colour: int, clear: tuple[int, ...]) -> None:
    values = np.tile(np.array(clear, np.uint16), (2, 2, 1))
    values[0, 0] = 0
    pixels = decode(png(values, colour, chunk(b"tRNS", struct.pack(f">{len(clear)}H", *clear))))
    assert (pixels[0, 0].max(), pixels[1, 1].min()) == (0, 255)


@pytest.mark.parametrize(
    ("values", "fmt"),
    [
        (np.linspace(0, 1, 256, dtype=np.float32), 3),
        (np.linspace(0, 255, 256, dtype=np.float32), 3),
        (np.linspace(0, 3000, 256, dtype=np.float32), 3),
        (np.linspace(0, 65535, 256).astype(np.uint16), 1),
        (np.linspace(0, 2**30, 256).astype(np.int32), 2),
        (np.arange(256, dtype=np.uint8), 1),
    ],
)
def test_grey_tiff_of_any_depth_is_scaled_and_not_clipped(values: np.ndarray, fmt: int) -> None:
    grey = decode(tiff(values.reshape(16, 16), fmt=fmt))[..., 0].reshape(-1)
    assert np.abs(grey.astype(int) - np.arange(256)).max() <= 1


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff_in_which_white_is_zero(dtype: type) -> None:
    values = np.array([[0, np.iinfo(dtype).max]], dtype)
    assert decode(tiff(values, fmt=1, photometric=0))[0, :, 0].tolist() == [255, 0]


def test_float_tiff_with_holes() -> None:
    values = np.array([[np.nan, np.inf, 0.5, 1.0]], np.float32)
    assert decode(tiff(values, fmt=3))[0, :, 0].tolist() == [0, 0, 128, 255]


def test_avif_is_read_and_turned(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = decode(encoded(photo, "AVIF", quality=95, exif=exif))
    assert pixels.shape == (96, 64, 3)
    assert np.abs(pixels.astype(int) - np.rot90(np.asarray(photo), -1)).mean() < 3


def test_lab_tiff_has_the_colours_it_should() -> None:
    from PIL import ImageCms

    colours = Image.new("RGB", (8, 8), (200, 80, 40))
    to_lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
    lab = ImageCms.applyTransform(colours, to_lab)
    assert lab is not None
    assert np.abs(decode(encoded(lab, "TIFF")).astype(int) - (200, 80, 40)).max() <= 3


def test_cmyk_has_the_colours_it_should() -> None:
    red = Image.new("RGB", (16, 16), (200, 30, 30)).convert("CMYK")
    for kind in ("JPEG", "TIFF"):  # Adobe writes a JPEG's inks inverted, as Pillow does
        assert np.abs(decode(encoded(red, kind)).astype(int) - (200, 30, 30)).max() <= 6


def test_of_several_pictures_the_first_counts(photo: Image.Image) -> None:
    other = Image.new("RGB", photo.size, "blue")
    for kind in ("TIFF", "MPO", "WEBP", "PNG", "AVIF"):
        data = encoded(photo, kind, save_all=True, append_images=[other], **({} if kind == "TIFF" else {"quality": 95}))
        assert np.abs(decode(data).astype(int) - np.asarray(photo)).mean() < 6, kind


def test_damaged_exif_costs_no_picture(photo: Image.Image) -> None:
    data = encoded(photo, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert decode(data).shape == (64, 96, 3)


def test_size_is_of_the_whole_upright_image(photo: Image.Image) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(photo.resize((960, 640)), "JPEG", exif=exif)
    pixels, size = images.decode_sized(data, size_hint=100)
    assert size == (640, 960)
    assert pixels.shape[0] < 960


def test_jpeg_that_ends_early_is_refused_even_with_an_end_marker(photo: Image.Image) -> None:
    data = encoded(photo.resize((960, 640)), "JPEG")
    with pytest.raises(DataError, match="premature end"):
        decode(data[: len(data) // 2] + b"\xff\xd9")


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
    with pytest.raises(DataError, match=r"note\.jpg.*(known format|is empty|damaged)"):
        decode(path)


def test_what_no_decoder_knows_is_said_to_be_no_image() -> None:
    with pytest.raises(DataError, match="known format"):
        decode(b"hello, I am a text")


def test_image_bomb_is_refused_without_unpacking(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    Image.new("1", (20_000, 12_000)).save(path)
    with pytest.raises(DataError, match="pixels"):
        decode(path)


def bombs() -> dict[str, bytes]:
    """Headers of 30,000 x 30,000 pixels (WebP and AVIF cannot say so much) with nothing behind them."""
    edge = 30_000
    jpeg = bytearray(encoded(Image.new("RGB", (16, 16)), "JPEG"))
    start = jpeg.index(b"\xff\xc0") + 5
    jpeg[start : start + 4] = struct.pack(">HH", edge, edge)
    webp = bytearray(encoded(Image.new("RGB", (16, 16)), "WEBP", lossless=True))
    start = webp.index(b"VP8L") + 9
    webp[start : start + 4] = struct.pack("<I", 16_382 | 16_382 << 14)
    tags = [(256, edge), (257, edge), (258, 8), (259, 1), (262, 1), (273, 8), (277, 1), (278, edge), (279, 9)]
    table = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    header = struct.pack(">IIBBBBB", edge, edge, 8, 2, 0, 0, 0)
    frame = struct.pack("<HHHHB", 0, 0, edge, edge, 0) + b"\x02\x02\x44\x01\0;"
    return {
        "png": b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""),
        "jpeg": bytes(jpeg),
        "bmp": b"BM" + struct.pack("<IHHIIiiHH", 54, 0, 0, 54, 40, edge, edge, 1, 24) + bytes(24),
        "gif": b"GIF89a" + struct.pack("<HHBBB", edge, edge, 0x80, 0, 0) + bytes(6) + b"," + frame,
        "tiff": b"II*\0" + struct.pack("<IH", 8, len(tags)) + table + bytes(4),
        "ppm": b"P6 30000 30000 255\n",
        "webp": bytes(webp),
    }


def test_memory_stays_flat_on_huge_headers() -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for kind, data in bombs().items():
        with pytest.raises(DataError, match="million pixels"):
            decode(data, name=kind)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000  # kB


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


def test_the_size_is_read_from_the_header(photo: Image.Image, tmp_path: Path) -> None:
    photo.save(tmp_path / "a.png")
    assert size_of(tmp_path / "a.png") == (96, 64)


def test_hidden_and_foreign_names_are_no_images() -> None:
    names = ["a.JPG", "b.png", ".c.png", "d.txt", "e.eps"]
    assert [is_image_name(name) for name in names] == [True, True, False, False, False]


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "avif", "bmp", "gif", "tif", "ppm"])
def test_an_image_of_every_format_is_told_by_its_content(photo: Image.Image, tmp_path: Path, suffix: str) -> None:
    photo.save(tmp_path / f"a.{suffix}")
    (tmp_path / f"a.{suffix}").rename(tmp_path / "a")
    assert is_image(tmp_path / "a")


@pytest.mark.parametrize(
    "head", [b"", b"BM is a text", b"P1 is one, too", b"\xff\xd8\xff", b"II*\0", b"\0\0\0\x18ftypheic", b"RIFF1234WAVE"]
)
def test_what_only_begins_like_an_image_is_none(tmp_path: Path, head: bytes) -> None:
    (tmp_path / "a").write_bytes(head + bytes(99))
    assert not is_image(tmp_path / "a")


def test_a_fifo_a_folder_and_a_device_are_no_images(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert [is_image(path) for path in (tmp_path / "pipe", tmp_path, "/dev/zero", tmp_path / "absent")] == [False] * 4


HEIC = b"\0\0\0\x18ftypheic" + bytes(99)
STAND_IN = """
from PIL import Image, ImageFile
__version__ = "0.stand-in"
class Heif(ImageFile.ImageFile):
    format = "HEIF"
    def _open(self):
        self._size, self._mode, self.tile = (8, 6), "RGB", []
    def load(self):
        self.im = Image.new("RGB", self.size, "red").im
        return super().load()
def register_heif_opener(**_):
    Image.register_open("HEIF", Heif, lambda head: head[4:12] == b"ftypheic")
"""


def _heif(folder: Path, reader: str, code: str) -> str:
    """What code prints in a process that finds this module as pillow_heif."""
    (folder / "pillow_heif.py").write_text(reader)
    (folder / "a.heic").write_bytes(HEIC)
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); from imgcls_lab.images import *\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_heic_is_read_where_pillow_heif_is_installed(tmp_path: Path) -> None:
    code = (
        f"path = {str(tmp_path / 'a.heic')!r}; print(is_image_name(path), is_image(path), decode(path)[0, 0], DECODER)"
    )
    said = _heif(tmp_path, STAND_IN, code)
    assert said.startswith("True True [255   0   0] Pillow")
    assert said.endswith("pillow-heif 0.stand-in")


def test_heic_is_told_the_remedy_where_it_is_not(tmp_path: Path) -> None:
    code = f"path = {str(tmp_path / 'a.heic')!r}; print(is_image_name(path), is_image(path))\n"
    code += "try: decode(path)\nexcept Exception as error: print(error)"
    said = _heif(tmp_path, "raise ImportError", code)
    assert said.startswith("False False")
    assert "`pip install pillow-heif`" in said


def test_real_heic_is_the_image_that_it_was_made_of(photo: Image.Image, tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    heif.from_pillow(photo).save(tmp_path / "a.heic", quality=95)
    assert is_image(tmp_path / "a.heic")
    assert np.abs(decode(tmp_path / "a.heic").astype(int) - np.asarray(photo)).mean() < 4


def test_decoding_needs_no_torch() -> None:
    code = "import imgcls_lab.images, imgcls_lab.imagefolder, imgcls_lab.engine, sys; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)

"""A data set full of malformed and odd images: the scan ends, names each bad one with its reason, and training runs."""

from __future__ import annotations

import io
import json
import resource
import struct
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.events import RunState, read_events

ODD = 1000
GOOD = 120
Kind = tuple[str, str | None, Callable[[Image.Image], bytes]]  # suffix, a word of the reason (None: readable), content


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def cut(kind: str, share: float = 0.67) -> Callable[[Image.Image], bytes]:
    def make(image: Image.Image) -> bytes:
        data = encoded(image, kind)
        return data[: int(len(data) * share)]

    return make


def cut_and_closed(image: Image.Image) -> bytes:
    return cut("JPEG")(image) + b"\xff\xd9"


def scrambled(image: Image.Image) -> bytes:
    data = bytearray(encoded(image, "PNG"))
    middle = len(data) // 2
    data[middle : middle + 40] = bytes(40)
    return bytes(data)


def huge(_: Image.Image) -> bytes:
    """The header of a PNG of 30,000 x 30,000 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 30_000, 30_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"\x78\x9c") + chunk(b"IEND", b"")


def sixteen_bits(image: Image.Image) -> bytes:
    return encoded(Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257), "PNG")


def rotated(image: Image.Image) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(image, "JPEG", exif=exif)


def animated(image: Image.Image) -> bytes:
    return encoded(image, "GIF", save_all=True, append_images=[image.rotate(90), image.rotate(180)])


KINDS: list[Kind] = [
    (".jpg", "truncated", cut("JPEG")),
    (".jpg", "premature end", cut_and_closed),
    (".png", "damaged", cut("PNG")),
    (".png", "damaged", scrambled),
    (".webp", "damaged", cut("WEBP")),
    (".avif", "damaged", cut("AVIF", 0.95)),
    (".jpg", "empty", lambda image: b""),
    (".jpg", "no image of a known format", lambda image: b"<html>404 Not Found</html>"),
    (".png", "million pixels", huge),
    (".jpg", None, lambda image: encoded(image, "PNG")),  # wrong extension
    (".png", None, lambda image: encoded(image, "JPEG")),
    (".png", None, sixteen_bits),
    (".jpg", None, lambda image: encoded(image.convert("CMYK"), "JPEG")),
    (".jpg", None, rotated),
    (".gif", None, animated),
    (".webp", None, lambda image: encoded(image, "WEBP", save_all=True, append_images=[image.rotate(90)])),
    (".avif", None, lambda image: encoded(image, "AVIF")),
    (".png", None, lambda image: encoded(image.convert("LA"), "PNG")),
    (".tif", None, lambda image: encoded(image.convert("F"), "TIFF")),
    (".png", None, lambda image: encoded(image.resize((3000, 1)), "PNG")),
]  # fmt: skip


def pictures(seed: int) -> Iterator[Image.Image]:
    random = np.random.default_rng(seed)
    while True:
        coarse = Image.fromarray(random.integers(0, 256, (6, 6, 3), dtype=np.uint8))
        yield coarse.resize((64, 48), Image.Resampling.BICUBIC)


def fill(root: Path) -> dict[str, str]:
    """Write the data set; returns path -> a word of the reason of all that no decoder can read."""
    for split in ("train", "val"):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
    source = pictures(0)
    bad = {}
    for number in range(ODD + GOOD):
        suffix, reason, content = KINDS[number % len(KINDS)] if number < ODD else (".png", None, _plain)
        place = f"{'val' if number // 20 % 5 == 4 else 'train'}/{('cat', 'dog')[number // 100 % 2]}"
        path = f"{place}/{number:04d}{suffix}"
        (root / path).write_bytes(content(next(source)))
        if reason:
            bad[path] = reason
    return bad


def _plain(image: Image.Image) -> bytes:
    return encoded(image, "PNG")


def test_a_thousand_malformed_and_odd_images(tmp_path: Path) -> None:
    root, model = tmp_path / "data", tmp_path / "model"
    bad = fill(root)
    model.mkdir()
    (model / "config.json").write_text(
        json.dumps(
            {
                "model_type": "resnet",
                "architectures": ["ResNetForImageClassification"],
                "embedding_size": 8,
                "hidden_sizes": [8, 16, 16, 32],
                "depths": [1, 1, 1, 1],
                "layer_type": "basic",
                "num_channels": 3,
            }
        )
    )
    config = TrainConfig(
        root=str(root),
        model_flavour=str(model),
        load_pretrained=False,
        image_size=32,
        epochs=1,
        batch_size=32,
        augmentation="timm",
        device="cpu",
        precision="fp32",
        threads=1,
        cache="off",
        num_workers=1,
    )
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.monotonic()
    outcome = train(config, tmp_path / "run")
    seconds = time.monotonic() - began
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory) / 1e3
    data = json.loads((tmp_path / "run/manifest.json").read_text())["data"]
    named = data["quarantined"]
    wrong = [(path, named.get(path)) for path, word in bad.items() if word not in named.get(path, "")]
    unnamed = [path for path, reason in named.items() if str(root / path) not in reason]
    used = data["train_images"] + data["val_images"]
    print(
        f"\nodd images {ODD} (target 1,000), unreadable {len(bad)}, named with their reason {len(bad) - len(wrong)} "
        f"(target {len(bad)}), readable images trained and validated on {used} (target {ODD + GOOD - len(bad)})\n"
        f"run {outcome.state.value} (target succeeded) in {seconds:.1f} s; memory grew by {grown:.0f} MB (target < 600)"
    )
    assert wrong == []
    assert unnamed == []
    assert set(named) == set(bad)
    assert used == ODD + GOOD - len(bad)
    assert outcome.state is RunState.SUCCEEDED
    assert grown < 600
    notices = [event.text for event in read_events(tmp_path / "run/events-001.jsonl")[0] if event.type == "notice"]
    assert any(f"{len(bad)} images are left out" in text for text in notices)
    began = time.monotonic()
    again = train(config, tmp_path / "again")
    assert json.loads((again.folder / "manifest.json").read_text())["data"] == data
    print(f"the same again {time.monotonic() - began:.1f} s")

"""JPEG files decoded on the device that trains. No GPU here: the decoder is the CPU's own, and the device the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
import torch
from PIL import Image

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware, train
from imgcls_lab.engine.data.gpu_decode import decode_batches, nvjpeg
from imgcls_lab.engine.data.image_set import ImageSet, Reader
from imgcls_lab.engine.training import build
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError, DataError

from .conftest import curve
from .test_scan import photo

CPU = torch.device("cpu")


class Decoder:
    """Decodes as the CPU does, and remembers how many files it was given."""

    def __init__(self, refuses: bool = False) -> None:
        self.files = 0
        self.refuses = refuses

    def __call__(self, files: list[torch.Tensor]) -> list[torch.Tensor]:
        self.files += len(files)
        if self.refuses:
            raise RuntimeError("Error while decoding JPEG images")
        return [
            torch.from_numpy(simplejpeg.decode_jpeg(file.numpy().tobytes(), "RGB")).movedim(-1, 0) for file in files
        ]


def images_in(root: Path, crop: tuple[int, int] | None) -> ImageSet:
    """A plain JPEG, a grey one, one that EXIF turns, a PNG, and a JPEG of another size."""
    root.mkdir()
    photo(0).save(root / "a.jpg")
    photo(1).convert("L").save(root / "b.jpg")
    turned = Image.Exif()
    turned[0x0112] = 6
    photo(2).resize((80, 40)).save(root / "c.jpg", exif=turned)
    photo(3).save(root / "d.png")
    photo(4).resize((50, 70)).save(root / "e.jpg")
    names = np.array([os.fsencode(path.name) for path in sorted(root.iterdir())], np.bytes_)
    reader = Reader(EvalSpec.default(32), crop, exact=True)
    return ImageSet(root, "train", reader, names, np.zeros(len(names), np.int64))


@pytest.mark.parametrize("crop", [None, (40, 48)])
def test_batches_are_those_of_the_one_decode(tmp_path: Path, crop: tuple[int, int] | None) -> None:
    images = images_in(tmp_path / "photos", crop)
    batches = [np.array([4, 0]), np.array([1, 2, 3]), np.array([0]), np.array([2])]
    decoder = Decoder()
    found = list(decode_batches(CPU, images, batches, decoder))
    for pixels, usual in zip(found, images.batches(batches, 0), strict=True):
        assert torch.equal(pixels, usual)
    assert decoder.files == 4  # neither the PNG nor what EXIF turns


def test_a_batch_that_the_decoder_refuses_goes_the_usual_way(tmp_path: Path) -> None:
    images = images_in(tmp_path / "photos", None)
    batch = [np.array([0, 1, 4])]
    (pixels,) = decode_batches(CPU, images, batch, Decoder(refuses=True))
    assert torch.equal(pixels, next(images.batches(batch, 0)))


def test_a_file_that_has_gone_is_named(tmp_path: Path) -> None:
    images = images_in(tmp_path / "photos", None)
    (tmp_path / "photos/a.jpg").unlink()
    with pytest.raises(DataError, match=r"a\.jpg"):
        list(decode_batches(CPU, images, [np.array([1, 0])], Decoder()))


def test_without_a_gpu_the_setting_is_refused(make_config: Callable[..., TrainConfig], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no GPU"):
        train(make_config(decoder="gpu", device="cpu"), tmp_path / "run")


@pytest.mark.parametrize("cache", ["auto", "ram"])
def test_what_a_gpu_decodes_is_not_cached_so_that_room_for_a_cache_changes_no_bit(
    make_config: Callable[..., TrainConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
) -> None:
    root = tmp_path / "photos"
    for number in range(24):
        folder = root / ("train" if number < 16 else "val") / "ab"[number % 2]
        folder.mkdir(parents=True, exist_ok=True)
        photo(number).save(folder / f"{number}.jpg")
    monkeypatch.setattr(hardware, "pick_device", lambda _config: CPU)
    curves = []
    for kept in (cache, "off"):
        decoder = Decoder()
        monkeypatch.setattr(build, "nvjpeg", lambda _device, decoder=decoder: decoder)
        config = make_config(root=str(root), image_size=32, batch_size=8, decoder="gpu", cache=kept)
        curves.append(curve(train(config, tmp_path / kept).folder))
        assert decoder.files == 2 * 16
    assert curves[0] == curves[1]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_decodes_nearly_as_the_cpu_does(tmp_path: Path) -> None:
    device = torch.device("cuda")
    images = images_in(tmp_path / "photos", 40)
    batch = [np.arange(5)]
    (pixels,) = decode_batches(device, images, batch, nvjpeg(device))
    assert (pixels.cpu().int() - next(images.batches(batch, 0)).int()).abs().float().mean() < 2

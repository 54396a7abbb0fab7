"""The audit's look at files on clean data, with cleanvision beside it: what is found, and how many false alarms."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from acceptance import planted
from audits import photos
from cleanvision import Imagelab
from PIL import Image, ImageEnhance

from imgcls_lab.audits import quality

FALSE_ALARMS = 0.01  # of clean images, at most


def alarms(pictures: list[Image.Image]) -> Counter[str]:
    values = np.stack([quality.measure(np.asarray(picture.convert("RGB"))) for picture in pictures])
    sizes = np.array([picture.size for picture in pictures], np.uint32)
    found = quality.find(values, sizes[:, 0], sizes[:, 1])
    return Counter({kind: len(flagged.rows) for kind, flagged in found.items()})


def digits() -> list[Image.Image]:
    return [image.resize((28, 28)) for image in planted.digits()[0]]


def fashion() -> list[Image.Image]:
    return [Image.fromarray(image) for image in planted.clothes("t10k", 2000)[0]]


@pytest.mark.parametrize("clean", [digits, fashion, lambda: list(photos.crops(80))])
def test_clean_data_give_few_alarms(clean: object, capsys: pytest.CaptureFixture[str]) -> None:
    pictures = clean()  # type: ignore[operator]
    found = alarms(pictures)
    with capsys.disabled():
        print(f"\n{len(pictures)} clean images: {found.total()} alarms, {dict(found)}; at most {FALSE_ALARMS:.0%}")
    assert found.total() <= max(1, FALSE_ALARMS * len(pictures))


def test_cleanvision_finds_the_same_dark_bright_plain_and_long_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures = list(photos.crops(60))
    for place in (3, 13, 23):
        pictures[place] = ImageEnhance.Brightness(pictures[place]).enhance(0.2)
        pictures[place + 1] = Image.eval(pictures[place + 1], lambda value: 247 + value // 32)
        pictures[place + 2] = Image.new("RGB", (112, 112), (90, 40 + place, 200))
        pictures[place + 3] = pictures[place + 3].resize((400, 100))
    for number, picture in enumerate(pictures):
        picture.save(tmp_path / f"{number:03}.png")
    lab = Imagelab(data_path=str(tmp_path))
    lab.find_issues({name: {} for name in ("dark", "light", "low_information", "odd_aspect_ratio")}, n_jobs=1)
    names = {"dark": "dark", "light": "bright", "low_information": "low_information", "odd_aspect_ratio": "odd_shape"}
    values = np.stack([quality.measure(np.asarray(picture)) for picture in pictures])
    sizes = np.array([picture.size for picture in pictures], np.uint32)
    ours = quality.find(values, sizes[:, 0], sizes[:, 1])
    capsys.readouterr()
    for theirs, kind in names.items():
        oracle = {int(Path(path).stem) for path in lab.issues.index[lab.issues[f"is_{theirs}_issue"]]}
        found = set(ours[kind].rows.tolist())  # type: ignore[index]
        with capsys.disabled():
            print(f"\n{kind}: cleanvision {sorted(oracle)}, here {sorted(found)}")
        planted = {place + list(names).index(theirs) for place in (3, 13, 23)}
        assert planted <= found, kind
        faulty = {place + fault for place in (3, 13, 23) for fault in range(4)}
        assert found <= oracle | faulty, kind  # an image must also stand out here: clean ones are never more

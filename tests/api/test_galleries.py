"""What a notebook shows of images: one small picture that stays in the file, whatever became of the images."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import nbformat
import numpy as np
import pytest
from nbconvert import HTMLExporter
from PIL import Image

from imgcls_lab.api import galleries
from imgcls_lab.api.evaluations import ConfusionMatrix, Images, Reliability
from imgcls_lab.api.galleries import IMAGES_TYPE, Origin
from imgcls_lab.api.predicted import Predictions
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.schemas import ClassProb, EvaluatedQuery, ImagePrediction
from imgcls_lab.widgets.picture_table import MAX_BYTES, MOST, Tile, picture_table
from imgcls_lab.widgets.widget_output import KERNEL_TYPE, WIDGET_TYPE
from tests.analysis.made import MadeRun, made

NAMES = [f"val/{'cat' if number % 2 else 'dog'}/{number}.png" for number in range(24)]


@pytest.fixture
def folder(tmp_path: Path, home: Path) -> RunFolder:
    """A run that evaluated 24 images of one colour each."""
    root, run = tmp_path / "images", tmp_path / "20260101-000000-aaaaaa"
    for number, name in enumerate(NAMES):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (200, 150), (10 * number, 0, 200)).save(root / name)
    labels, probs = made(len(NAMES), 2, sure=0)
    MadeRun(run, ["cat", "dog"]).write(labels, probs, names=NAMES, all_probs=True)
    keep_digests(run, root)
    (run / "config.json").write_text(json.dumps({"root": str(root), "model_flavour": "x"}))
    return RunFolder(run)


def keep_digests(run: Path, root: Path) -> None:
    """Name the images by what their files hold, as a run does."""
    path = run / "predictions/val-images.npz"
    with np.load(path) as held:
        arrays = dict(held)
    joined = b"".join(
        hashlib.sha256((root / os.fsdecode(bytes(name))).read_bytes()).digest() for name in arrays["paths"]
    )
    np.savez_compressed(path, **arrays | {"digests": np.frombuffer(joined, np.uint8).reshape(-1, 32)})


def images_of(folder: RunFolder) -> Images:
    page = folder.evaluated(EvaluatedQuery(limit=100))
    return Images("24 images", page.items, page.total, Origin(folder.image_file, {"kind": "run", "id": folder.run_id}))


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/webp;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB") for text in found]


def test_images_are_small_pictures_that_a_saved_notebook_keeps(folder: RunFolder) -> None:
    images = images_of(folder)
    bundle = images._repr_mimebundle_()
    shown = pictures(bundle["text/html"])
    assert {picture.size for picture in shown} == {(96, 72)}
    assert all(picture.getpixel((50, 40))[2] > 150 for picture in shown)  # type: ignore[index]
    output = {"output_type": "display_data", "data": bundle, "metadata": {}}
    cell = {"cell_type": "code", "id": "a", "source": "", "metadata": {}, "execution_count": 1, "outputs": [output]}
    notebook = nbformat.from_dict({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})  # type: ignore[no-untyped-call]
    page, _ = HTMLExporter().from_notebook_node(notebook)  # type: ignore[no-untyped-call]
    assert len(pictures(page)) == len(images.frame) == len(NAMES)
    assert IMAGES_TYPE not in bundle  # here is no notebook


def test_a_live_notebook_gets_a_gallery(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries, "in_notebook", lambda: True)
    bundle = images_of(folder)._repr_mimebundle_()
    data = bundle[IMAGES_TYPE]
    assert (data["of"], data["total"]) == ({"kind": "run", "id": folder.run_id}, len(NAMES))
    assert {item["name"] for item in data["items"]} == {*NAMES}
    assert {"text/html", "text/plain"} < set(bundle)
    assert KERNEL_TYPE not in bundle


def test_a_gallery_that_no_server_knows_says_that_it_has_its_kernel_alone(
    folder: RunFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(galleries, "in_notebook", lambda: True)
    monkeypatch.setattr(galleries, "front_end_shows", lambda: True)
    images = images_of(folder)
    images.origin = Origin(images.origin.find)
    bundle = images._repr_mimebundle_()
    assert IMAGES_TYPE not in bundle
    assert {KERNEL_TYPE, WIDGET_TYPE, "text/html"} <= set(bundle)


def test_an_image_that_is_gone_or_replaced_is_a_field_without_picture(folder: RunFolder) -> None:
    root = Path(folder.config["root"])
    for name in NAMES[1:]:
        (root / name).unlink()
    page = images_of(folder)._repr_mimebundle_()["text/html"]
    assert (len(pictures(page)), page.count("<td")) == (1, len(NAMES))


def test_many_noisy_images_still_fit_and_captions_have_the_letters_of_all_languages() -> None:
    random = np.random.default_rng(0)
    tiles = [Tile(random.integers(0, 256, (96, 96, 3), np.uint8), "a/<b>.png", [("猫", None), ("→ кот", False)])] * 41
    page = picture_table(tiles, "кошки & 猫")
    found = re.findall(r'base64,([^"]+)"', page)
    assert (len(found), page.count("猫")) == (MOST, MOST + 1)
    assert sum(len(base64.b64decode(text)) for text in found) <= MAX_BYTES
    assert "&lt;b&gt;" in page


def test_confusion_and_reliability_are_drawings(folder: RunFolder) -> None:
    view = folder.evaluation()
    matrix = ConfusionMatrix(view)._repr_mimebundle_()["image/svg+xml"]
    drawn = [int(text.text or 0) for text in ET.fromstring(matrix).iter() if (text.text or "").isdigit()]
    assert sum(drawn) == len(NAMES)
    ET.fromstring(Reliability(view)._repr_mimebundle_()["image/svg+xml"])


def test_predictions_are_a_list_with_pictures(folder: RunFolder) -> None:
    known = os.path.join(folder.config["root"], NAMES[0])
    items = [
        ImagePrediction(path=known, classes=[ClassProb(name="кот", prob=0.97), ClassProb(name="dog", prob=0.03)]),
        ImagePrediction(path="/nowhere/x.png", classes=[], error="“x.png” is not there."),
        ImagePrediction(path=known, classes=[ClassProb(name="dog", prob=0.4)], abstains=True),
    ]
    answers = Predictions("digits #1", items)
    assert (len(answers), answers[0].path, [item.abstains for item in answers]) == (3, known, [False, False, True])
    page = answers._repr_mimebundle_()["text/html"]
    assert (len(pictures(page)), "кот 97 %" in page, "is not there" in page, "abstains" in page) == (
        2,
        True,
        True,
        True,
    )
    assert answers.frame["predicted"].dropna().tolist() == ["кот", "dog"]
    assert answers.frame["top"][0] == {"кот": 0.97, "dog": 0.03}

"""Six causes for which the steps of a run come out otherwise, planted between the run and its verification."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import imgcls_lab
from imgcls_lab.config import TrainConfig
from imgcls_lab.schemas import Certificate

CAUSES = {
    "seed": ("config", "seed is 1 and was 0"),
    "precision": ("precision", "precision is bf16 and was fp32"),
    "threads": ("threads", "threads is 2 and was 1"),
    "image": ("data", "“train/digit-0/000.png” is another image than the run saw"),
    "code": ("code", "imgcls_lab/engine/optim/losses.py was edited since"),
    "package": ("package", "factor-of-loss is 2.0 and was 1.0"),
}
LOSS = """
from factor_of_loss import FACTOR

from imgcls_lab.plugins import LOSSES

plain = LOSSES.get("cross_entropy")
LOSSES.register("mine")(lambda *given: FACTOR * plain(*given))
"""
EDIT = """

_made = make_loss


def make_loss(*given):
    loss = _made(*given)
    return lambda logits, target: 1.01 * loss(logits, target)
"""


def _changed(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


class Planted:
    """What a test changes between a run and its verification."""

    def __init__(self, place: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """place: a folder of the test; data: its data set, which may be changed."""
        self.run, self.data, self.patch, self.place = place / "run", data, monkeypatch, place

    def config(self, make: Callable[..., TrainConfig], name: str, vit: Path) -> TrainConfig:
        """Of the run in which that cause is to be planted. vit: a model that bf16 suits."""
        changes: dict[str, Any] = {"log_every": 1}
        if name == "precision":
            changes |= {"model_flavour": str(vit), "load_pretrained": True}
        if name == "package":
            (self.place / "mine.py").write_text(LOSS)
            self._write_package("1.0", 1.0)
            self.patch.syspath_prepend(self.place / "packages")
            changes |= {"plugins": [str(self.place / "mine.py")], "loss": "mine"}
        return make(root=str(self.data), epochs=1, **changes)

    def plant(self, name: str) -> None:
        """Change something of the run, its data or what its repetition executes. name: a key of CAUSES."""
        getattr(self, f"_{name}")()

    @staticmethod
    def is_named(name: str, found: Certificate) -> bool:
        """Whether a certificate names this cause first, and no other one."""
        kind, text = CAUSES[name]
        (first, *others) = found.differences
        return first.kind == kind and text in first.text and not others and text in found.sentence

    def _seed(self) -> None:
        _changed(self.run / "config.json", seed=1)

    def _precision(self) -> None:
        _changed(self.run / "config.json", precision="bf16")

    def _threads(self) -> None:
        _changed(self.run / "config.json", threads=2)

    def _image(self) -> None:
        Image.new("RGB", (16, 16)).save(self.data / "train/digit-0/000.png")

    def _code(self) -> None:
        package = Path(imgcls_lab.__file__).parent
        copy = self.place / "edited" / package.name
        shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__", "labextension", "node_modules"))
        losses = copy / "engine/optim/losses.py"
        losses.write_text(losses.read_text() + EDIT)
        self._search_first(copy.parent)

    def _package(self) -> None:
        """Another version of a package that a loss of the user's uses."""
        self._write_package("2.0", 1.02)

    def _write_package(self, version: str, factor: float) -> None:
        place = self.place / "packages"
        shutil.rmtree(place, ignore_errors=True)
        (place / f"factor_of_loss-{version}.dist-info").mkdir(parents=True)
        (place / f"factor_of_loss-{version}.dist-info/METADATA").write_text(
            f"Metadata-Version: 2.1\nName: factor-of-loss\nVersion: {version}\n"
        )
        (place / "factor_of_loss.py").write_text(f"FACTOR = {factor}\n")
        self._search_first(place)

    def _search_first(self, place: Path) -> None:
        self.patch.chdir(self.place)  # `python -m` looks there first
        self.patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(place), os.environ.get("PYTHONPATH")])))

"""The demo data: real handwritten digits as a folder of images, a tiny model, and a config that trains in a minute.

Called by `lab.demo`, `imgcls-lab demo` and the server's demo route; it needs no network and trains nothing. It writes
each folder under a temporary name and renames it, so that nobody finds a half-written one. A second call changes
nothing.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConflictError
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.run_layout import write_atomic
from imgcls_lab.schemas import ConfigEdit, DatasetEdit, ModelEdit
from imgcls_lab.settings import Settings

if TYPE_CHECKING:
    from imgcls_lab.store import Store

DATASET = "digits"
MODEL = "tiny-resnet"
CONFIG = "digits demo"
EDGE = 32  # px; the originals are 8 x 8
CLASSES = tuple("0123456789")
FRACTIONS = {"val": 0.15, "test": 0.15}  # of each class; the rest is train
SEED = 20260
RECIPE: dict[str, Any] = {
    "augmentation": "light", "hflip": False, "epochs": 8, "batch_size": 64, "lr": 1e-3, "warmup_epochs": 0.5,
}  # fmt: skip

# transformers' ResNetConfig as plain JSON, so that writing it needs no torch: four stages, a basic block each.
TINY_RESNET = {
    "model_type": "resnet",
    "architectures": ["ResNetForImageClassification"],
    "num_channels": 3,
    "embedding_size": 32,
    "hidden_sizes": [32, 64, 128, 256],
    "depths": [1, 1, 1, 1],
    "layer_type": "basic",
    "hidden_act": "relu",
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}


class DemoFiles(NamedTuple):
    """Where the demo lies: the images, the model's folder, and the config that trains one on the other."""

    root: Path
    model: Path
    config: TrainConfig


class Entry(NamedTuple):
    """Name and description of an entry of a registry."""

    name: str
    description: str


def prepare(settings: Settings, store: Store | None = None) -> DemoFiles:
    """Write the demo's images and model where they are missing, and register them if a store is given.

    Raises ConflictError if another folder has the name.
    """
    settings.make_home()
    root = Path(settings.datasets_dir).expanduser().absolute() / DATASET
    model = settings.models_dir / MODEL
    _write_images(root)
    write_model(model, TINY_RESNET)
    files = DemoFiles(root, model, demo_config(root, model))
    if store is not None:
        register(
            files,
            store,
            data=Entry(DATASET, "1,797 handwritten digits of scikit-learn."),
            model=Entry(MODEL, "A ResNet of four small blocks, from random weights."),
            config=Entry(CONFIG, "The digits, on a CPU in about a minute."),
        )
    return files


def demo_config(root: Path, model: Path) -> TrainConfig:
    """The config of the demo. Digits have a left and a right, so they are not mirrored."""
    return TrainConfig(root=str(root), model_flavour=str(model), load_pretrained=False, image_size=EDGE, **RECIPE)


def _write_images(root: Path) -> None:
    """scikit-learn's 1,797 digits as ROOT/{train,val,test}/DIGIT/*.png, split class by class with a fixed seed."""
    if root.exists():
        found = inspect_folder(root)
        if found.problem or tuple(found.classes) != CLASSES:
            raise ConflictError(
                f"“{root}” is there but does not hold the demo's digits. Move it away, or name another folder "
                "in DATASETS_DIR."
            )
        return
    import numpy as np
    from PIL import Image
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)  # 0..16 -> 0..255
    random = np.random.default_rng(SEED)
    temporary = Path(tempfile.mkdtemp(prefix=f".{DATASET}-", dir=root.parent))
    try:
        for label, name in enumerate(CLASSES):
            order = random.permutation(np.flatnonzero(digits.target == label))
            start = 0
            for split, fraction in (*FRACTIONS.items(), ("train", 1.0)):
                end = len(order) if split == "train" else start + round(len(order) * fraction)
                folder = temporary / split / name
                folder.mkdir(parents=True)
                for index in order[start:end]:
                    picture = Image.fromarray(images[index]).resize((EDGE, EDGE), Image.Resampling.BILINEAR)
                    picture.save(folder / f"{index:04d}.png")
                start = end
        publish(temporary, root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_model(folder: Path, config: dict[str, Any]) -> None:
    """Write a model's folder that holds its config.json alone, unless it is there."""
    if (folder / "config.json").exists():
        return
    temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        write_atomic(temporary / "config.json", json.dumps(config, indent=2) + "\n")
        publish(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def publish(temporary: Path, folder: Path) -> None:
    """Give a finished folder its name. Whoever did the same a moment earlier has won, with the same content."""
    try:
        os.rename(temporary, folder)
    except OSError:
        if not folder.is_dir():
            raise


def register(files: DemoFiles, store: Store, *, data: Entry, model: Entry, config: Entry) -> None:
    """Register what is not registered yet; an entry of that name that a user has changed is left as it is."""
    if store.datasets.named(data.name) is None:
        store.datasets.add(DatasetEdit(root=str(files.root), **data._asdict()))
    if store.models.named(model.name) is None:
        store.models.add(ModelEdit(flavour=str(files.model), load_pretrained=False, **model._asdict()))
    if store.configs.named(config.name) is None:
        store.configs.add(ConfigEdit(config=files.config.model_dump(mode="json"), **config._asdict()))

"""Fashion-MNIST as a folder of images, a small ResNet, and a recipe that trains it on a two-core CPU.

Called by `imgcls-lab demo --data fashion-mnist` and by benchmarks. Reads the IDX files of Debian's package
dataset-fashion-mnist (or a folder of the same files); needs no network. Doing it twice changes nothing.
"""

from __future__ import annotations

import gzip
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from imgcls_lab.config import TrainConfig
from imgcls_lab.demo_data import DemoFiles, Entry, publish, register, write_model
from imgcls_lab.errors import ConflictError, DataError
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.settings import Settings

if TYPE_CHECKING:
    from imgcls_lab.store import Store

NAME = "fashion-mnist"
MODEL = "small-resnet"
SOURCE = Path("/usr/share/datasets/fashion-mnist")
CLASSES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle-boot")
HELD_OUT = 500  # of the 6,000 training images of each class, the last ones: val/
PARTS = {"train": "train", "val": "train", "test": "t10k"}

# A ResNet-18 of half the width, as transformers' ResNetConfig.
SMALL_RESNET = {
    "model_type": "resnet",
    "architectures": ["ResNetForImageClassification"],
    "num_channels": 3,
    "embedding_size": 32,
    "hidden_sizes": [32, 64, 128, 256],
    "depths": [2, 2, 2, 2],
    "layer_type": "basic",
    "hidden_act": "relu",
    "downsample_in_first_stage": False,
    "downsample_in_bottleneck": False,
}

# At 64 px the net's first stage has 16 x 16 cells, at the 28 px of the images 7 x 7.
RECIPE: dict[str, Any] = {
    "load_pretrained": False, "image_size": 64, "augmentation": "light", "epochs": 24, "batch_size": 128, "lr": 2e-3,
    "warmup_epochs": 1, "label_smoothing": 0.1, "ema_decay": 0.999, "log_every": 20, "threads": 2,
}  # fmt: skip


def available(source: Path | None = None) -> bool:
    """Whether the files of the data set are there."""
    return ((source or SOURCE) / "train-images-idx3-ubyte.gz").exists()


def prepare(settings: Settings, store: Store | None = None, source: Path | None = None) -> DemoFiles:
    """Write images and model where they are missing, and register them if a store is given.

    Raises DataError if the files of the data set are missing, ConflictError if another folder has the name.
    """
    settings.make_home()
    root = Path(settings.datasets_dir).expanduser().absolute() / NAME
    model = settings.models_dir / MODEL
    if root.exists():
        found = inspect_folder(root)
        if found.problem or set(found.classes) != set(CLASSES):
            raise ConflictError(f"“{root}” is there but does not hold Fashion-MNIST. Move it away.")
    else:
        write(root, source=source)
    write_model(model, SMALL_RESNET)
    files = DemoFiles(root, model, recipe(root, model))
    if store is not None:
        register(
            files,
            store,
            data=Entry(NAME, "70,000 pictures of clothes, 28 px; 5,000 of the training images are val/."),
            model=Entry(MODEL, "A ResNet-18 of half the width, from random weights."),
            config=Entry(NAME, "Fashion-MNIST on a two-core CPU."),
        )
    return files


def recipe(root: Path, model: Path) -> TrainConfig:
    """The shipped recipe, for two cores. tests/acceptance/test_engine_accuracy.py trains it and prints its accuracy."""
    return TrainConfig(root=str(root), model_flavour=str(model), **RECIPE)


def write(root: Path, *, train: int | None = None, test: int | None = None, source: Path | None = None) -> Path:
    """Write root/{train,val,test}/CLASS/*.png; of train and test all, or the first so many. Raises DataError.

    A limited train/ has no val/: there is too little to hold out of it by number.
    """
    source = source or SOURCE
    if not available(source):
        raise DataError(
            f"The files of Fashion-MNIST are not in “{source}”. Install Debian's package dataset-fashion-mnist, or "
            "copy the four files *-ubyte.gz there."
        )
    root.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        for part in ("train", "t10k"):
            images, labels = _read(source, part)
            for label, name in enumerate(CLASSES):
                members = np.flatnonzero(labels == label)
                for split, chosen in _splits(part, members, train, test).items():
                    _write_class(temporary / split / name, images, chosen)
        publish(temporary, root)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return root


def _splits(
    part: str, members: npt.NDArray[np.int64], train: int | None, test: int | None
) -> dict[str, npt.NDArray[np.int64]]:
    if part == "t10k":
        return {"test": members if test is None else members[: test // len(CLASSES)]}
    if train is not None:
        return {"train": members[: train // len(CLASSES)]}
    return {"train": members[:-HELD_OUT], "val": members[-HELD_OUT:]}


def _read(source: Path, part: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Images uint8 (n, 28, 28) and labels uint8 (n,) of `train` or `t10k`."""
    with gzip.open(source / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 28, 28)
    with gzip.open(source / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8)
    return images, labels


def _write_class(folder: Path, images: npt.NDArray[np.uint8], chosen: npt.NDArray[np.int64]) -> None:
    from PIL import Image

    folder.mkdir(parents=True)
    for index in chosen:
        Image.fromarray(images[index]).save(folder / f"{index:05d}.png", compress_level=1)

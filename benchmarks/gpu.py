"""Training on a GPU: EfficientNet-Lite0 and ViT-tiny at 224 px against the bare step and transformers' Trainer.

Images lie in the cache; a GPU's ideal is the slower of step and loader, for they overlap.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch

from benchmarks import peers
from benchmarks.frame import Line, reported
from benchmarks.ours import Ours
from benchmarks.photos import NAMES, SIZE, VIT_TINY, write_photos
from benchmarks.timing import best, in_turn
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model.pretrained_packages import efficientnet_lite0

BATCH, WORKERS = 128, 8


def measure(folder: Path, quick: bool) -> list[Line]:
    if not torch.cuda.is_available():
        return [Line("loop / ideal on a GPU", 0.95, None, "", "at least", "this machine has no GPU that torch can use")]
    root = write_photos(folder / "photos", 256 if quick else 1024)
    vit = folder / "vit-tiny"
    vit.mkdir()
    (vit / "config.json").write_text(json.dumps(VIT_TINY))
    lite = efficientnet_lite0(folder / "efficientnet-lite0")
    return [*_one("EfficientNet-Lite0", lite, root, folder), *_one("ViT-tiny", vit, root, folder)]


def _one(name: str, model: Path, root: Path, folder: Path) -> list[Line]:
    config = TrainConfig(
        root=str(root), model_flavour=str(model), load_pretrained=False, image_size=SIZE, batch_size=BATCH, lr=1e-4,
        augmentation="standard", epochs=1000, device="cuda",
    )  # fmt: skip
    ours = Ours(config, folder, f"gpu-{model.name}")
    count = len(ours.run.data.train)
    data = peers.Dicts(root / "train", peers.training_transform(SIZE))

    def trainer() -> float:
        network = peers.model_of(model, len(NAMES))
        took, _ = peers.trainer_epochs(
            network, data, folder / "peer", batch=BATCH, epochs=2, bf16=True, workers=WORKERS
        )
        return took[1]

    steps = count // BATCH
    ours.epoch()  # the first one allocates, and tunes convolutions
    found = in_turn(
        {"bare": lambda: ours.bare(steps), "ours": ours.epoch, "loading": ours.loading, "trainer": trainer}, 3
    )
    speed = {key: count / best(times) for key, times in found.items()}
    speed["bare"] = steps * BATCH / best(found["bare"])
    ours.close()
    return [
        Line(
            f"{name} on a GPU, loop / ideal", 0.95, speed["ours"] / min(speed["bare"], speed["loading"]), "", "at least"
        ),
        reported(f"{name} on a GPU, loop / Trainer with bf16", speed["ours"] / speed["trainer"], ""),
        *(reported(f"{name} on a GPU, {key}", value, "images/s") for key, value in speed.items()),
    ]

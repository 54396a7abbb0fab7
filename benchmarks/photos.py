"""Photographs: crops of real ones as 500 x 375 JPEG, trained at 224 px with the standard augmentation.

EfficientNet-Lite0 and ViT-tiny against the bare step, the ideal of a processor that also decodes, and transformers'
Trainer at its defaults and, where the processor has it, with bf16.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from skimage import data as pictures

from benchmarks import peers
from benchmarks.frame import Line, reported
from benchmarks.ours import Ours
from benchmarks.timing import best, in_turn
from imgcls_lab.config import TrainConfig
from imgcls_lab.cpu import bf16_unit
from imgcls_lab.engine.model.pretrained_packages import efficientnet_lite0

NAMES = ("chelsea", "coffee", "rocket", "astronaut")
BATCH, SIZE = 16, 224
VIT_TINY = {
    "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 192, "num_hidden_layers": 12,
    "num_attention_heads": 3, "intermediate_size": 768, "image_size": SIZE, "patch_size": 16,
}  # fmt: skip


def write_photos(root: Path, count: int, size: tuple[int, int] = (500, 375), val: int = 2) -> Path:
    """`count` crops of each photograph under root/train, `val` of each under root/val."""
    random = np.random.default_rng(0)
    for name in NAMES:
        whole = Image.fromarray(getattr(pictures, name)()).convert("RGB")
        for number in range(count + val):
            folder = root / ("train" if number < count else "val") / name
            folder.mkdir(parents=True, exist_ok=True)
            share = random.uniform(0.5, 0.95)
            width, height = int(whole.width * share), int(whole.height * share)
            left = int(random.integers(0, whole.width - width))
            top = int(random.integers(0, whole.height - height))
            crop = whole.crop((left, top, left + width, top + height)).resize(size, Image.Resampling.BICUBIC)
            crop.save(folder / f"{number:04d}.jpg", quality=90)
    return root


def measure(folder: Path, quick: bool) -> list[Line]:
    root = write_photos(folder / "photos", 12 if quick else 32)
    vit = folder / "vit-tiny"
    vit.mkdir()
    (vit / "config.json").write_text(json.dumps(VIT_TINY))
    lines = []
    if not quick:
        lite = efficientnet_lite0(folder / "efficientnet-lite0")
        lines += _one("EfficientNet-Lite0", lite, root, folder, pretrained=True, target=1.9, rounds=3)
    return lines + _one("ViT-tiny", vit, root, folder, pretrained=False, target=1.3, rounds=2 if quick else 3)


def _one(
    name: str, model: Path, root: Path, folder: Path, *, pretrained: bool, target: float, rounds: int
) -> list[Line]:
    config = TrainConfig(
        root=str(root), model_flavour=str(model), load_pretrained=pretrained, image_size=SIZE, batch_size=BATCH,
        lr=1e-4, augmentation="standard", epochs=1000,
    )  # fmt: skip
    ours = Ours(config, folder, f"run-{model.name}")
    count = len(ours.run.data.train)
    steps = count // BATCH
    data = peers.Dicts(root / "train", peers.training_transform(SIZE))

    def trainer(bf16: bool, workers: int) -> Callable[[], float]:
        def run() -> float:
            network: Any = peers.model_of(model, len(NAMES), pretrained)
            return peers.trainer_epochs(
                network, data, folder / "peer", batch=BATCH, epochs=1, bf16=bf16, workers=workers
            )[0][0]

        return run

    has_bf16 = bf16_unit() is not None
    workers = min((0, 1), key=lambda number: trainer(has_bf16, number)())
    contestants = {
        "bare": lambda: ours.bare(steps),
        "ours": ours.epoch,
        "loading": ours.loading,
        "fp32": trainer(False, workers),
    }
    if has_bf16:
        contestants["bf16"] = trainer(True, workers)
    found = in_turn(contestants, rounds)
    speed = {key: count / best(times) for key, times in found.items()}
    speed["bare"] = steps * BATCH / best(found["bare"])
    ideal = 1 / (1 / speed["bare"] + 1 / speed["loading"])
    ours.close()
    lines = [
        Line(f"{name}, 224 px, loop / ideal", 0.95, speed["ours"] / ideal, "", "at least"),
        Line(
            f"{name}, 224 px, loop / Trainer at its defaults",
            target if has_bf16 else 1,
            speed["ours"] / speed["fp32"],
            "",
            "at least",
        ),
        reported(f"{name}, loop", speed["ours"], "images/s", f"{ours.run.compute.precision}"),
        reported(f"{name}, bare step", speed["bare"], "images/s"),
        reported(f"{name}, batches alone", speed["loading"], "images/s"),
        reported(f"{name}, Trainer", speed["fp32"], "images/s", f"{workers} workers"),
    ]
    if has_bf16:
        lines += [
            Line(f"{name}, 224 px, loop / Trainer with bf16", 1, speed["ours"] / speed["bf16"], "", "at least"),
            reported(f"{name}, Trainer, bf16", speed["bf16"], "images/s", f"{workers} workers"),
        ]
    return lines

"""A frozen backbone, 20 epochs of EfficientNet-Lite0 at 224 px: features computed once against transformers' Trainer.

Both see the images as the model's own processor makes them, without augmentation, train the head alone and validate
after each epoch. Ours is the whole run, from the scan to the last checkpoint. Then both heads, as their last epoch left
them, are compared on images that neither has seen, enough of them to tell half a point.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification

from benchmarks import peers
from benchmarks.frame import Line, reported
from benchmarks.timing import seconds
from imgcls_lab import fashion_mnist
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.model.head_model import HeadModel
from imgcls_lab.engine.model.pretrained_packages import efficientnet_lite0
from imgcls_lab.engine.model.structure import head_of

BATCH, SIZE, LR, OTHERS = 32, 224, 3e-3, 3000
CHUNK = 50


def measure(folder: Path, quick: bool) -> list[Line]:
    epochs, images = (8, 100) if quick else (20, 500)
    root = fashion_mnist.write(folder / "fashion", train=images, test=images)
    (root / "test").rename(root / "val")
    model = efficientnet_lite0(folder / "efficientnet-lite0")
    config = TrainConfig(
        root=str(root), model_flavour=str(model), image_size=SIZE, batch_size=BATCH, lr=LR, epochs=epochs,
        freeze_backbone=True, augmentation="none", schedule="linear", warmup_epochs=0, weight_decay=0,
    )  # fmt: skip
    ours = seconds(lambda: train(config, folder / "run"))

    network = peers.model_of(model, len(fashion_mnist.CLASSES), pretrained=True)
    _freeze(network)
    processor: Any = AutoImageProcessor
    transform = processor.from_pretrained(model).val_transforms
    data = [peers.Dicts(root / split, transform) for split in ("train", "val")]
    theirs = seconds(
        lambda: peers.trainer_epochs(
            network, data[0], folder / "peer", batch=BATCH, epochs=epochs, workers=1, lr=LR, val=data[1]
        )
    )
    lines = [
        Line(f"frozen backbone, {epochs} epochs, Trainer's time / ours", 0.75 * epochs, theirs / ours, "", "at least"),
        reported("frozen backbone, ours", ours, "s"),
        reported("frozen backbone, Trainer", theirs, "s"),
    ]  # fmt: skip
    if quick:  # a hundred images teach each head something else
        return lines
    fashion_mnist.write(folder / "others", train=0, test=images + OTHERS)
    last = AutoModelForImageClassification.from_pretrained(folder / "run" / "checkpoints" / "last")
    ours_right, theirs_right = _accuracies([last, network], peers.Dicts(folder / "others" / "test", transform))
    what = f"frozen backbone, accuracy on {OTHERS:,} other images, distance to the Trainer's"
    note = f"{ours_right:.1%}, Trainer {theirs_right:.1%}"
    return [*lines, Line(what, 0.5, 100 * abs(ours_right - theirs_right), "points", note=note)]


def _freeze(network: nn.Module) -> None:
    """As a frozen backbone is to be: its batch norms keep the statistics that they were trained with, too."""
    network.requires_grad_(False)
    for head in head_of(network):
        head.requires_grad_(True)
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            _stay_as_trained(module)


def _stay_as_trained(module: Any) -> None:
    module.eval()
    module.train = lambda _mode=True: module  # the Trainer calls train() on the whole model


@torch.no_grad()
def _accuracies(networks: list[nn.Module], data: peers.Dicts) -> list[float]:
    """Of models that differ in their heads alone, on the last OTHERS / classes images of each class."""
    heads = [HeadModel(network.eval()) for network in networks]
    right, each = [0] * len(networks), OTHERS // len(fashion_mnist.CLASSES)
    of_class = len(data) // len(fashion_mnist.CLASSES)
    chosen = [place for place in range(len(data)) if place % of_class >= of_class - each]
    for start in range(0, len(chosen), CHUNK):
        items = [data[place] for place in chosen[start : start + CHUNK]]
        labels = torch.tensor([item["labels"] for item in items])
        features = heads[0].features(networks[0], torch.stack([item["pixel_values"] for item in items]))
        for place, head in enumerate(heads):
            right[place] += int((head(features).logits.argmax(1) == labels).sum())
    return [count / len(chosen) for count in right]

"""A frozen backbone, 20 epochs of EfficientNet-Lite0 at 224 px: features computed once against transformers' Trainer.

Both see the images without augmentation, train the head alone and validate after each epoch. Ours is the whole run,
from the scan to the last checkpoint.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from benchmarks import peers
from benchmarks.frame import Line, told
from benchmarks.timing import seconds
from imgcls_lab import fashion
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.layers import head_of
from imgcls_lab.engine.pretrained import efficientnet_lite0

BATCH, SIZE, LR = 32, 224, 3e-3


def measure(folder: Path, quick: bool) -> list[Line]:
    epochs, images = (8, 100) if quick else (20, 500)
    root = fashion.write(folder / "fashion", train=images, test=images)
    (root / "test").rename(root / "val")
    model = efficientnet_lite0(folder / "efficientnet-lite0")
    config = TrainConfig(
        root=str(root), model_flavour=str(model), image_size=SIZE, batch_size=BATCH, lr=LR, epochs=epochs,
        freeze_backbone=True, augmentation="none", schedule="linear", warmup_epochs=0, weight_decay=0,
    )  # fmt: skip
    outcomes: list[Outcome] = []
    ours = seconds(lambda: outcomes.append(train(config, folder / "run")))

    network = peers.model_of(model, len(fashion.CLASSES), pretrained=True)
    _freeze(network)
    data = [peers.Dicts(root / split, peers.training_transform(SIZE, crops=False)) for split in ("train", "val")]
    reached = 0.0

    def trainer() -> None:
        nonlocal reached
        reached = peers.trainer_epochs(
            network, data[0], folder / "peer", batch=BATCH, epochs=epochs, workers=1, lr=LR, val=data[1]
        )[1]

    theirs = seconds(trainer)
    accuracy = outcomes[0].values["metric/accuracy"]
    return [
        Line(f"frozen backbone, {epochs} epochs, Trainer's time / ours", 15, theirs / ours, "", "at least"),
        Line("frozen backbone, accuracy below the Trainer's", 0.5, 100 * (reached - accuracy), "points"),
        told("frozen backbone, ours", ours, "s", f"accuracy {accuracy:.1%}"),
        told("frozen backbone, Trainer", theirs, "s", f"accuracy {reached:.1%}"),
    ]


def _freeze(network: nn.Module) -> None:
    network.requires_grad_(False)
    for head in head_of(network):
        head.requires_grad_(True)

"""Small images: a tiny ResNet on Fashion-MNIST as PNG files, 28 px, batch 128, crop and flip.

Steps of a steady epoch against the bare step on a batch in memory, twenty and twenty in turn: a difference of a few
hundredths is less than what a shared machine's speed changes from one ten seconds to the next. Whole steady epochs
against transformers' Trainer and timm; the first epoch, decoding and building the cache, against the Trainer's. The
page cache is warm for all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks import peers
from benchmarks.frame import Line, told
from benchmarks.ours import Ours
from benchmarks.timing import best, in_turn
from imgcls_lab import fashion
from imgcls_lab.config import TrainConfig

BATCH, SIZE = 128, 28
EACH = 20  # steps
TINY = {**fashion.SMALL_RESNET, "hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 1, 1]}


def measure(folder: Path, quick: bool) -> list[Line]:
    images, rounds = (2_560, 2) if quick else (12_800, 3)
    root = fashion.write(folder / "fashion", train=images, test=1000)
    (root / "test").rename(root / "val")
    model = folder / "tiny"
    model.mkdir()
    (model / "config.json").write_text(json.dumps(TINY))
    for file in root.rglob("*.png"):
        file.read_bytes()

    config = TrainConfig(
        root=str(root), model_flavour=str(model), load_pretrained=False, image_size=SIZE, augmentation="light",
        batch_size=BATCH, lr=1e-3, epochs=1000, log_every=EACH,
    )  # fmt: skip
    first = []
    for name in ("first", "again"):  # decode, cache and first epoch, all anew
        shutil.rmtree(folder / "cache", ignore_errors=True)
        shutil.rmtree(folder / "scans", ignore_errors=True)
        ours = Ours(config, folder, name)
        first.append(ours.prepared + ours.epoch())
    run = ours.run
    bf16 = run.precision == "bf16"
    count = len(run.train)
    data = peers.Dicts(root / "train", peers.training_transform(SIZE))

    def trainer(workers: int) -> list[float]:
        network = peers.model_of(model, 10)
        return peers.trainer_epochs(network, data, folder / "peer", batch=BATCH, epochs=2, workers=workers, bf16=bf16)[
            0
        ]

    def timm(workers: int) -> float:
        network = peers.model_of(model, 10)
        return peers.timm_epochs(network, root / "train", size=SIZE, batch=BATCH, epochs=2, workers=workers, bf16=bf16)[
            1
        ]

    tried = {workers: (trainer(workers), timm(workers)) for workers in (peers.WORKERS[:2] if quick else peers.WORKERS)}
    of_trainer = min(tried, key=lambda workers: tried[workers][0][1])
    of_timm = min(tried, key=lambda workers: tried[workers][1])
    (one, two), of_peer = tried[of_trainer][0], tried[of_timm][1]
    firsts = [one]

    def steady_trainer() -> float:
        one, two = trainer(of_trainer)
        firsts.append(one)
        return two

    stepped = in_turn({"loop": ours.steps, "bare": lambda: ours.bare(EACH) / EACH}, 8 if quick else 80)
    found = in_turn(
        {
            "ours": ours.epoch,
            "trainer": steady_trainer,
            "timm": lambda: timm(of_timm),
            "loading": ours.loading,
        },
        rounds,
    )
    found["trainer"].append(two)  # what was tried counts, too: in their favour
    found["timm"].append(of_peer)
    speed = {name: count / best(times) for name, times in found.items()}
    return [
        Line("small images, loop / bare step", 0.93, best(stepped["bare"]) / best(stepped["loop"]), "", "at least"),
        Line("small images, loop / Trainer", 3, speed["ours"] / speed["trainer"], "", "at least"),
        Line("small images, loop / timm", 2, speed["ours"] / speed["timm"], "", "at least"),
        Line("small images, first epoch, Trainer's time / ours", 2, best(firsts) / best(first), "", "at least"),
        told("loop", speed["ours"], "images/s", f"{run.precision}, {run.workers} loader processes"),
        told("loop, the best twenty steps", BATCH / best(stepped["loop"]), "images/s"),
        told("bare step", BATCH / best(stepped["bare"]), "images/s"),
        told("batches alone", speed["loading"], "images/s"),
        told("Trainer", speed["trainer"], "images/s", f"{of_trainer} workers"),
        told("timm", speed["timm"], "images/s", f"{of_timm} workers"),
    ]

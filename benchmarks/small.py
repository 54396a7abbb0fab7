"""Small images: a tiny ResNet on Fashion-MNIST as PNG files, 28 px, batch 128, crop and flip.

Steps of a steady epoch against the bare step on a batch in memory, ten and ten in turn: a difference of a few
hundredths is less than what a shared machine's speed changes from one ten seconds to the next. Whole steady epochs
against transformers' Trainer and timm; the first epoch, decoding and building the cache, against the Trainer's. Each
trains two epochs from nothing, in turn, as often as the others. The page cache is warm for all.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from benchmarks import peers
from benchmarks.frame import Line, reported
from benchmarks.ours import Ours
from benchmarks.timing import best, in_turn
from imgcls_lab import fashion_mnist
from imgcls_lab.config import TrainConfig

BATCH, SIZE = 128, 28
EACH = 10  # steps
FIRST, STEADY = 0, 1  # of the two epochs that each runs
TINY = {**fashion_mnist.SMALL_RESNET, "hidden_sizes": [32, 64, 128, 256], "depths": [1, 1, 1, 1]}


def measure(folder: Path, quick: bool) -> list[Line]:
    images, rounds = (2_560, 2) if quick else (12_800, 3)
    root = fashion_mnist.write(folder / "fashion", train=images, test=1000)
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
    data = peers.Dicts(root / "train", peers.training_transform(SIZE))
    runs: list[Ours] = []

    def ours() -> list[float]:  # decode, cache and first epoch, all anew; then a steady one
        shutil.rmtree(folder / "cache", ignore_errors=True)
        shutil.rmtree(folder / "scans", ignore_errors=True)
        runs.append(Ours(config, folder, f"run-{len(runs)}"))
        return [runs[-1].prepared + runs[-1].epoch(), runs[-1].epoch()]

    def trainer(workers: int) -> list[float]:
        network, bf16 = peers.model_of(model, 10), runs[-1].run.compute.precision == "bf16"
        return peers.trainer_epochs(
            network, data, folder / "peer", batch=BATCH, epochs=2, workers=workers, bf16=bf16
        )[0]  # fmt: skip

    def timm(workers: int) -> list[float]:
        network, bf16 = peers.model_of(model, 10), runs[-1].run.compute.precision == "bf16"
        return peers.timm_epochs(
            network, root / "train", size=SIZE, batch=BATCH, epochs=2, workers=workers, bf16=bf16
        )  # fmt: skip

    # ours has a turn whenever the peers have one, so that a quiet minute of the machine serves them all
    tried = peers.WORKERS[:2] if quick else peers.WORKERS
    turns = [{"ours": ours(), "trainer": trainer(workers), "timm": timm(workers)} for workers in tried]
    best_of = {name: min(tried, key=lambda at: turns[tried.index(at)][name][STEADY]) for name in ("trainer", "timm")}
    for _ in range(rounds):
        turns.append({"ours": ours(), "trainer": trainer(best_of["trainer"]), "timm": timm(best_of["timm"])})
    first, steady = ({name: best([turn[name][e] for turn in turns]) for name in turns[0]} for e in (FIRST, STEADY))

    last, run = runs[-1], runs[-1].run
    step = in_turn({"loop": last.steps, "bare": lambda: last.bare(EACH) / EACH}, 16 if quick else 160)
    loop, bare = best(step["loop"]), best(step["bare"])
    loading = best([last.loading() for _ in range(rounds)])
    count, loaders = len(run.data.train), run.data.num_workers
    return [
        Line("small images, loop / bare step", 0.93, bare / loop, "", "at least"),
        Line("small images, loop / Trainer", 3, steady["trainer"] / steady["ours"], "", "at least"),
        Line("small images, loop / timm", 2, steady["timm"] / steady["ours"], "", "at least"),
        Line("small images, first epoch, Trainer's time / ours", 2, first["trainer"] / first["ours"], "", "at least"),
        reported(
            "loop",
            count / steady["ours"],
            "images/s",
            f"{run.compute.precision}, {loaders} loader processes",
        ),
        reported("loop, the best ten steps", BATCH / loop, "images/s"),
        reported("bare step", BATCH / bare, "images/s"),
        reported("batches alone", count / loading, "images/s"),
        reported("Trainer", count / steady["trainer"], "images/s", f"{best_of['trainer']} workers"),
        reported("timm", count / steady["timm"], "images/s", f"{best_of['timm']} workers"),
    ]

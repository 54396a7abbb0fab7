"""A trainer without torch whose accuracy is best at lr=1e-3 and rises over the epochs: `stub_trial.py FOLDER ATTEMPT`.

It pauses after an epoch with `--until-epoch`, as the engine does. An epoch takes the seconds in the file STUB_PACE. It
fails where its lr, or `lr:seed`, stands in the file STUB_FAILS, and resumes after a stop. The file STUB_LUCK holds what
a seed adds to the accuracy, by `lr:seed`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from pathlib import Path

from imgcls_lab.events import (
    CheckpointSaved,
    EpochEnded,
    EventWriter,
    Failed,
    FailureKind,
    Finished,
    Started,
    Stopped,
)
from imgcls_lab.run_layout import checkpoint_name


def accuracy(lr: float, epoch: int) -> float:
    return max(0.0, 1 - (math.log10(lr) + 3) ** 2 / 8) * (1 - 0.5**epoch)


def main(folder: Path, attempt: int, until: int | None) -> int:
    config = json.loads((folder / "config.json").read_text())
    lr, epochs, stopping = config["lr"], config["epochs"], []
    names = {str(lr), f"{lr}:{config['seed']}"}
    luck = Path(os.environ["STUB_LUCK"])
    added = sum(json.loads(luck.read_text()).get(name, 0) for name in names) if luck.exists() else 0
    signal.signal(signal.SIGTERM, lambda *_: stopping.append(1))
    done = max((int(path.name.split("-s")[1]) for path in (folder / "checkpoints").glob("a*")), default=0)
    fails = Path(os.environ["STUB_FAILS"])
    with EventWriter(folder, attempt) as out:
        out.write(
            Started(
                resume_step=done, total_steps=epochs, steps_per_epoch=1, epochs=epochs, train_images=1, val_images=1,
                classes=2, device="cpu", precision="fp32", threads=1,
            )
        )  # fmt: skip
        for epoch in range(done + 1, epochs + 1):
            if stopping or (until is not None and epoch > until):
                out.write(Stopped(step=epoch - 1))
                return 0
            time.sleep(float(Path(os.environ["STUB_PACE"]).read_text()))
            if fails.exists() and names & {*fails.read_text().split()}:
                out.write(Failed(step=epoch, kind=FailureKind.APPLICATION, message="The stub failed as it was told."))
                return 1
            value = accuracy(lr, epoch) + added
            out.write(EpochEnded(step=epoch, epoch=epoch, seconds=0.1, values={"metric/accuracy": value}, best=True))
            name = checkpoint_name(attempt, epoch)
            (folder / "checkpoints" / name).mkdir(parents=True)
            out.write(CheckpointSaved(step=epoch, epoch=epoch, folder=f"checkpoints/{name}", links=("last",)))
        out.write(Finished(step=epochs, best_epoch=epochs, values={}))
    return 0


if __name__ == "__main__":
    given = argparse.ArgumentParser()
    given.add_argument("folder", type=Path)
    given.add_argument("attempt", type=int)
    given.add_argument("--until-epoch", type=int, default=None)
    read = given.parse_args()
    sys.exit(main(read.folder, read.attempt, read.until_epoch))

"""Saves checkpoints in a child, kills it at a random moment, loads all that it left; again and again.

`python checkpoint_crasher.py FOLDER KILLS [naive]` prints: kills, those that left a torn folder, checkpoints that
count as saved and cannot be loaded. `naive` is a seeded defect: it writes under the final name, for the mutants.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from imgcls_lab.engine.checkpointing import checkpoint


def export(folder: Path) -> None:
    save_file({"weight": WEIGHT}, folder / "model.safetensors")


def save_naively(folder: Path, name: str, export_to, state) -> None:
    """As `checkpoint.save`, but under the final name from the beginning and with no hashes."""
    final = folder / name
    final.mkdir(parents=True)
    export_to(final)
    save_file({"0": state["momentum"]}, final / f"{checkpoint.STATE}.safetensors")
    (final / f"{checkpoint.STATE}.json").write_text(json.dumps({}))


def save_for_ever(folder: Path, first: int, save) -> None:
    for step in range(first, first + 10_000):
        save(folder, f"a001-s{step:08d}", export, {"step": step, "momentum": WEIGHT})


def is_whole(path: Path, *, hashed: bool) -> bool:
    """Whether it can be loaded: weights and state, each of the right size."""
    try:
        if hashed and checkpoint.damage(path) is not None:
            return False
        weights = checkpoint.load_weights(path)
        checkpoint.load_state(path) if hashed else json.loads((path / f"{checkpoint.STATE}.json").read_text())
        return weights["weight"].shape == WEIGHT.shape
    except Exception:
        return False


def main(folder: Path, kills: int, *, naive: bool) -> None:
    rng = random.Random(17)
    save = save_naively if naive else checkpoint.save
    torn = unloadable = 0
    for number in range(kills):
        child = os.fork()
        if child == 0:
            save_for_ever(folder, number * 10_000 + 1, save)
            os._exit(1)
        time.sleep(rng.uniform(0.002, 0.05))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        torn += any(path.name.startswith(".new-") for path in folder.iterdir())
        saved = checkpoint.saved(folder)
        unloadable += sum(not is_whole(path, hashed=not naive) for path in saved)
        if not naive:
            checkpoint.sweep(folder)
        for path in saved:
            shutil.rmtree(path)
    print(kills, torn, unloadable)


if __name__ == "__main__":
    torch.set_num_threads(1)
    WEIGHT = torch.arange(250_000, dtype=torch.float32)
    target = Path(sys.argv[1])
    target.mkdir(parents=True)
    main(target, int(sys.argv[2]), naive="naive" in sys.argv)

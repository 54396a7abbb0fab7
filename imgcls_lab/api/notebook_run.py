"""Training inside a notebook run: finds its folder. Called by `train`, in the kernel of a batch notebook.

The notebook's run holds the device already, so a training inside is not a second run: it writes into a folder of the
run. When the notebook is executed again, it finds its earlier trainings, in the order in which it starts them.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

from imgcls_lab import run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.settings import Settings

_started: Counter[str] = Counter()  # trainings of each config that this kernel has begun


def enclosing_run(settings: Settings) -> Path | None:
    """The folder of the notebook run that this kernel belongs to; None in any other process."""
    run_id = os.environ.get(run_layout.RUN_TAG, "").partition("/")[0]
    if not run_layout.is_run_id(run_id):
        return None
    folder = settings.run_dir(run_id)
    return folder if (folder / run_layout.SOURCE).is_file() else None


def training_folder(run: Path, config: TrainConfig) -> Path:
    """The folder of the next training with this config: an earlier attempt's, else a new one (not made yet)."""
    digest = config.digest()[:8]
    home = run / run_layout.TRAININGS
    home.mkdir(mode=0o700, exist_ok=True)
    there = sorted(path.name for path in home.iterdir())
    same = [name for name in there if name.endswith(f"-{digest}")]
    position = _started[digest]
    _started[digest] += 1
    name = same[position] if position < len(same) else f"{len(there) + 1:02d}-{digest}"
    return home / name


def write_run_info(run: Path, training: Path) -> None:
    """Write into a training's folder which run it belongs to, so that views of it name and find that run."""
    info = run_paths.read_json(run, run_layout.RUN_INFO)
    kept = {key: info.get(key) for key in ("id", "name", "project", "created_at")}
    run_layout.write_atomic(training / run_layout.RUN_INFO, json.dumps({**kept, "kind": "train"}, ensure_ascii=False))

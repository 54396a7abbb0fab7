"""What makes two trials the same: the config, the images and the code. Called by the sweep's driver; imports no torch.

The fingerprint of a data folder is the one the engine writes into a run's manifest; files that did not change since
the last look (size and time) are not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from imgcls_lab import _version, run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.imagefolder import SPLITS, inspect_folder, list_images

PIECE = 2**20
# what a result depends on
_CODE = ("engine", "config", "images.py", "imagefiles.py", "imagefolder.py", "processor.py")


def of_training(config: TrainConfig, data: str, model: str, computes: str) -> str:
    """Identity (hex) of a direct trial. data: fingerprint of its images; model: of its model folder, or its name;
    computes: what the precision `auto` and the last bits depend on, as `sweeps.py` has it."""
    fields = {**config.result_fields(), "model_flavour": model}
    return _sha({"kind": "train", "config": fields, "data": data, "code": code_version(), "computes": computes})


def of_notebook(code: str, parameters: Mapping[str, Any], data: str, computes: str) -> str:
    """Identity (hex) of a notebook trial. code: hash of what it executes; data: fingerprint of its `root`."""
    given = {name: value for name, value in parameters.items() if name != "root"}
    facts = {"kind": "notebook", "code": [code, code_version()], "parameters": given, "data": data}
    return _sha({**facts, "computes": computes})


@lru_cache(maxsize=1)
def code_version() -> str:
    """The package's version with a hash of the files that train."""
    home = Path(_version.__file__).parent
    files = [path for name in _CODE for path in _python_files(home / name)]
    digest = hashlib.sha256()
    for path in sorted(files):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"{_version.__version__}+{digest.hexdigest()[:16]}"


def of_images(root: Path, memory: Path, stop: Callable[[], bool] = lambda: False) -> str:
    """Fingerprint of a folder of images, as a run's manifest has it. Raises OSError; InterruptedError when stopped."""
    summary = inspect_folder(root)
    paths = [
        path
        for split in SPLITS
        if split in ("train", "val") and split in summary.splits
        for path in list_images(summary, split)[0]
    ]
    return _of_files(root, paths, memory, stop)


def of_folder(root: Path, memory: Path) -> str:
    """Fingerprint of all files of a model's folder. Raises OSError."""
    return _of_files(root, [os.path.relpath(path, root) for path in root.rglob("*") if path.is_file()], memory)


def _of_files(root: Path, paths: Iterable[str], memory: Path, stop: Callable[[], bool] = lambda: False) -> str:
    memory.mkdir(mode=0o700, parents=True, exist_ok=True)
    index = memory / f"{_sha(str(root.resolve()))[:32]}.json"
    known = _read(index)
    seen: dict[str, list[Any]] = {}
    for path in paths:
        if stop():
            raise InterruptedError
        status = os.stat(root / path)
        stamp = [status.st_size, status.st_mtime_ns]
        before = known.get(path)
        fresh = before is None or before[:2] != stamp
        seen[path] = [*stamp, _digest(root / path)] if fresh or before is None else before
    if seen != known:
        run_layout.write_atomic(index, json.dumps(seen))
    content = hashlib.sha256()
    for path in sorted(seen, key=os.fsencode):  # as the engine's scan does
        content.update(os.fsencode(path) + b"\0" + bytes.fromhex(seen[path][2]))
    return content.hexdigest()


def _read(index: Path) -> dict[str, list[Any]]:
    try:
        found = json.loads(run_layout.read_plain(index))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _digest(path: Path) -> str:
    """SHA-256 (hex) of a file's content; zeros where it cannot be opened."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(PIECE):
                digest.update(piece)
    except OSError:
        return "0" * 64
    return digest.hexdigest()


def _python_files(path: Path) -> list[Path]:
    return [path] if path.is_file() else list(path.glob("*.py"))


def _sha(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

"""What makes two trials the same: the config, the images and the code. Called by the sweep's driver; imports no torch.

The fingerprint of a data folder is `planning.fingerprint`, as in a run's manifest; files that did not change since the
last look (size and time) are not read again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from imgcls_lab import _version, run_layout, run_paths
from imgcls_lab.config import TrainConfig
from imgcls_lab.imagefolder import inspect_folder, list_images
from imgcls_lab.planning.fingerprint import UNREADABLE, data_fingerprint, file_digest

VERSION = 2  # of the files with digests; raise it when the meaning of a digest changes
Digest = Callable[[Path], bytes]
_HOME = Path(_version.__file__).parent
# what a result depends on
_CODE = (
    "engine", "planning", "config", "images.py", "image_files.py", "imagefolder.py", "class_names.py", "cpu.py",
    "data_revision.py", "export_names.py",
)  # fmt: skip


def of_training(config: TrainConfig, data: str, model: str, computes: str) -> str:
    """Identity (hex) of a direct trial. data: fingerprint of its images; model: of its model folder, or its name;
    computes: what the precision `auto` and the last bits depend on, as `submit_sweep.py` has it."""
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
    digest = hashlib.sha256()
    for path in code_files():
        digest.update(path.relative_to(_HOME).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{_version.__version__}+{digest.hexdigest()[:16]}"


def code_files() -> list[Path]:
    """The files that a result depends on, sub-packages included."""
    places = [_HOME / name for name in _CODE]
    return sorted(path for place in places for path in (place.rglob("*.py") if place.is_dir() else [place]))


def of_images(root: Path, memory: Path, stop: Callable[[], bool] = lambda: False) -> str:
    """Fingerprint of a folder of images, as a run's manifest has it. Raises OSError; InterruptedError when stopped."""
    summary = inspect_folder(root)
    splits = [split for split in ("train", "val") if split in summary.splits]
    paths = [path for split in splits for path in list_images(summary, split)[0]]
    return _of_files(root, paths, memory, file_digest, stop)


def of_folder(root: Path, memory: Path) -> str:
    """Fingerprint of all files of a model's folder. Raises OSError."""
    paths = [os.path.relpath(path, root) for path in root.rglob("*") if path.is_file()]
    return _of_files(root, paths, memory, _whole_file_digest)


def _of_files(
    root: Path, paths: list[str], memory: Path, digest: Digest, stop: Callable[[], bool] = lambda: False
) -> str:
    memory.mkdir(mode=0o700, parents=True, exist_ok=True)
    index = memory / f"{_sha(str(root.resolve()))[:32]}-{VERSION}.json"
    known = _read(index)
    seen: dict[str, list[Any]] = {}
    for path in paths:
        if stop():
            raise InterruptedError
        stamp = _stamp(root / path)
        before = known.get(path)
        unchanged = before is not None and stamp is not None and before[:2] == stamp
        seen[path] = before if unchanged and before else [*(stamp or (None, None)), digest(root / path).hex()]
    if seen != known:
        run_layout.write_atomic(index, json.dumps(seen))
    digests = b"".join(bytes.fromhex(entry[2]) for entry in seen.values())
    names = np.array([os.fsencode(path) for path in seen], np.bytes_)
    return data_fingerprint(names, np.frombuffer(digests, np.uint64).reshape(len(seen), -1))


def _stamp(path: Path) -> list[int] | None:
    """Size and time of change; None where there is no such file any more."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return [status.st_size, status.st_mtime_ns]


def _read(index: Path) -> dict[str, list[Any]]:
    try:
        found = run_paths.read_json(index.parent, index.name)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _whole_file_digest(path: Path) -> bytes:
    """SHA-256 of a file of any size; `UNREADABLE` where it cannot be opened."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()
    except OSError:
        return UNREADABLE


def _sha(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()

"""Checkpoints: immutable folders, whole or absent, found again by their hashes.

A folder is written under a temporary name, synced, hashed and renamed; `last`, `best` and `epoch-0003` are relative
links, swapped atomically. Each folder is a complete transformers model with the training's state beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from imgcls_lab import run_paths
from imgcls_lab.engine.checkpointing.state_tree import branch, flatten, unflatten
from imgcls_lab.errors import ModelError
from imgcls_lab.run_layout import fsync_folder

STATE = "training_state"
CHECKSUMS = "checksums.json"
_NAME = re.compile(r"a\d{3,}-s\d{8,}")
_TEMPORARY = ".new-"


def save(folder: Path, name: str, export: Callable[[Path], None], state: dict[str, Any]) -> Path:
    """Write `folder/name` whole or not at all, and return it.

    export: writes the model's files into a folder. state: nested training state, tensors anywhere in it.
    Raises OSError when the disk is full; nothing is left behind then.
    """
    final = folder / name
    temporary = folder / f"{_TEMPORARY}{name}-{secrets.token_hex(4)}"
    temporary.mkdir(mode=0o700, parents=True)
    try:
        export(temporary)
        tree, tensors = flatten(state)
        save_file(tensors, temporary / f"{STATE}.safetensors")
        (temporary / f"{STATE}.json").write_text(json.dumps(tree))
        sums = {path.name: _hash_and_sync(path) for path in sorted(temporary.iterdir())}
        (temporary / CHECKSUMS).write_text(json.dumps(sums, indent=1))
        _hash_and_sync(temporary / CHECKSUMS)
        fsync_folder(temporary)
        if final.exists():  # the same step of the same attempt: the same content
            shutil.rmtree(temporary)
        else:
            os.rename(temporary, final)
        fsync_folder(folder)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    return final


def load_state(checkpoint: Path) -> dict[str, Any]:
    """The training state of a verified checkpoint, on the CPU."""
    checkpoint = checkpoint.resolve()  # the links last and best are followed; links inside a checkpoint are not
    tree = run_paths.read_json(checkpoint, f"{STATE}.json")
    state: dict[str, Any] = unflatten(tree, load_file(run_paths.real_path(checkpoint, f"{STATE}.safetensors")))
    return state


def standing(checkpoint: Path) -> tuple[int, int] | None:
    """Epoch and step of the training at a checkpoint; None of a model folder that is none. Raises ModelError."""
    path = checkpoint / f"{STATE}.json"
    try:
        progress = branch(run_paths.read_json(checkpoint.resolve(), path.name), "progress")
        return progress["epoch"], progress["step"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ModelError(f"The checkpoint “{checkpoint}” is damaged: {path.name} cannot be read.") from error


def load_weights(checkpoint: Path) -> dict[str, torch.Tensor]:
    """The exported weights of a checkpoint, by the names they are stored under."""
    weights: dict[str, torch.Tensor] = {}
    for path in _weight_files(checkpoint):
        weights |= load_file(path)
    return weights


def weight_names(checkpoint: Path) -> set[str]:
    """The names that the exported weights are stored under."""
    names: set[str] = set()
    for path in _weight_files(checkpoint):
        with safe_open(path, framework="pt") as file:
            names |= set(file.keys())
    return names


def _weight_files(checkpoint: Path) -> list[Path]:
    """Raises OSError for one that leads out of the checkpoint."""
    checkpoint = checkpoint.resolve()
    names = sorted(path.name for path in checkpoint.glob("model*.safetensors"))
    return [run_paths.real_path(checkpoint, name) for name in names]


def damage(checkpoint: Path) -> str | None:
    """Why a checkpoint cannot be trusted; None if every file is as it was written."""
    try:
        folder = checkpoint.resolve(strict=True)  # the caller may name it by `last` or `best`
        for name, expected in run_paths.read_json(folder, CHECKSUMS).items():
            if _sha256(folder, name) != expected:
                return f"{name} was changed or damaged"
    except (OSError, ValueError, AttributeError) as error:
        return f"{getattr(error, 'filename', None) or CHECKSUMS} cannot be read"
    return None


def newest_intact(folder: Path, tell: Callable[[str], None]) -> Path | None:
    """The newest checkpoint whose hashes hold; `tell` gets a sentence for each that is passed over."""
    for checkpoint in sorted(saved(folder), reverse=True):
        problem = damage(checkpoint)
        if problem is None:
            return checkpoint
        tell(f"The checkpoint {checkpoint.name} is damaged ({problem}); the one before it is used.")
    return None


def saved(folder: Path) -> list[Path]:
    """All checkpoints, whole or not, oldest first."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name) and not path.is_symlink())


def link(folder: Path, name: str, checkpoint: str | None) -> None:
    """Let `folder/name` point to a checkpoint of that folder, or to nothing; never to half of a link."""
    if checkpoint is None:
        (folder / name).unlink(missing_ok=True)
        return
    temporary = folder / f"{_TEMPORARY}{name}-{secrets.token_hex(4)}"
    os.symlink(checkpoint, temporary)
    os.replace(temporary, folder / name)
    fsync_folder(folder)


def target(folder: Path, name: str) -> str | None:
    """Name of the checkpoint that a link points to."""
    try:
        return os.readlink(folder / name)
    except OSError:
        return None


def prune(folder: Path, keep: int, also: Collection[str] = ()) -> None:
    """Delete all checkpoints but the last `keep`, those that a link names, and those in `also`."""
    spared = {os.readlink(path) for path in folder.iterdir() if path.is_symlink()} | set(also)
    for checkpoint in saved(folder)[:-keep]:
        if checkpoint.name not in spared:
            doomed = folder / f"{_TEMPORARY}{checkpoint.name}-{secrets.token_hex(4)}"
            os.rename(checkpoint, doomed)  # a reader never sees a half-deleted checkpoint
            shutil.rmtree(doomed, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Remove what a killed save left behind. Only at a run's start, when nobody else writes here."""
    for path in folder.glob(f"{_TEMPORARY}*"):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def _hash_and_sync(path: Path) -> str:
    os.chmod(path, 0o600)
    digest = _sha256(path.parent, path.name)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    return digest


def _sha256(folder: Path, name: str) -> str:
    """Of a file inside the folder: else a hash of any file of this machine could be asked for. Raises OSError."""
    with run_paths.open_plain(folder, name) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

"""A user's own losses, optimizers, schedules and recipes: Python files that the config names, run as code.

A run keeps copies of them in its folder, with their hashes and signatures in the manifest. Every later attempt runs
these copies and no others, and only those that are signed: texts that this home's user has named in a config. The
server refuses configs that name any by default.
"""

from __future__ import annotations

import hashlib
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

from imgcls_lab import run_layout, run_paths, signing
from imgcls_lab.engine.optim.losses import LOSSES
from imgcls_lab.engine.optim.lr_scheduler import SCHEDULES
from imgcls_lab.engine.optim.optimizers import OPTIMIZERS
from imgcls_lab.engine.registry import Registry
from imgcls_lab.engine.transforms.augment_recipes import RECIPES
from imgcls_lab.errors import ConfigError, Problem
from imgcls_lab.settings import Settings

FOLDER = "plugins"  # in a run's folder
TABLES: tuple[Registry[Any], ...] = (LOSSES, OPTIMIZERS, SCHEDULES, RECIPES)
Record = list[dict[str, str]]  # of the manifest: name, sha256 and signature of each file, in their order


def keep(paths: Sequence[str], folder: Path) -> Record:
    """Copy the files into the run's folder; returns what the manifest records. Raises ConfigError for a missing one."""
    kept: Record = []
    for number, text in enumerate(paths, 1):
        path = Path(text).expanduser()
        code = _read(path)
        name = f"{number:02d}-{path.name}"
        (folder / FOLDER).mkdir(mode=0o700, exist_ok=True)
        run_layout.write_atomic(folder / FOLDER / name, code)
        sha256 = hashlib.sha256(code).hexdigest()
        signature = signing.sign_code(Settings().home_path, sha256)
        kept.append({"name": name, "sha256": sha256, signing.SIGNATURE: signature})
    return kept


@contextmanager
def active(folder: Path, record: Record) -> Iterator[None]:
    """Inside, what the run's copies register can be looked up by name.

    Raises ConfigError if one is not the file that the run began with, is not signed by this home, or fails.
    """
    with _scopes():
        for path, code in check(folder, record).items():
            _execute(code, path)
        yield


def check(folder: Path, record: Record) -> dict[Path, bytes]:
    """The run's copies and their texts. Raises ConfigError as `active` does; executes nothing."""
    if record:
        _check_signatures(folder, record)
    found = {}
    for item in record:
        if item["name"] != os.path.basename(item["name"]):
            raise _problem(
                f"“{item['name']}” is no name of a plugin of this run, so it is not executed.", "plugin_not_signed"
            )
        path = folder / FOLDER / item["name"]
        found[path] = _read(path)
        if hashlib.sha256(found[path]).hexdigest() != item["sha256"]:
            raise _problem(
                f"The run's plugin “{path}” was changed since the run began, so it cannot continue exactly. Put it "
                "back, or start a new run with your own file.",
                "plugin_changed",
            )
    return found


def _check_signatures(folder: Path, record: Record) -> None:
    home = Settings().home_path
    unsigned = [
        item["name"] for item in record if not signing.is_own_code(home, item["sha256"], item.get(signing.SIGNATURE))
    ]
    if unsigned and not signing.is_older_than_key(home, folder):
        raise _problem(
            f"The plugin “{folder / FOLDER / unsigned[0]}” came with the run's folder; no config of yours named it, "
            f"so it is not executed. Read it. If it is yours, claim the run (`imgcls-lab claim {folder.name}`), "
            "or, where the folder is no run of the home (`train --out`), start a new one with your own file.",
            "plugin_not_signed",
        )


@contextmanager
def loaded(paths: Sequence[str]) -> Iterator[None]:
    """Inside, what the files register can be looked up by name; for work without a run. Raises as `active` does."""
    with _scopes():
        for path in map(Path, paths):
            _execute(_read(path.expanduser()), path)
        yield


@contextmanager
def _scopes() -> Iterator[None]:
    with ExitStack() as stack:
        for table in TABLES:
            stack.enter_context(table.scope())
        yield


def _read(path: Path) -> bytes:
    try:
        return run_paths.read_plain(path.resolve().parent, path.resolve().name)
    except OSError as error:
        raise _problem(f"The plugin “{path}” cannot be read: {error.strerror}.") from error


def _execute(code: bytes, path: Path) -> None:
    """Run a file as a module of its own, which nobody can import."""
    module = ModuleType(f"imgcls_plugin_{path.stem}")
    module.__file__ = str(path)
    try:
        exec(compile(code, path, "exec"), module.__dict__)  # noqa: S102
    except ConfigError:
        raise
    except Exception as error:
        lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = lines[-1] if lines else getattr(error, "lineno", None)
        where = f", line {line}" if line else ""
        text = f"The plugin “{path}” fails{where}: {type(error).__name__}: {error}."
        if isinstance(error, ImportError) and (error.name or "").startswith("imgcls_lab."):
            text += (
                " There is no such module in this version: see “Plugins” in docs/training.md for what to import. "
                "Correct your file and start a new run with it."
            )
        raise _problem(text) from error


def _problem(text: str, reason: str = "") -> ConfigError:
    return ConfigError(text, [Problem("plugins", text)], reason=reason)

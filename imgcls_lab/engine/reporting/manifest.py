"""manifest.json: what is needed to reproduce a run, and what its first attempt decided for all later ones.

Written before the first step; read by every later attempt, by replay and by the final test. A later attempt adds with
how many processes it trains, and changes nothing else.
"""

from __future__ import annotations

import hashlib
import json
import platform
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, ValidationError

from imgcls_lab import run_layout, run_paths
from imgcls_lab._version import __version__
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.saved import upgraded
from imgcls_lab.engine import hardware
from imgcls_lab.errors import ConfigError, ModelError
from imgcls_lab.repository import state_of


class _Plugin(BaseModel):
    name: str
    sha256: str


class _Python(BaseModel):
    version: str


class _Data(BaseModel):
    fingerprint: str


class _Git(BaseModel):
    commit: str
    diff: str
    diff_cut: bool = False


class _Form(BaseModel):
    """What is read of a manifest where a run is computed again; all else may be of any form."""

    model_config = ConfigDict(strict=True)

    version: str
    config: dict[str, Any]
    device: str
    hardware: dict[str, str | int | float | list[Any] | dict[str, Any] | None]
    python: _Python
    packages: dict[str, str]
    data: _Data
    threads: int
    precision: str
    plugins: list[_Plugin] = []
    code: dict[str, str] = {}
    git: _Git | None = None


def read(folder: Path) -> dict[str, Any] | None:
    """The manifest of an earlier attempt, its config under the names of today; None if none can be read."""
    try:
        data = run_paths.read_json(folder, run_layout.MANIFEST)
    except (FileNotFoundError, ValueError):
        return None
    if not isinstance(data, dict) or not isinstance(data.get("config"), dict):
        return None
    return {**data, "config": upgraded(data["config"])}


def read_whole(folder: Path) -> dict[str, Any] | None:
    """As `read`, with all that computes the run again; None if no attempt wrote one. Raises ModelError: it is damaged.

    The folder may come from anybody.
    """
    try:
        data = run_paths.read_json(folder, run_layout.MANIFEST)
        _Form.model_validate(data)
        return {**data, "config": TrainConfig.parse_saved(data["config"]).model_dump(mode="json")}
    except FileNotFoundError:
        return None
    except ValidationError as error:
        raise _damaged(
            folder, f"“{'.'.join(map(str, error.errors()[0]['loc'])) or 'it'}” is not as it was written"
        ) from error
    except ConfigError as error:
        raise _damaged(folder, f"its config cannot be used ({error})") from error
    except OSError as error:
        raise _damaged(folder, str(error.strerror)) from error
    except ValueError as error:
        raise _damaged(folder, "it is no whole JSON") from error


def _damaged(folder: Path, why: str) -> ModelError:
    return ModelError(
        f"“{folder / run_layout.MANIFEST}” is damaged, so nothing says how the run was computed: {why}. Put it back "
        "from a copy of the run's folder; else train the run again.",
        reason="damaged",
    )


def write(folder: Path, config: TrainConfig, device: torch.device, decisions: dict[str, Any]) -> None:
    """Write it once. decisions: precision, threads, data, evaluation spec and so on."""
    repository = state_of(Path.cwd())
    content = {
        "version": __version__,
        "created_at": time.time(),
        "seed": config.seed,
        "config": config.model_dump(
            mode="json"
        ),  # of the first attempt; later ones may change settings that change no result
        "config_digest": config.digest(),
        **decisions,
        "device": str(device),
        "hardware": hardware.describe(device),
        "python": {"version": platform.python_version(), "executable": sys.executable},
        "packages": _packages(),
        "code": _code(),
        "git": None if repository is None else repository._asdict(),
    }
    run_layout.write_atomic(folder / run_layout.MANIFEST, json.dumps(content, indent=1))


def add_attempt(folder: Path, number: int, *, processes: int, nodes: int) -> None:
    """Note with how many processes and nodes an attempt trains."""
    content = run_paths.read_json(folder, run_layout.MANIFEST)
    attempts = [entry for entry in content.get("attempts", []) if entry["attempt"] != number]
    content["attempts"] = [*attempts, {"attempt": number, "processes": processes, "nodes": nodes}]
    run_layout.write_atomic(folder / run_layout.MANIFEST, json.dumps(content, indent=1))


def _packages() -> dict[str, str]:
    """Name -> version of what is installed. Reads the two lines it needs: to parse all takes a third of a second."""
    found: dict[str, str] = {}
    for distribution in metadata.distributions():
        text = distribution.read_text("METADATA") or distribution.read_text("PKG-INFO") or ""
        head = text.partition("\n\n")[0].splitlines()
        facts = dict(line.split(": ", 1) for line in head if line.startswith(("Name: ", "Version: ")))
        if "Name" in facts and "Version" in facts:
            found[facts["Name"]] = facts["Version"]
    return dict(sorted(found.items(), key=lambda item: item[0].lower()))


def _code() -> dict[str, str]:
    """The files of this package that are loaded, with the beginning of the SHA-256 of each."""
    package = Path(__file__).parents[2]
    found = {}
    for name, module in sys.modules.items():
        path = Path(getattr(module, "__file__", None) or "")
        if name.partition(".")[0] == package.name and path.is_relative_to(package) and path.suffix == ".py":
            found[path.relative_to(package.parent).as_posix()] = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    return dict(sorted(found.items()))

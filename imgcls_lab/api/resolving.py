"""Resolves a user's config for a run: looks up names, makes paths absolute, inspects the folder of images.

Called before a run is launched or trained. A shell or a kernel may name any path. A path that does not exist may be the
name of a registered data set or model.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgcls_lab import output_folders, run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.config.model import weights_problem
from imgcls_lab.errors import ConfigError, DataError, Problem
from imgcls_lab.imagefolder import FolderSummary, inspect_folder
from imgcls_lab.settings import Settings
from imgcls_lab.terminal import inert

if TYPE_CHECKING:
    from imgcls_lab.store import Store


def config_of(config: TrainConfig | Mapping[str, Any] | None, fields: Mapping[str, Any]) -> TrainConfig:
    """The config that a call gives: a config, its fields as keywords, or a config with some fields changed.

    Raises ConfigError.
    """
    if isinstance(config, TrainConfig):
        return config.with_changes(**fields) if fields else config
    if config is None or isinstance(config, Mapping):
        return TrainConfig.parse({**(config or {}), **fields})
    raise no_config(config)


def no_config(given: object) -> ConfigError:
    """The error about what stands where a config belongs."""
    remedy = (
        "A run has one: `run.config`."
        if isinstance(getattr(given, "config", None), TrainConfig)
        else "Fields are given by their names, such as root=..., model_flavour=..., lr=1e-3."
    )
    return ConfigError(f"A config is a TrainConfig or a mapping of its fields, not {given!r}. {remedy}")


def resolve(config: TrainConfig | Mapping[str, Any], settings: Settings, store: Store | None = None) -> TrainConfig:
    """The config with absolute paths; looks names up in the store, if there is one.

    Raises ConfigError for a wrong field and DataError for a folder that cannot be trained on.
    """
    return resolve_and_inspect(config, settings, store)[0]


def resolve_and_inspect(
    config: TrainConfig | Mapping[str, Any], settings: Settings, store: Store | None = None
) -> tuple[TrainConfig, FolderSummary]:
    """As `resolve`, and what its folder of images holds."""
    given = config if isinstance(config, TrainConfig) else TrainConfig.parse(config)
    changes: dict[str, Any] = {}
    root = _data(given.root, settings, store)
    flavour = _model(given.model_flavour, settings, store)
    for name, value in (("root", root), ("model_flavour", flavour)):
        if value != getattr(given, name):
            changes[name] = value
    for name in ("ckpt_dir", "tb_root"):
        folder = getattr(given, name)
        if folder is not None and folder != str(Path(os.path.expanduser(folder)).absolute()):
            changes[name] = str(Path(os.path.expanduser(folder)).absolute())
    if isinstance(given.data_revision, str):
        changes["data_revision"] = str(Path(given.data_revision).expanduser().absolute())
    plugins = tuple(str(Path(plugin).expanduser().absolute()) for plugin in given.plugins)
    if plugins != given.plugins:
        changes["plugins"] = plugins
    final = given.with_changes(**changes) if changes else given
    output_folders.check(final.model_dump(include={"root", *run_layout.OUTPUT_FOLDERS}), settings)
    found = check_data(final.root)
    if problem := weights_problem(final.model_flavour, final.load_pretrained):
        raise ConfigError(problem, [Problem("load_pretrained", problem)])
    return final, found


def check_data(root: str) -> FolderSummary:
    """What the folder holds. Raises DataError with a sentence if it cannot be trained on."""
    found = inspect_folder(Path(root))
    if found.problem:
        raise DataError(found.problem, [Problem("root", found.problem)])
    return found


def print_notes(*sentences: str | None) -> None:
    """Print sentences worth knowing on stderr, which a cell shows too."""
    for sentence in filter(None, sentences):
        print(inert(sentence), file=sys.stderr)


def _data(root: str, settings: Settings, store: Store | None) -> str:
    """A folder, else a registered data set's name, else a folder beside the data sets."""
    path = Path(os.path.expanduser(root))
    if not path.is_dir():
        known = store.datasets.named(root) if store is not None else None
        if known is not None:
            return known.root
        beside = Path(settings.datasets_dir).expanduser() / root
        if beside.is_dir():
            path = beside
    return str(path.absolute())


def _model(flavour: str, settings: Settings, store: Store | None) -> str:
    """A folder, else a registered model's name, else one of the home's, else what it is: the id of one of the hub."""
    path = Path(os.path.expanduser(flavour))
    if path.is_dir():
        return str(path.absolute())
    known = store.models.named(flavour) if store is not None else None
    if known is not None:
        return known.flavour
    if flavour == Path(flavour).name and (settings.models_dir / flavour).is_dir():
        return str(settings.models_dir / flavour)
    if flavour.startswith(("/", "./", "../", "~")) or flavour.count("/") > 1:
        text = f"The model folder “{flavour}” does not exist. Check the path."
        raise ConfigError(text, [Problem("model_flavour", text)])
    return flavour

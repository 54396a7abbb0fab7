"""Loads models and image processors: the one module that hands files of a model to transformers.

transformers takes a config.json for instructions: it names code, packages, adapters, other files and other models. So
transformers reads a folder that is written here, with the allowed values and links to the weights, and no other. Called
by the modules beside it and by whoever loads a checkpoint; nothing else calls `from_pretrained` or `torch.load`.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoImageProcessor, AutoModelForImageClassification, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from imgcls_lab import model_folder
from imgcls_lab.engine.model import hub_files
from imgcls_lab.engine.model.load_errors import needs_own_code, unloadable
from imgcls_lab.engine.model.model_size import check_size
from imgcls_lab.engine.model.processor_values import allowed_processor
from imgcls_lab.errors import ModelError
from imgcls_lab.model_folder import ModelFileError

# shieldgemma2 holds a language model of any kind
CLASSIFIERS = frozenset(MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES) - {"shieldgemma2"}
_AUTO: Any = AutoModelForImageClassification
_CONFIGS: Any = CONFIG_MAPPING
_DTYPES = ("float16", "bfloat16", "float32", "float64")
_OLD_FIELDS = frozenset({"num_labels", "num_classes", "label_names", "torch_dtype", "out_features", "out_indices"})

transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]


@dataclass(frozen=True)
class ModelFiles:
    """What a model's folder says, as far as it is allowed.

    name: as the user gave it; folder: where its files lie, a snapshot of the hub's cache for a hub's model; config:
    allowed values of config.json; processors: those of its image processor by file; commit: of the hub.
    """

    name: str
    folder: Path
    config: dict[str, Any]
    processors: dict[str, dict[str, Any]]
    local: bool = True
    commit: str | None = None


def find_model(name: str, revision: str | None) -> ModelFiles:
    """The files of a local folder or of a model of the hub, without its weights.

    Raises ModelError if there is none, if it needs code of its own, or if a file holds what is not allowed.
    """
    expanded = os.path.expanduser(name)
    if os.path.isdir(expanded):
        folder, local, commit = Path(expanded), True, revision
        if not os.path.isfile(folder / model_folder.CONFIG):
            raise ModelError(
                f"The model folder “{expanded}” has no config.json. Give a folder that transformers saved."
            )
    elif name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        raise ModelError(f"The model folder “{expanded}” does not exist.")
    else:
        local = False
        folder, commit = hub_files.find(name, revision)
        expanded = name
    try:
        values = model_folder.read_files(folder)
        config = _allowed_config(expanded, values.pop(model_folder.CONFIG))
        processors = {file: allowed_processor(expanded, file, found) for file, found in values.items()}
    except ModelFileError as error:
        raise refused(expanded, error) from error
    return ModelFiles(expanded, folder, config, processors, local, commit)


def refused(name: str, error: ModelFileError) -> ModelError:
    """What is wrong with a file of a model, as an error."""
    return ModelError(model_folder.refusal(name, error), reason="model_file", model=name, file=error.file)


# ── config ──────────────────────────────────────────────────────────────────────────────────────────────────────
def make_config(files: ModelFiles, leave_out: tuple[str, ...] = ()) -> PreTrainedConfig:
    """The config of a model. Raises whatever its class raises for values that it cannot take."""
    values = {key: value for key, value in files.config.items() if key not in leave_out}
    config: PreTrainedConfig = _CONFIGS[values["model_type"]].from_dict(values)
    config.name_or_path = files.name
    return config


def _allowed_config(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """What of a config.json its config class declares. Raises ModelError for a model that is no image classifier."""
    kind = model_folder.TIMM if model_folder.is_timm(values) else values.get("model_type")
    if kind not in CLASSIFIERS:
        if "auto_map" in values:
            raise needs_own_code(name)
        raise ModelError(
            f"The model “{name}” is no image classifier of transformers (model_type {str(kind)[:60]}). Take another "
            "model.",
            reason="no_classifier",
            model=name,
        )
    allowed = _declared(_CONFIGS[kind], values)
    if kind == model_folder.TIMM:
        allowed |= model_folder.timm_values(values)
    return {**allowed, "model_type": kind}


def _declared(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of fields that a config class declares, parts of a config included."""
    parts = kind.sub_configs
    names = {field.name for field in fields(kind)} | set(kind.attribute_map) | _OLD_FIELDS
    found: dict[str, Any] = {}
    for name, value in values.items():
        part = parts.get(name.removesuffix("_dict"))
        if part is not None and isinstance(value, dict):
            found[name] = _declared(part, value)
        elif name in ("dtype", "torch_dtype"):
            found |= {name: value} if value in _DTYPES else {}
        elif name in names and name != "model_args":  # `timm_values` allows those
            found[name] = value
    return found


# ── processor ───────────────────────────────────────────────────────────────────────────────────────────────────
def load_processor(files: ModelFiles) -> Any:
    """The image processor that transformers makes of a model's files. Raises whatever it raises."""
    with _staged(files, {}) as folder:
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)  # type: ignore[no-untyped-call]


# ── model ───────────────────────────────────────────────────────────────────────────────────────────────────────
def new_model(config: PreTrainedConfig, name: str) -> nn.Module:
    """A model with random weights. Raises ModelError if the config is of no image classifier, or of a huge one."""
    check_size(config, name)
    try:
        model: nn.Module = _AUTO.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise unloadable(name, error) from error
    return model.float()


def pretrained_model(files: ModelFiles, config: PreTrainedConfig) -> tuple[Any, dict[str, Any]]:
    """The model of a config with the weights of a model's files, and what transformers says of their loading.

    Raises ModelError.
    """
    check_size(config, files.name)
    try:
        weights = _weights(files)
    except ModelFileError as error:
        raise refused(files.name, error) from error
    if not weights:
        raise ModelError(
            f"The model “{files.name}” has no weights in the safetensors format; pickled ones are not loaded.",
            reason="no_weights",
            model=files.name,
        )
    with _staged(files, weights) as folder:
        try:
            model, info = _AUTO.from_pretrained(
                folder,
                config=config,
                dtype=torch.float32,
                use_safetensors=True,
                ignore_mismatched_sizes=True,
                output_loading_info=True,
                local_files_only=True,
                trust_remote_code=False,
            )
        except Exception as error:
            raise unloadable(files.name, error, folder) from error
    model.config.name_or_path = files.name
    return model, info


def load_tensors(path: str | os.PathLike[str]) -> dict[str, torch.Tensor]:
    """The tensors of a file that torch saved; what else a pickle can hold is refused."""
    tensors: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return tensors


def _weights(files: ModelFiles) -> dict[str, Path]:
    """The files of the weights, those of a hub downloaded. Raises ModelFileError, ModelError."""
    if not files.local:
        hub_files.fetch_weights(files.name, files.commit, files.folder)
    return model_folder.weights_of(files.folder)


@contextmanager
def _staged(files: ModelFiles, weights: Mapping[str, Path]) -> Iterator[str]:
    """A folder with the allowed values of a model and links to its weights, for as long as the context lasts."""
    with tempfile.TemporaryDirectory(prefix="imgcls-model-") as name:
        folder = Path(name)
        (folder / model_folder.CONFIG).write_text(json.dumps(files.config))
        for file, values in files.processors.items():
            (folder / file).write_text(json.dumps(values))
        for file, path in weights.items():
            (folder / file).symlink_to(path.absolute())
        yield name

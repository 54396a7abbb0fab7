"""The model of a run: any of transformers' image classifiers with the right head and class names.

Called by the run's preparation and by prediction. Loads safetensors only and never runs code from a model's folder;
whatever goes wrong is a ModelError with the remedy.
"""

from __future__ import annotations

import copy
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoImageProcessor, AutoModelForImageClassification, PreTrainedConfig
from transformers.utils.hub import cached_file, extract_commit_hash

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.model import weights_problem
from imgcls_lab.engine.layers import head_of
from imgcls_lab.engine.spec import EvalSpec
from imgcls_lab.errors import ConfigError, ModelError, Problem
from imgcls_lab.imagesize import DEFAULT_SIZE

Tell = Callable[[str], None]
_AUTO: Any = AutoModelForImageClassification
# TrainConfig's rates -> what timm calls them, then what transformers does
_RATES = {
    "drop_path": ("drop_path_rate", "drop_connect_rate"),
    "dropout": ("drop_rate", "hidden_dropout_prob", "dropout_rate", "classifier_dropout_prob"),
}

transformers.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
transformers.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
logging.getLogger("timm").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Flavour:
    """A model before it is built: where it is, its config, and how its images are prepared."""

    name: str
    config: PreTrainedConfig
    spec: EvalSpec
    native_size: int
    revision: str | None  # of the hub: the commit, wherever it can be told

    @property
    def local(self) -> bool:
        return os.path.isdir(self.name)


def read_flavour(name: str, revision: str | None, image_size: int | None) -> Flavour:
    """Read a model's config and processor, from the hub or a local folder, without its weights.

    Raises ModelError if there is none, it needs code of its own, or it is no image classifier.
    """
    expanded = os.path.expanduser(name)
    if os.path.isdir(expanded):
        name = expanded
        if not os.path.isfile(os.path.join(name, "config.json")):
            raise ModelError(f"The model folder “{name}” has no config.json. Give a folder that transformers saved.")
    elif name.startswith(("/", "./", "../", "~")) or name.count("/") > 1:
        raise ModelError(f"The model folder “{name}” does not exist.")
    where: dict[str, Any] = {"revision": revision, "trust_remote_code": False}
    try:
        if os.path.isdir(name):
            where["local_files_only"] = True
        else:  # everything from one commit, whatever is pushed meanwhile
            found = cached_file(name, "config.json", revision=revision)
            where["revision"] = extract_commit_hash(found, None) or revision
        config = AutoConfig.from_pretrained(name, **where)
    except Exception as error:  # transformers raises OSError, ValueError, KeyError and its own
        raise _unloadable(name, error) from error
    channels = getattr(config, "num_channels", 3)
    if channels != 3:
        raise ModelError(f"The model “{name}” takes images of {channels} channels; images are read as RGB, 3 channels.")
    try:
        processor = AutoImageProcessor.from_pretrained(name, **where)  # type: ignore[no-untyped-call]
        spec = EvalSpec.from_processor(processor)
    except Exception as error:  # many models come without a processor, which is no error
        if _needs_code(str(error)):
            raise _unloadable(name, error) from error
        spec = None
    native = spec.size if spec else _size_of(config)
    spec = spec or EvalSpec.plain(native)
    size = image_size or native
    return Flavour(name, config, spec if size == spec.size else spec.resized(size), native, where["revision"])


def with_rates(flavour: Flavour, config: TrainConfig) -> Flavour:
    """The flavour with the config's dropout and drop_path. Raises ConfigError if its architecture has none."""
    changed: Any = copy.deepcopy(flavour.config)
    for field, names in _RATES.items():
        rate = getattr(config, field)
        if rate is None:
            continue
        if changed.model_type == "timm_wrapper":
            changed.model_args = {**(changed.model_args or {}), names[0]: rate}
            continue
        there = [name for name in names if hasattr(changed, name)]
        try:
            for name in there:
                setattr(changed, name, rate)
        except Exception as error:  # a config that takes whole numbers alone
            raise _no_rate(flavour, field) from error
        if not there:
            raise _no_rate(flavour, field)
    return replace(flavour, config=changed)


def _no_rate(flavour: Flavour, field: str) -> ConfigError:
    text = f"A {flavour.config.model_type} has no {field.replace('_', ' ')} that can be set. Leave {field} empty."
    return ConfigError(text, [Problem(field, text)])


def build(flavour: Flavour, classes: list[str], pretrained: bool, seed: int, tell: Tell) -> nn.Module:
    """The model in float32 with a head for `classes`. Random parts are a function of the seed.

    `tell` gets sentences worth knowing, as that a new head was made. Raises ModelError.
    """
    config: Any = flavour.config
    old_labels = [str(config.id2label[i]) for i in range(config.num_labels)] if config.id2label else []
    torch.manual_seed(seed)
    if pretrained:
        model = _load_pretrained(flavour, classes, tell)
        _keep_or_renew_head(model, old_labels, classes, tell)
        if flavour.spec.size != flavour.native_size:
            model = _stretch_positions(model, flavour.spec.size, flavour.name)
    else:
        config = _with_classes(config, classes)
        if isinstance(getattr(config, "image_size", None), int):
            config.image_size = flavour.spec.size
        model = from_config(config, flavour.name)
    _try_out(model, flavour, len(classes))
    return model


def from_config(config: PreTrainedConfig, name: str) -> nn.Module:
    """A model with random weights. Raises ModelError if the config is of no image classifier."""
    try:
        model: nn.Module = _AUTO.from_config(config, trust_remote_code=False)
    except Exception as error:
        raise _unloadable(name, error) from error
    return model.float()


def load_exported(folder: Path) -> tuple[nn.Module, EvalSpec]:
    """A checkpoint's or export's model in evaluation mode, and its spec. Raises ModelError."""
    flavour = read_flavour(os.fspath(folder), None, None)
    try:
        model: nn.Module = _AUTO.from_pretrained(
            flavour.name, dtype=torch.float32, use_safetensors=True, trust_remote_code=False, local_files_only=True
        )
    except Exception as error:
        raise _unloadable(flavour.name, error) from error
    return model.eval(), flavour.spec


def class_names(model: nn.Module) -> list[str]:
    """The classes in the order of the outputs."""
    config: Any = model.config
    return [config.id2label[i] for i in range(config.num_labels)]


def export(model: nn.Module, spec: EvalSpec, folder: Path, state: dict[str, torch.Tensor] | None = None) -> None:
    """Write a complete model folder: config.json with class names, model.safetensors, preprocessor_config.json.

    `state`: other weights than the model's own, as those of an average.
    """
    pretrained: Any = model
    weights = {name: value.detach().cpu().contiguous() for name, value in (state or model.state_dict()).items()}
    config = pretrained.config
    kept = config.__dict__.pop("pretrained_cfg", None)  # else timm's own preprocessing would replace the spec
    try:
        pretrained.save_pretrained(folder, state_dict=weights)
    finally:
        if kept is not None:
            config.pretrained_cfg = kept
    spec.save_processor(folder)
    for path in folder.iterdir():
        path.chmod(0o600)


def _load_pretrained(flavour: Flavour, classes: list[str], tell: Tell) -> nn.Module:
    if flavour.local and (problem := weights_problem(flavour.name, load_pretrained=True)):
        raise ModelError(problem)
    try:
        model, info = _AUTO.from_pretrained(
            flavour.name,
            revision=flavour.revision,
            config=_with_classes(flavour.config, classes),
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            local_files_only=flavour.local,
        )
    except Exception as error:
        raise _unloadable(flavour.name, error) from error
    heads = {id(parameter) for head in head_of(model) for parameter in head.parameters()}
    body = {name for name, parameter in model.named_parameters() if id(parameter) not in heads}
    renewed = {str(item[0]) if isinstance(item, tuple) else str(item) for item in info.get("mismatched_keys", ())}
    absent = body & (set(info["missing_keys"]) | renewed)
    if len(absent) > len(body) / 2:
        raise ModelError(f"The weights of “{flavour.name}” do not fit its config.json; take another model.")
    if absent:
        tell(f"{len(absent)} of {len(body)} weights of “{flavour.name}” are missing and start at random.")
    return model.float()  # type: ignore[no-any-return]


def _keep_or_renew_head(model: nn.Module, old: list[str], classes: list[str], tell: Tell) -> None:
    """The same number of classes with other names would silently keep the old head: make a new one."""
    if len(old) != len(classes):
        tell(f"The model gets a new head for {len(classes)} classes.")
        return
    if old == classes:
        return
    for head in head_of(model):
        for module in head.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
    tell(f"The model knows {len(classes)} other classes (“{old[0]}” ...), so it gets a new head.")


def _with_classes(config: Any, classes: list[str]) -> Any:
    config = copy.deepcopy(config)
    config.id2label = dict(enumerate(classes))
    config.label2id = {name: index for index, name in enumerate(classes)}
    if hasattr(config, "label_names"):  # timm's; it would win when the model is loaded again
        config.label_names = list(classes)
    return config


def _stretch_positions(model: nn.Module, size: int, name: str) -> nn.Module:
    """The model with its position embeddings interpolated to another image size, for good.

    It then takes that size everywhere, pipelines included, without `interpolate_pos_encoding`. A model that has no
    such embeddings is returned as it is.
    """
    config: Any = copy.deepcopy(model.config)
    weights = model.state_dict()
    for prefix, module in model.named_modules():
        stretch = getattr(module, "interpolate_pos_encoding", None)
        positions = getattr(module, "position_embeddings", None)
        patches = getattr(getattr(module, "patch_embeddings", None), "num_patches", None)
        if stretch is None or not isinstance(positions, nn.Parameter) or patches is None:
            continue
        patch = config.patch_size if isinstance(config.patch_size, int) else config.patch_size[0]
        tokens = (size // patch) ** 2 + positions.shape[1] - patches
        with torch.no_grad():
            stretched = stretch(torch.zeros(1, tokens, positions.shape[-1]), size, size)
        weights[f"{prefix}.position_embeddings"] = stretched.detach().clone()
        config.image_size = size
    if getattr(config, "image_size", None) == getattr(model.config, "image_size", None):
        return model
    resized = from_config(config, name)
    resized.load_state_dict(weights)
    return resized


def _try_out(model: nn.Module, flavour: Flavour, classes: int) -> None:
    """One image through the model, so that a wrong size fails now and in words."""
    size = flavour.spec.size
    model.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            logits = model(pixel_values=torch.zeros(1, 3, size, size)).logits
    except Exception as error:
        raise ModelError(
            f"The model “{flavour.name}” cannot take images of {size} px ({error}). Leave image_size empty for "
            f"{flavour.native_size} px."
        ) from error
    if tuple(logits.shape) != (1, classes):
        raise ModelError(f"The model “{flavour.name}” gives {tuple(logits.shape)} values an image, not {classes}.")


def _size_of(config: PreTrainedConfig) -> int:
    size = getattr(config, "image_size", None)
    if isinstance(size, tuple | list) and size:
        size = size[0]
    return size if isinstance(size, int) and size > 0 else DEFAULT_SIZE


def _unloadable(name: str, error: Exception) -> ModelError:
    """What transformers and the hub raise, as one sentence with the remedy."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        raise error
    if _needs_code(text):
        return ModelError(f"The model “{name}” needs code of its own, which is not run here. Take another model.")
    if "not a valid JSON" in text or "JSONDecode" in type(error).__name__:
        return ModelError(f"The config.json of the model “{name}” is not valid JSON.")
    if "safetensors" in text and "no file named" in text:
        return ModelError(f"The model “{name}” has no weights in the safetensors format; pickled ones are not loaded.")
    if os.path.isdir(name):
        if "Unrecognized configuration class" in text:
            return ModelError(f"The model “{name}” is no image classifier of transformers. Take another model.")
        return ModelError(f"The model folder “{name}” cannot be loaded: {_first_sentence(text)}")
    if "Unrecognized configuration class" in text:
        return ModelError(f"The model “{name}” is no image classifier of transformers. Take another model.")
    if "gated" in text or "401" in text or "403" in text:
        return ModelError(f"The model “{name}” needs a login to the Hugging Face hub: accept its terms and log in.")
    if "is not a local folder and is not a valid model identifier" in text or "Repository Not Found" in text:
        return ModelError(f"There is no model “{name}” on the Hugging Face hub, and no folder of that name. Check it.")
    return ModelError(
        f"The model “{name}” is not on this machine and the Hugging Face hub cannot be reached. Connect to the "
        "network once to download it, or give the folder of a saved model."
        if _no_network(text)
        else f"The model “{name}” cannot be loaded: {_first_sentence(text)}"
    )


def _needs_code(text: str) -> bool:
    return "trust_remote_code" in text or "custom code" in text


def _no_network(text: str) -> bool:
    signs = ("connect to", "Connection", "offline", "Max retries", "resolve host", "Name or service", "timed out")
    return any(sign in text for sign in signs)


def _first_sentence(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "unknown reason"
    return line if line.endswith(".") else line + "."

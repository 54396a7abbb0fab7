"""What a model's config may ask for: a model that this machine cannot hold is refused before it is made."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from typing import Any

import psutil
import torch
from torch import nn
from torch.nn.modules import module as hooks
from transformers import AutoModelForImageClassification, PreTrainedConfig
from transformers.initialization import meta_device_safe_creation_ops, no_init_weights

from imgcls_lab.engine.model.load_errors import unloadable
from imgcls_lab.errors import ModelError

MAX_PARAMETERS = 20_000_000_000  # of a model; the largest image classifiers have a third of it
MAX_MODULES = 10_000  # of a model; the deepest have a few thousand
_COUNTS = ("depth", "layer", "block")  # in the names of fields that count layers, of timm and of transformers
_AUTO: Any = AutoModelForImageClassification


class _TooLargeError(Exception):
    """A model outgrew its limit while it was formed."""


def check_size(config: PreTrainedConfig, name: str) -> None:
    """Raises ModelError for a model that this machine cannot hold. Its form alone is made, without memory for weights.

    What else is wrong with a config is said by whoever makes the model.
    """
    try:
        _check_counts(config.to_dict())
        _check_form(config)
    except _TooLargeError as error:
        raise ModelError(
            f"The config.json of the model “{name}” asks for {error}. Take a smaller model.",
            reason="model_too_large",
            model=name,
        ) from None
    except Exception as error:
        raise unloadable(name, error) from error


def _check_counts(values: Mapping[str, Any]) -> None:
    """Whoever forms a model first makes a list as long as it is deep, which nothing below could stop."""
    if any(count > MAX_MODULES for count in _layer_counts(values)):
        raise _TooLargeError(f"more than {MAX_MODULES:,} layers")


def _layer_counts(values: Mapping[str, Any]) -> Iterator[float]:
    """What the fields that count layers say, of all stages together, and those of the parts of a config."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _layer_counts(value)
        elif any(word in str(name) for word in _COUNTS):
            parts = value if isinstance(value, list | tuple) else [value]
            yield sum(part for part in parts if isinstance(part, int | float))


def _check_form(config: PreTrainedConfig) -> None:
    """Form the model on the meta device, and stop where it outgrows a limit."""
    free = psutil.virtual_memory().available
    limit = min(MAX_PARAMETERS, free // 4)
    thread, parameters, modules = threading.get_ident(), 0, 0

    def count_tensor(_module: nn.Module, _name: str, tensor: torch.Tensor | None) -> None:
        nonlocal parameters
        if tensor is not None and threading.get_ident() == thread:
            parameters += tensor.numel()
            if parameters > limit:
                raise _TooLargeError(f"more than {limit:,} parameters, and {free / 1e9:,.0f} GB of memory are free")

    def count_module(_module: nn.Module, _name: str, _child: nn.Module | None) -> None:
        nonlocal modules
        modules += threading.get_ident() == thread
        if modules > MAX_MODULES:
            raise _TooLargeError(f"more than {MAX_MODULES:,} layers")

    with ExitStack() as stack:
        stack.callback(hooks.register_module_parameter_registration_hook(count_tensor).remove)
        stack.callback(hooks.register_module_buffer_registration_hook(count_tensor).remove)
        stack.callback(hooks.register_module_module_registration_hook(count_module).remove)
        contexts = (torch.device("meta"), meta_device_safe_creation_ops(), no_init_weights())
        for context in (*contexts, torch.random.fork_rng(devices=[])):
            stack.enter_context(context)
        _AUTO.from_config(config, trust_remote_code=False)

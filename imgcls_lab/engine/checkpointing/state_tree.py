"""A nested training state as one safetensors file and one JSON text, without pickle.

Tensors go to the safetensors file, everything else to JSON. safetensors gives tensors back contiguous; a fused
optimizer that meets contiguous moments beside channels-last weights computes wrong numbers without a word, so each
tensor's strides are kept and restored.
"""

from __future__ import annotations

from typing import Any

import torch

_TENSOR = "__tensor__"
_PAIRS = "__pairs__"
_TUPLE = "__tuple__"
_DTYPE = "__dtype__"


def flatten(tree: Any) -> tuple[Any, dict[str, torch.Tensor]]:
    """The tree with tensors replaced by their names, and the tensors by name. Raises TypeError for other objects."""
    tensors: dict[str, torch.Tensor] = {}

    def visit(node: Any, path: str) -> Any:
        if isinstance(node, torch.Tensor):
            tensors[path] = node.detach().cpu().clone(memory_format=torch.contiguous_format)
            return {_TENSOR: path, "strides": list(node.stride())}
        if isinstance(node, dict):  # keys may be numbers, which JSON cannot say
            return {_PAIRS: [[key, visit(value, f"{path}.{key}")] for key, value in node.items()]}
        if isinstance(node, tuple):
            return {_TUPLE: [visit(value, f"{path}.{i}") for i, value in enumerate(node)]}
        if isinstance(node, list):
            return [visit(value, f"{path}.{i}") for i, value in enumerate(node)]
        if isinstance(node, torch.dtype):  # an option of some optimizers
            return {_DTYPE: str(node).removeprefix("torch.")}
        if node is None or isinstance(node, bool | int | float | str):
            return node
        raise TypeError(f"{path} holds a {type(node).__name__}, which a checkpoint cannot store.")

    return visit(tree, "state"), tensors


def unflatten(tree: Any, tensors: dict[str, torch.Tensor]) -> Any:
    """The inverse of `flatten`, strides included."""
    if isinstance(tree, list):
        return [unflatten(node, tensors) for node in tree]
    if not isinstance(tree, dict):
        return tree
    if _TENSOR in tree:
        stored = tensors[tree[_TENSOR]]
        if list(stored.stride()) == tree["strides"]:
            return stored
        return torch.empty_strided(stored.shape, tree["strides"], dtype=stored.dtype).copy_(stored)
    if _DTYPE in tree:
        return getattr(torch, tree[_DTYPE])
    if _TUPLE in tree:
        return tuple(unflatten(node, tensors) for node in tree[_TUPLE])
    return {key: unflatten(node, tensors) for key, node in tree[_PAIRS]}


def branch(tree: Any, name: str) -> Any:
    """What a flattened dict holds under a name, which must be free of tensors. Raises KeyError, TypeError."""
    return unflatten(dict(tree[_PAIRS])[name], {})

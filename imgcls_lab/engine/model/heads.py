"""The head of a pretrained model for the classes of a data set: kept, put into their order, or made anew.

Called where a model is built. Weights of classes with other names are never kept.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from imgcls_lab.engine.model.labels import Labels
from imgcls_lab.engine.model.structure import head_of
from imgcls_lab.engine.transforms.geometry import Shape
from imgcls_lab.plurals import counted


def fit_head(
    model: nn.Module, labels: Labels, classes: list[str], shape: Shape, notify: Callable[[str], None], *, is_new: bool
) -> None:
    """Make the head one for `classes`; `notify` gets a sentence about the old one.

    model: as it was loaded for as many classes; labels: what its outputs were called; shape: height and width of an
    image that it takes; is_new: the head is new already, as where the weights have none for so many classes.
    """
    if is_new:
        notify(f"The model gets a new head for {counted(len(classes), 'class', 'classes')}.")
        return
    why = _reason_for_new_head(model, labels, classes, shape, notify)
    if why is not None:
        for head in head_of(model):
            for module in head.modules():
                reset = getattr(module, "reset_parameters", None)
                if callable(reset):
                    reset()
        notify(f"{why.rstrip('.')}, so it gets a new head for {counted(len(classes), 'class', 'classes')}.")


def _reason_for_new_head(
    model: nn.Module, labels: Labels, classes: list[str], shape: Shape, notify: Callable[[str], None]
) -> str | None:
    """Why the head cannot stay, where it cannot; outputs of the same classes are put in order."""
    if labels.problem is not None:
        return labels.problem
    if labels.duplicate is not None:
        return f"Two outputs of the model “{labels.model}” are called “{labels.duplicate}”"
    old = list(labels.given)
    if len(old) == len(classes) and labels.conflict is not None:
        notify(labels.conflict)
    if old == classes:
        return None
    if set(old) == set(classes):
        if _reorder(model, [old.index(name) for name in classes], shape):
            notify(
                "The model knows these classes in another order, so its head is kept and its outputs are put in order."
            )
            return None
        return "The model knows these classes in another order, and its head cannot be put into this one"
    stranger = next((name for name in old if name not in classes), old[0])
    return f"The model knows {counted(len(old), 'other class', 'other classes')} (“{stranger}” ...)"


@torch.no_grad()
def _reorder(model: nn.Module, order: list[int], shape: Shape) -> bool:
    """Give output i what output order[i] was; whether the logits say so. If not, all is as it was."""
    layers = [layer for head in head_of(model) if (layer := _last_layer(head, len(order))) is not None]
    image = torch.rand(1, 3, *shape, generator=torch.Generator().manual_seed(0))
    training = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        before = model(pixel_values=image).logits
    except Exception:  # the model cannot take its own images: who builds it tries it next, and says so
        return False
    weights = [parameter for layer in layers for parameter in (layer.weight, layer.bias) if parameter is not None]
    kept = [parameter.clone() for parameter in weights]
    for parameter in weights:
        parameter.copy_(parameter[order])
    moved = torch.allclose(model(pixel_values=image).logits, before[:, order], rtol=1e-4, atol=1e-6)
    if not moved:
        for parameter, value in zip(weights, kept, strict=True):
            parameter.copy_(value)
    for module, was in training:
        module.training = was
    return moved


def _last_layer(head: nn.Module, outputs: int) -> nn.Linear | nn.Conv2d | None:
    layers = [module for module in head.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    return layers[-1] if layers and layers[-1].weight.shape[0] == outputs else None

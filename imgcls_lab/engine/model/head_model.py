"""The head of a model by itself: trained on the features of a frozen backbone.

Used by the inputs of a run under a frozen backbone, and by the replay of one. Changes nothing in the model.
"""

from __future__ import annotations

import torch
from torch import nn
from transformers.modeling_outputs import ImageClassifierOutput

from imgcls_lab.engine.model.structure import head_of
from imgcls_lab.engine.transforms.preprocessing import EvalSpec


class HeadModel(nn.Module):
    """The end of a model, made of the model's own modules. Raises ValueError if its head is not one module."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        heads = head_of(model)
        if len(heads) != 1:
            raise ValueError("The head of this model is not one module.")
        self.head = heads[0]
        self.dropouts = nn.ModuleList(child for child in model.children() if isinstance(child, nn.Dropout))

    def forward(self, pixel_values: torch.Tensor) -> ImageClassifierOutput:
        """pixel_values: features, under the name that the whole model has for its input."""
        for dropout in self.dropouts:
            pixel_values = dropout(pixel_values)
        return ImageClassifierOutput(logits=self.head(pixel_values))

    def features(self, model: nn.Module, values: torch.Tensor) -> torch.Tensor:
        """What the head gets inside the model, which is in evaluation mode, for images (n, 3, height, width).

        Raises ValueError if it gets more than one tensor.
        """
        received: list[torch.Tensor] = []
        handle = self.head.register_forward_pre_hook(lambda _head, inputs: received.extend(inputs))
        try:
            model(pixel_values=values)
        finally:
            handle.remove()
        if len(received) != 1:
            raise ValueError("The head of this model is given more than features.")
        return received[0].detach()


@torch.no_grad()
def feature_bytes(model: nn.Module, spec: EvalSpec) -> int | None:
    """Bytes of an image's features in float32; None where the head alone does not give the model's logits."""
    device = next(model.parameters()).device
    values = torch.rand(2, 3, *spec.shape, generator=torch.Generator().manual_seed(0)).to(device)
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        head = HeadModel(model)
        features = head.features(model, values)
        same = torch.allclose(head.eval()(features).logits, model(pixel_values=values).logits, atol=1e-5)
    except ValueError:
        return None
    finally:
        for module, training in modes:
            module.training = training
    return 4 * features[0].numel() if same and len(features) == len(values) else None

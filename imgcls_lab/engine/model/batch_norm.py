"""Whether a model can learn from one image at a time. Called once, when a run's model is made.

Batch norm has no variance to divide by where one image gives a channel a single number, as after a global pooling.
"""

from __future__ import annotations

import copy

import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.model import freezing
from imgcls_lab.errors import ConfigError, Problem


@torch.no_grad()
def check_batch_of_one(model: nn.Module, config: TrainConfig, image: torch.Tensor) -> None:
    """Raises ConfigError if the batches are of one image and the model's batch norms cannot learn from that.

    image: float32 (1, 3, height, width). No larger batch size makes such a batch: a last one joins the one before it.
    """
    if config.batch_size > 1 or not any(map(_is_batch_norm, model.modules())):
        return
    trial = copy.deepcopy(model)
    freezing.prepare_model(trial, config)
    freezing.begin_epoch(trial, config, config.epochs)  # with all that ever learns
    try:
        with torch.random.fork_rng(devices=[]):
            trial(pixel_values=image)
    except ValueError as error:
        if "more than 1 value per channel" not in str(error):
            raise
        text = "The model has batch norms, which cannot learn from one image at a time. Set batch_size to 2 or more."
        raise ConfigError(text, [Problem("batch_size", text)]) from error


def _is_batch_norm(module: nn.Module) -> bool:
    return isinstance(module, nn.modules.batchnorm._BatchNorm)

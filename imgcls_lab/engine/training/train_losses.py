"""The cross entropy of each training image as a step computed it, kept on the device until the epoch ends.

Made by `build`, filled by the loop, in checkpoints within an epoch. Nothing here waits for the device, draws a random
number or takes part in the gradient.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch.nn import functional

from imgcls_lab.engine.distributed.process_group import ProcessGroup
from imgcls_lab.engine.optim.losses import Target

Losses = npt.NDArray[np.float32]


class EpochLosses:
    """images: how many an epoch draws. Each process holds those of its own part of the batches."""

    def __init__(self, images: int, device: torch.device, group: ProcessGroup) -> None:
        self._losses = torch.full((images,), torch.nan, device=device)  # by place in the epoch's order
        self._group = group

    def clear(self) -> None:
        """An epoch begins."""
        self._losses.fill_(torch.nan)

    def add(self, logits: torch.Tensor, target: Target, first: int) -> None:
        """This process's part of a batch.

        logits: (rows of this process, classes); target: of the whole batch; first: place of the batch in the epoch.
        """
        own = self._group.shard(np.arange(len(target.labels)))
        if not len(own):
            return
        rows = slice(int(own[0]), int(own[-1]) + 1)
        losses = functional.cross_entropy(logits.detach().float(), target.labels[rows], reduction="none")
        if target.partners is not None:  # a mixed image has no class of its own
            losses = losses.masked_fill(target.partners.weights[rows] != 1, torch.nan)
        self._losses[first + rows.start : first + rows.stop] = losses

    def gather(self) -> torch.Tensor:
        """Those of all processes, float32 (places,), on the CPU. All processes call it at the same place."""
        first: torch.Tensor
        first, *others = [part["losses"] for part in self._group.all_gather({"losses": self._losses.cpu()})]
        for other in others:  # what one process holds, no other does
            first = torch.where(first.isnan(), other, first)
        return first

    def restore(self, losses: torch.Tensor) -> None:
        """Go on with what `gather` gave."""
        self._losses.copy_(losses)

    def by_image(self, order: npt.NDArray[np.int64], images: int) -> Losses:
        """The losses by image; of one that was drawn several times the last. order: the images in their places."""
        losses = np.full(images, np.nan, np.float32)
        losses[order] = self.gather().numpy()
        return losses

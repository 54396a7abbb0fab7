"""Convolutions whose feature maps have few pixels: their weights' gradient as matrix products, on a CPU.

oneDNN has no kernel for that gradient where a map is as small as its window, and multiplies image by image instead: of
a ResNet on pictures of 28 to 64 px it takes a third of the step and more (512 channels on one pixel: 110 ms against
0.7). Here each place of the kernel is one product over the whole batch, and places that meet the border alone are left
out. Same sums in another order; forward pass and the input's gradient stay oneDNN's.

Called by `freezing.prepare_model`, and by the replay, which must round as the run did. `benchmarks/smallmaps.py`
measures it.
"""

from __future__ import annotations

from typing import Any, NamedTuple, cast

import torch
from torch import nn
from torch.nn import functional

PIXELS = 9  # of a map, at most; above, oneDNN is as fast or faster (32 and 128 images, 64 to 512 channels, AVX2)
WEIGHTS = 128 * 128 * 9  # at least; below, a product a place costs more than it saves


class Axis(NamedTuple):
    """How a kernel moves along one axis, in pixels."""

    stride: int
    padding: int
    dilation: int

    def outputs(self, size: int, kernel: int) -> int:
        return (size + 2 * self.padding - self.dilation * (kernel - 1) - 1) // self.stride + 1

    def inside(self, size: int, outputs: int, place: int) -> tuple[slice, slice] | None:
        """The inputs that a place of the kernel meets, and the outputs that it meets them for; None if none."""
        shift = place * self.dilation - self.padding  # of the input under this place, for output 0
        first = max(0, -(shift // self.stride))
        last = min(outputs - 1, (size - 1 - shift) // self.stride)
        if first > last:
            return None
        begin = first * self.stride + shift
        return slice(begin, begin + (last - first) * self.stride + 1, self.stride), slice(first, last + 1)


def replace_convolutions(model: nn.Module) -> None:
    """Let the model's plain convolutions that are large enough compute so. Their names and weights stay as they are."""
    for module in model.modules():
        if type(module) is nn.Conv2d and _could(module):
            module.__class__ = SmallMapConv2d


def _could(convolution: nn.Conv2d) -> bool:
    return (
        convolution.groups == 1
        and convolution.kernel_size != (1, 1)  # oneDNN has a kernel for it
        and convolution.padding_mode == "zeros"
        and not isinstance(convolution.padding, str)
        and convolution.weight.device.type == "cpu"
        and convolution.weight.numel() >= WEIGHTS
    )


class SmallMapConv2d(nn.Conv2d):
    """A `Conv2d` in all but how the gradient of its weights is computed on small maps in float32."""

    def _conv_forward(self, input: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None) -> torch.Tensor:
        axes = axes_of(self)
        learns = weight.requires_grad and torch.is_grad_enabled()
        single = input.dtype == torch.float32 and not torch.is_autocast_enabled(input.device.type)
        if learns and single and input.dim() == 4 and _pixels(input, weight, axes) <= PIXELS:
            return cast(torch.Tensor, _Convolution.apply(input, weight, bias, axes))
        return cast(torch.Tensor, super()._conv_forward(input, weight, bias))


def axes_of(convolution: nn.Conv2d) -> tuple[Axis, Axis]:
    """How it moves down and across. Its padding is given in pixels."""
    padding = cast(tuple[int, int], convolution.padding)
    rows, columns = zip(convolution.stride, padding, convolution.dilation, strict=True)
    return Axis(*rows), Axis(*columns)


def _pixels(images: torch.Tensor, weight: torch.Tensor, axes: tuple[Axis, Axis]) -> int:
    """Pixels of one map of the output."""
    down, across = axes
    return down.outputs(images.shape[2], weight.shape[2]) * across.outputs(images.shape[3], weight.shape[3])


class _Convolution(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, images: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor | None, axes: tuple[Axis, Axis]
    ) -> torch.Tensor:
        ctx.save_for_backward(images, weight)
        ctx.axes, ctx.of_bias = axes, None if bias is None else list(bias.shape)
        stride, padding, dilation = zip(*axes, strict=True)
        return functional.conv2d(images, weight, bias, stride, padding, dilation)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        images, weight = ctx.saved_tensors
        stride, padding, dilation = zip(*ctx.axes, strict=True)
        geometry = (stride, padding, dilation, False, [0, 0], 1)  # not transposed, no output padding, one group
        wanted = [ctx.needs_input_grad[0], False, ctx.needs_input_grad[2]]
        to_images, _, to_bias = torch.ops.aten.convolution_backward(
            grad, images, weight, ctx.of_bias, *geometry, wanted
        )
        to_weight = weight_gradient(images, grad, weight, ctx.axes) if ctx.needs_input_grad[1] else None
        return to_images, to_weight, to_bias, None


def weight_gradient(
    images: torch.Tensor, grad: torch.Tensor, weight: torch.Tensor, axes: tuple[Axis, Axis]
) -> torch.Tensor:
    """The gradient of a convolution's weights, laid out in memory as they are.

    images: (batch, in, height, width); grad: of the output, (batch, out, rows, columns); weight: (out, in, kernel
    height, kernel width). Of every place of the kernel: the product, over all images and all pixels of the output
    whose window has this place inside the image, of what went in there and what came back.
    """
    down, across = axes
    found = torch.zeros_like(weight)
    images, grad = images.permute(0, 2, 3, 1), grad.permute(0, 2, 3, 1)
    for row in range(weight.shape[2]):
        rows = down.inside(images.shape[1], grad.shape[1], row)
        for column in range(weight.shape[3]):
            columns = across.inside(images.shape[2], grad.shape[2], column)
            if rows and columns:
                went = images[:, rows[0], columns[0]].reshape(-1, images.shape[3])
                came = grad[:, rows[1], columns[1]].reshape(-1, grad.shape[3])
                found[:, :, row, column] = came.T @ went
    return found

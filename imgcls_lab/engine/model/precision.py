"""The precision of a run: told by the hardware and the model's layers, never by a clock, so that a config is one run.

Chosen once, on the first attempt. Whoever starts the run, whatever else the machine does then: the same hardware and
the same model give the same answer, and so the same bits.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from imgcls_lab import cpu
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, Problem

# From where a model's layers gain from bf16 on a CPU that multiplies it. bf16 hastens products alone: every number is
# converted, normed and activated as before, and each call costs what it costs. Measured on an AMD EPYC with AVX512-BF16
# (no processor with AMX was at hand): some forty models, whole steps of 2 to 128 images in fp32 and bf16 by turns, on
# one thread by the processor's time and on two; docs/training.md has figures. Of 22 that both constants let through 21
# gain, 1.2 to 2.8 times, and one (MobileNetV4-medium) loses 7 %. What DENSE leaves out gives 0.55 to 1.15 (MobileNets,
# EfficientNets), some hybrids up to 1.9. What LARGE leaves out, as ResNets on 28 to 32 px, would gain 0 to 20 % or so
# on two idle cores; where another program wants these, its steps in bf16 take 2 to 15 times as long as in fp32, since
# the threads of oneDNN's kernels spin while they wait for each other, many times a step.
DENSE = 100.0  # multiply-adds of dense layers for each number that layers give on
LARGE = 2.5e6  # multiply-adds of a layer for one image, on average


@dataclass(frozen=True)
class Precision:
    """name: fp32, bf16 or fp16; reason: a sentence for the manifest; told: whether the user should hear it."""

    name: str
    reason: str
    told: bool = False


@dataclass(frozen=True)
class Layers:
    """What one image makes a model's linear layers and convolutions do; depthwise ones make no dense product.

    products: multiply-adds in dense products; given: numbers that all give on; count: how many they are; starved:
    whether a convolution gets an input narrower than its stride or than half of its kernel.
    """

    products: int
    given: int
    count: int
    starved: bool

    @property
    def density(self) -> float:
        return self.products / max(self.given, 1)

    @property
    def size(self) -> float:
        return self.products / max(self.count, 1)


def pick_precision(config: TrainConfig, device: torch.device, model: nn.Module, shape: tuple[int, int]) -> Precision:
    """What to train in; never a precision in which this hardware computes wrong numbers.

    auto: on a GPU what its generation multiplies fastest; on a CPU bf16 if it multiplies that and the model's layers
    gain from it, else fp32. Raises ConfigError for one that cannot be.
    """
    if config.precision == "fp16" and device.type == "cpu":
        text = "fp16 needs a GPU. Set precision to auto, bf16 or fp32."
        raise ConfigError(text, [Problem("precision", text)])
    if device.type == "cuda":
        return _on_gpu(device) if config.precision == "auto" else _asked(config)
    if config.precision == "fp32":
        return _asked(config)
    unit = cpu.bf16_unit()
    if config.precision == "auto" and unit is None:
        return Precision("fp32", "This processor does not multiply bf16.")
    layers = look_at_layers(model, shape)
    if layers.starved:
        reason = f"At {shape[1]} x {shape[0]} px this model's last feature maps are too small for bf16 on a CPU"
        if config.precision == "bf16":
            text = f"{reason}. Set precision to auto or fp32, or raise image_size."
            raise ConfigError(text, [Problem("precision", text)])
        return Precision("fp32", f"{reason}, so it trains in fp32.", told=True)
    if config.precision == "bf16":
        return _asked(config)
    gains = layers.density >= DENSE and layers.size >= LARGE
    return Precision(
        "bf16" if gains else "fp32",
        f"This processor multiplies bf16 ({unit}). A layer does {layers.size / 1e6:.1f} million multiply-adds for an "
        f"image, {layers.density:.0f} for each number that it gives on; bf16 pays from {LARGE / 1e6:.1f} million and "
        f"{DENSE:.0f} on.",
    )


def _asked(config: TrainConfig) -> Precision:
    return Precision(config.precision, "The config asks for it.")


def _on_gpu(device: torch.device) -> Precision:
    """By the generation: bf16 from Ampere on, fp16 where there are tensor cores, else nothing is gained."""
    generation = torch.cuda.get_device_capability(device)
    name = "bf16" if generation >= (8, 0) else "fp16" if generation >= (7, 0) else "fp32"
    return Precision(name, f"A GPU of compute capability {generation[0]}.{generation[1]}.")


@torch.no_grad()
def look_at_layers(model: nn.Module, shape: tuple[int, int]) -> Layers:
    """Pass one image of zeros, to see what the model's layers make of it. Modes and random state stay as they are.

    A starved convolution must not train in bf16 on a CPU: oneDNN's weight gradient then reads memory that nobody
    wrote (measured with torch 2.15 on AVX-512: random values or NaN in most runs; float32 is sound).
    """
    products = given = count = 0
    starved = False

    def look(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal products, given, count, starved
        given, count = given + output.numel(), count + 1
        if isinstance(layer, nn.Linear):
            products += output.numel() * layer.in_features
        elif isinstance(layer, nn.Conv2d):
            depthwise = 1 < layer.groups == layer.in_channels
            products += 0 if depthwise else output.numel() * layer.weight[0].numel()
            for extent, kernel, stride in zip(inputs[0].shape[-2:], layer.kernel_size, layer.stride, strict=True):
                starved |= kernel > 1 and extent < max(stride, kernel // 2)

    modes = [(module, module.training) for module in model.modules()]
    hooks = [m.register_forward_hook(look) for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    try:
        model.eval()(pixel_values=torch.zeros(1, 3, *shape))
    finally:
        for hook in hooks:
            hook.remove()
        for module, training in modes:
            module.training = training
    return Layers(products, given, count, starved)

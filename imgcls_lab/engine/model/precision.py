"""The precision of a run: chosen by hardware and layers, never by measuring, so that a config always trains the same.

Chosen once, on the first attempt. The same hardware and the same model give the same precision, and so the
same bits, whoever starts the run and whatever else the machine does.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from imgcls_lab import cpu
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import ConfigError, Problem

# Limits from which a model gains from bf16 on a CPU that multiplies it. bf16 speeds up products alone: every number is
# converted, normalised and activated as before, and each call has its fixed cost. Measured on an AMD EPYC with
# AVX512-BF16 (no processor with AMX was at hand): some forty models, whole steps of 2 to 128 images alternately in
# fp32 and bf16, on one thread by the processor's time and on two; docs/training.md has the results. Of 22 models that
# pass both limits 21 gain, 1.2 to 2.8 times, and one (MobileNetV4-medium) loses 7 %. Models below MIN_DENSITY give
# 0.55 to 1.15 (MobileNets, EfficientNets), some hybrids up to 1.9. Models below MIN_LAYER_SIZE, as ResNets on 28 to 32
# px, would gain 0 to 20 % on two idle cores; where another program uses these cores, its steps in bf16 take 2 to 15
# times as long as in fp32, since the threads of oneDNN's kernels spin while they wait for each other, many times a
# step.
MIN_DENSITY = 100.0  # multiply-adds of dense layers for each number that layers put out
MIN_LAYER_SIZE = 2.5e6  # multiply-adds of a layer for one image, on average


@dataclass(frozen=True)
class Precision:
    """name: fp32, bf16 or fp16; reason: a sentence for the manifest; notify: whether the user gets it, too."""

    name: str
    reason: str | None
    notify: bool = False


@dataclass(frozen=True)
class Layers:
    """The work of a model's linear layers and convolutions for one image; depthwise ones make no dense product.

    products: multiply-adds in dense products; outputs: numbers that all put out; count: how many they are; too_narrow:
    whether a convolution gets an input narrower than its stride or than half of its kernel.
    """

    products: int
    outputs: int
    count: int
    too_narrow: bool

    @property
    def density(self) -> float:
        return self.products / max(self.outputs, 1)

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
        return _on_gpu(device) if config.precision == "auto" else _requested(config)
    if config.precision == "fp32":
        return _requested(config)
    unit = cpu.bf16_unit()
    if config.precision == "auto" and unit is None:
        return Precision("fp32", "This processor does not multiply bf16.")
    layers = profile_layers(model, shape)
    if layers.too_narrow:
        reason = f"At {shape[1]} x {shape[0]} px this model's last feature maps are too small for bf16 on a CPU"
        if config.precision == "bf16":
            text = f"{reason}. Set precision to auto or fp32, or raise image_size."
            raise ConfigError(text, [Problem("precision", text)])
        return Precision("fp32", f"{reason}, so it trains in fp32.", notify=True)
    if config.precision == "bf16":
        return _requested(config)
    gains = layers.density >= MIN_DENSITY and layers.size >= MIN_LAYER_SIZE
    return Precision(
        "bf16" if gains else "fp32",
        f"This processor multiplies bf16 ({unit}). A layer does {layers.size / 1e6:.1f} million multiply-adds for an "
        f"image, {layers.density:.0f} for each number that it puts out; bf16 pays from {MIN_LAYER_SIZE / 1e6:.1f} "
        f"million and {MIN_DENSITY:.0f} on.",
    )


def _requested(config: TrainConfig) -> Precision:
    return Precision(config.precision, "The config asks for it.")


def _on_gpu(device: torch.device) -> Precision:
    """By the generation: bf16 from Ampere on, fp16 where there are tensor cores, else nothing is gained."""
    generation = torch.cuda.get_device_capability(device)
    name = "bf16" if generation >= (8, 0) else "fp16" if generation >= (7, 0) else "fp32"
    return Precision(name, f"A GPU of compute capability {generation[0]}.{generation[1]}.")


@torch.no_grad()
def profile_layers(model: nn.Module, shape: tuple[int, int]) -> Layers:
    """Pass one image of zeros through the model and count the work of its layers.

    Modes and random state stay as they are. A convolution with too narrow an input must not train in bf16 on a CPU:
    oneDNN's weight gradient then reads memory that nobody wrote (measured with torch 2.15 on AVX-512: random values or
    NaN in most runs; float32 is sound).
    """
    products = outputs = count = 0
    too_narrow = False

    def hook(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        nonlocal products, outputs, count, too_narrow
        outputs, count = outputs + output.numel(), count + 1
        if isinstance(layer, nn.Linear):
            products += output.numel() * layer.in_features
        elif isinstance(layer, nn.Conv2d):
            depthwise = 1 < layer.groups == layer.in_channels
            products += 0 if depthwise else output.numel() * layer.weight[0].numel()
            for extent, kernel, stride in zip(inputs[0].shape[-2:], layer.kernel_size, layer.stride, strict=True):
                too_narrow |= kernel > 1 and extent < max(stride, kernel // 2)

    modes = [(module, module.training) for module in model.modules()]
    handles = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    try:
        model.eval()(pixel_values=torch.zeros(1, 3, *shape))
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
    return Layers(products, outputs, count, too_narrow)

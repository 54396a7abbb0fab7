"""The precision of a run: what this hardware computes right, and faster. Chosen once, on the first attempt.

On a CPU that multiplies bf16 a few steps of the model itself are timed: small ones, convolutional ones and few
threads often gain nothing.
"""

from __future__ import annotations

import copy
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import gains, layers
from imgcls_lab.engine.memoryformat import pick_memory_format
from imgcls_lab.errors import ConfigError, Problem

SECONDS = 2.0  # that timing may take, about
ROUNDS = 5
STEP = 0.1  # seconds that one timed step should last at most
GAIN = 1.05  # that bf16 must bring, since it costs digits


@dataclass(frozen=True)
class Precision:
    """name: fp32, bf16 or fp16; bf16_gain: measured speed of bf16 over that of fp32; note: what to tell the user."""

    name: str
    bf16_gain: float | None = None
    note: str | None = None


def pick_precision(
    config: TrainConfig, device: torch.device, model: nn.Module, size: int, known: Path | None = None
) -> Precision:
    """What to train in; never a precision in which this hardware computes wrong numbers.

    auto: bf16 on GPUs that have it, else fp16; on a CPU bf16 if it has it and it is faster, else fp32. known: a folder
    that remembers what was measured. Raises ConfigError for one that cannot be.
    """
    if device.type == "cuda":
        if config.precision != "auto":
            return Precision(config.precision)
        return Precision("bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16")
    if config.precision == "fp16":
        text = "fp16 needs a GPU. Set precision to auto, bf16 or fp32."
        raise ConfigError(text, [Problem("precision", text)])
    if config.precision == "fp32" or (config.precision == "auto" and not cpu_has_bf16()):
        return Precision("fp32")
    if has_starved_convolution(model, size):
        reason = f"At {size} px this model's last feature maps are too small for bf16 on a CPU"
        if config.precision == "bf16":
            text = f"{reason}. Set precision to auto or fp32, or raise image_size."
            raise ConfigError(text, [Problem("precision", text)])
        return Precision("fp32", note=f"{reason}, so it trains in fp32.")
    if config.precision == "bf16":
        return Precision("bf16")
    gain = bf16_gain(model, size, config, known)
    return Precision("bf16" if gain >= GAIN else "fp32", bf16_gain=gain)


def bf16_gain(model: nn.Module, size: int, config: TrainConfig, known: Path | None = None) -> float:
    """How many times faster a training step is in bf16 than in fp32 on this CPU, with the threads set now.

    Times a copy of the model on made-up images, with as much of it learning as in most epochs of the run; model and
    random state stay as they are. known: a folder that remembers it; what is found there is not timed again.
    """
    layout = pick_memory_format(config, model)
    with torch.random.fork_rng(devices=[]):
        trial = copy.deepcopy(model).to(memory_format=layout)
        layers.prepare(trial, config)
        layers.begin_epoch(trial, config, config.epochs)
        key = gains.key_of(trial, (config.batch_size, size), layout)
        if known is not None and (before := gains.read(known, key)) is not None:
            return before

        def seconds(images: torch.Tensor, bf16: bool) -> float:
            began = time.perf_counter()
            with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
                logits = trial(pixel_values=images).logits
            logits.float().square().mean().backward()
            trial.zero_grad(set_to_none=True)
            return time.perf_counter() - began

        def batch(count: int) -> torch.Tensor:
            return torch.rand(count, 3, size, size).to(memory_format=layout)

        start = time.perf_counter()
        few = batch(2)  # batch norm wants two
        seconds(few, False)  # the first step allocates
        fits = int(STEP / max(seconds(few, False) / len(few), 1e-9))
        images = batch(min(config.batch_size, max(len(few), fits)))
        best = {bf16: seconds(images, bf16) for bf16 in (False, True)}
        for _ in range(ROUNDS):
            for bf16 in (False, True):  # by turns, so that what else the machine does hits both
                best[bf16] = min(best[bf16], seconds(images, bf16))
            if time.perf_counter() - start > SECONDS:
                break
    gain = best[False] / best[True]
    if known is not None:
        gains.keep(known, key, gain)
    return gain


def cpu_has_bf16() -> bool:
    """Whether the processor multiplies bf16 (AVX-512 BF16 or AMX); without, autocast is slower."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            flags = next((line for line in file if line.startswith("flags")), "")
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


@torch.no_grad()
def has_starved_convolution(model: nn.Module, size: int) -> bool:
    """Whether a convolution gets an input narrower than its stride or than half of its kernel.

    oneDNN's bf16 weight gradient then reads memory that nobody wrote (measured with torch 2.15 on AVX-512: random
    values or NaN in most runs; float32 is sound), so such a model must not train in bf16 on a CPU.
    """
    starved: list[nn.Conv2d] = []

    def look(module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
        if isinstance(module, nn.Conv2d):
            for extent, kernel, stride in zip(inputs[0].shape[-2:], module.kernel_size, module.stride, strict=True):
                if kernel > 1 and extent < max(stride, kernel // 2):
                    starved.append(module)

    hooks = [module.register_forward_pre_hook(look) for module in model.modules() if isinstance(module, nn.Conv2d)]
    training = model.training
    model.eval()(pixel_values=torch.zeros(1, 3, size, size))
    model.train(training)
    for hook in hooks:
        hook.remove()
    return bool(starved)

"""What an empty or automatic setting comes to on a machine, said before a run starts.

Asked by the forms, and by the engine where both count alike. What only the model's layers decide is said as what it
hangs on. Torch-free; reads nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from imgcls_lab import cpu
from imgcls_lab.config import TrainConfig
from imgcls_lab.planning.augment_recipes import BUILT_IN, DETAILS, with_details

MOST_WORKERS = 8
_PLAIN = {"randaugment": "off", "vflip": "none", "rotate": "none", "color_jitter": "none", "random_erasing": "none"}


@dataclass(frozen=True)
class Machine:
    """Where a run would be: the title of a GPU, None without one; the runs on the CPU at once; how many GPUs."""

    gpu: str | None = None
    cpu_slots: int = 1
    gpus: int = 0


def num_workers(*, on_gpu: bool, processes: int = 1) -> int:
    """Loader processes of a training process, as many as this machine can spare.

    processes: how many train together on this machine.
    """
    spare = cpu.cores() - 1
    return max(1, min(MOST_WORKERS, spare // processes)) if on_gpu else min(1, spare)


def eval_batch_size(config: TrainConfig) -> int:
    """Images per batch of an evaluation."""
    return config.eval_batch_size or 2 * config.batch_size


def resolved_texts(config: TrainConfig, machine: Machine, native: tuple[int, int] | None) -> dict[str, str]:
    """Field -> what it comes to, for those that the config leaves to the program.

    native: height and width that the model was made for, where they are known.
    """
    said = _of_hardware(config, machine) | _of_augmentation(config)
    if config.image_size is None and native:
        height, width = native
        said["image_size"] = f"{height}" if height == width else f"{width} x {height}"
    if config.eval_batch_size is None:
        said["eval_batch_size"] = str(eval_batch_size(config))
    if config.monitor_mode == "auto":
        said["monitor_mode"] = "higher" if config.higher_is_better else "lower"
    if config.decay_epochs is None:
        said["decay_epochs"] = f"{(config.epochs - config.warmup_epochs) / 3:.3g}"
    if config.lora_alpha is None and config.lora_rank:
        said["lora_alpha"] = str(config.lora_rank)
    if config.cache == "auto":
        said["cache"] = "on disk where there is space, else in memory"
    return said


def _of_hardware(config: TrainConfig, machine: Machine) -> dict[str, str]:
    on_gpu = machine.gpu is not None and config.device != "cpu"
    said = {}
    if config.device == "auto":
        said["device"] = str(machine.gpu) if on_gpu else f"CPU, {cpu.model_name()}: no GPU was found"
    if config.precision == "auto":
        said["precision"] = _precision(on_gpu=on_gpu)
    if config.threads is None and not on_gpu:
        said["threads"] = str(config.num_nodes * cpu.share_of_cores(machine.cpu_slots))
    if config.num_workers is None:
        said["num_workers"] = f"{num_workers(on_gpu=on_gpu, processes=config.num_processes)}, none where all is cached"
    if config.channels_last == "auto":
        said["channels_last"] = "on for a convolutional network, else off"
    if config.min_processes is None:
        said["min_processes"] = str(config.num_processes)
    return said


def _precision(*, on_gpu: bool) -> str:
    if on_gpu:
        return "bf16 on GPUs from Ampere on, fp16 on older ones with tensor cores"
    if cpu.bf16_unit() is None:
        return "fp32: this processor does not multiply bf16"
    return "bf16 if the model's layers gain from it, else fp32"


def _of_augmentation(config: TrainConfig) -> dict[str, str]:
    """What the recipe says of its details; nothing of a plugin's recipe."""
    named = BUILT_IN.get(config.augmentation)
    if named is None:
        return {}
    recipe = with_details(named, config)
    said = {}
    for name in DETAILS:
        if getattr(config, name) is None:
            value = getattr(recipe, name)
            said[name] = _PLAIN[name] if not value and name in _PLAIN else f"{value:.3g}"
    if config.hflip is None:
        said["hflip"] = "half of them" if recipe.hflip else "none"
    return said

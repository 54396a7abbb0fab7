"""The group “hardware” of TrainConfig: device, precision and processes."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.config.fields import FieldGroup, field


class HardwareFields(FieldGroup):
    """Hardware."""

    device: Literal["auto", "cuda", "cpu"] = field(
        "auto", "hardware", "Device", "auto: a GPU if there is one.", first=True
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        "auto", "hardware", "Precision", "auto: what this hardware gains from, resolved once and recorded."
    )
    threads: int | None = field(
        None,
        "hardware",
        "CPU threads",
        "Threads of a CPU run, of all its processes; empty: its share of the cores. They change the last bits.",
        gt=0,
        le=1024,
    )
    num_processes: int = field(
        1,
        "hardware",
        "Processes",
        "Processes that train one model together, a GPU each. The batch size stays that of all of them.",
        gt=0,
        le=64,
    )
    sync_batchnorm: bool = field(
        False,
        "hardware",
        "Synchronous batch norm",
        "Batch norms see the batches of all processes, on GPUs; off: each its own.",
    )
    num_workers: int | None = field(
        None,
        "hardware",
        "Loader processes",
        "Processes that decode images, for each that trains; empty: chosen for this machine.",
        affects_result=False,
        ge=0,
        le=256,
    )
    decoder: Literal["cpu", "gpu"] = field(
        "cpu",
        "hardware",
        "Decoder",
        "gpu (experimental, not yet tried on a GPU): decode the JPEG files of training on the GPU that trains, anew in "
        "each epoch; the last bits differ.",
    )
    channels_last: Literal["auto", "on", "off"] = field(
        "auto",
        "hardware",
        "Channels last",
        "Memory layout that convolutional nets are faster in; auto: on for these, off for others.",
    )
    compile: bool = field(False, "hardware", "Compile", "Compile the model first: slow start, faster steps on a GPU.")

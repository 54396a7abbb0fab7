"""The group “hardware” of TrainConfig: device, precision and processes."""

from __future__ import annotations

from typing import Literal

from imgcls_lab.config.applies import When
from imgcls_lab.config.fields import FieldGroup, field

MAX_PROCESSES = 64


class HardwareFields(FieldGroup):
    """Hardware."""

    device: Literal["auto", "cuda", "cpu"] = field(
        "auto",
        "hardware",
        "Device",
        "auto: a GPU if there is one.",
        first=True,
        labels={"auto": "next free GPU, else CPU", "cuda": "next free GPU", "cpu": "CPU"},
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = field(
        "auto",
        "hardware",
        "Precision",
        "auto: chosen by hardware and model on the first attempt, and recorded.",
        labels={"auto": "automatic"},
    )
    threads: int | None = field(
        None,
        "hardware",
        "CPU threads",
        "Threads of a CPU run, over all its processes; empty: the cores divided by the slots. They change the last "
        "bits.",
        gt=0,
        le=1024,
        labels={"": "automatic"},
        applies=(When("device", ("auto", "cpu"), said="on a CPU"),),
    )
    num_processes: int = field(
        1,
        "hardware",
        "Processes",
        "Processes that train one model together, with one GPU each. The batch size is that of all processes together.",
        gt=0,
        le=MAX_PROCESSES,
        at_fork="between_epochs",
    )
    min_processes: int | None = field(
        None,
        "hardware",
        "Fewest processes",
        "With how many processes the run may start, or resume, while fewer GPUs are free; empty: with all of them. The "
        "order of the images stays the same, the last bits do not.",
        affects_result=False,
        gt=0,
        le=MAX_PROCESSES,
        applies=(When("num_processes", above=1),),
    )
    num_nodes: int = field(
        1,
        "hardware",
        "Nodes",
        "Machines of a cluster that share the processes evenly.",
        affects_result=False,
        gt=0,
        le=MAX_PROCESSES,
        applies=(When("num_processes", above=1),),
    )
    sync_batchnorm: bool = field(
        False,
        "hardware",
        "Synchronous batch norm",
        "Batch norm statistics over the batches of all processes, on GPUs only; off: each process separately.",
        applies=(When("num_processes", above=1),),
        at_fork="between_epochs",
    )
    num_workers: int | None = field(
        None,
        "hardware",
        "Loader processes",
        "Processes that decode images, per training process; empty: chosen for this machine.",
        affects_result=False,
        ge=0,
        le=256,
        labels={"": "automatic"},
    )
    decoder: Literal["cpu", "gpu"] = field(
        "cpu",
        "hardware",
        "Decoder",
        "gpu (experimental, not yet tried on a GPU): decode the JPEG files of training on the training GPU, again in "
        "each epoch; the last bits differ.",
        labels={"cpu": "CPU", "gpu": "GPU (experimental)"},
        applies=(When("device", ("auto", "cuda"), said="on a GPU"),),
    )
    channels_last: Literal["auto", "on", "off"] = field(
        "auto",
        "hardware",
        "Channels last",
        "Memory format in which convolutional networks are faster; auto: on for these, off for others.",
        labels={"auto": "automatic"},
        at_fork="fresh_optimizer",
    )
    compile: bool = field(False, "hardware", "Compile", "Compile the model first: slow start, faster steps on a GPU.")

"""`TrainConfig`: every parameter of an experiment, written once.

Its JSON Schema feeds the command line, the ipywidgets form and the JupyterLab form; the engine takes it as it
is. Nothing here touches a disk, a device or the network: what only the engine can know (does the folder exist,
does the model load) is checked there.
"""

from __future__ import annotations

import difflib
import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails

from imgcls_lab.errors import ConfigError, Problem

# The groups in the order a form shows them: name -> title.
GROUPS = {
    "data": "Data",
    "model": "Model",
    "optimisation": "Optimisation",
    "schedule": "Schedule",
    "regularisation": "Regularisation",
    "evaluation": "Evaluation",
    "checkpointing": "Checkpoints",
    "hardware": "Hardware",
}


def _field(
    default: Any,
    group: str,
    title: str,
    text: str,
    *,
    first: bool = False,
    affects_result: bool = True,
    unit: str | None = None,
    suggestions: tuple[str, ...] = (),
    **limits: Any,
) -> Any:
    """A config field. `first`: shown unfolded in forms; `affects_result`: part of a run's identity."""
    if group not in GROUPS:
        raise ValueError(f"unknown group {group}")
    extra: dict[str, Any] = {"group": group, "first": first, "affects_result": affects_result}
    if unit:
        extra["unit"] = unit
    if suggestions:
        extra["suggestions"] = list(suggestions)
    return Field(default, title=title, description=text, json_schema_extra=extra, **limits)


Positive = Annotated[int, Field(gt=0)]


class TrainConfig(BaseModel):
    """The parameters of one fine-tuning run.

    Frozen; a changed copy is made by `config.with_changes(lr=1e-4)`. Raises ConfigError, which holds a sentence
    for each wrong field, when made by `TrainConfig.parse`; pydantic's ValidationError when made by the constructor.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, ser_json_inf_nan="strings", protected_namespaces=()
    )

    # ── data ────────────────────────────────────────────────────────────────────────────────────────────────
    root: str = _field(
        ..., "data", "Data set", "Folder with train/CLASS, val/CLASS and optionally test/CLASS.", first=True
    )
    image_size: Positive | None = _field(
        None,
        "data",
        "Image size",
        "Edge of the square the model sees; empty: what the model was made for.",
        unit="px",
        le=4096,
    )
    augmentation: Literal["none", "light", "standard", "heavy"] = _field(
        "standard",
        "data",
        "Augmentation",
        "none: resize only; light: small shifts, and flips; standard: random crop and flip; "
        "heavy: standard with RandAugment and random erasing.",
        first=True,
    )
    hflip: bool = _field(
        True,
        "data",
        "Mirror images",
        "Let augmentation mirror images. Turn off where left and right mean something, as in digits and letters.",
    )
    val_fraction: float = _field(
        0.2,
        "data",
        "Validation share",
        "Share of train/ kept for validation, class by class, if there is no val/.",
        gt=0,
        lt=1,
    )
    balance: Literal["none", "sampler", "class_weights"] = _field(
        "none",
        "data",
        "Class balance",
        "sampler: draw rare classes more often; class_weights: weigh their loss more.",
    )
    cache: Literal["auto", "ram", "off"] = _field(
        "auto",
        "data",
        "Image cache",
        "Keep decoded images in memory; auto: if they fit into a quarter of what is free.",
        affects_result=False,
    )

    # ── model ───────────────────────────────────────────────────────────────────────────────────────────────
    model_flavour: str = _field(
        "google/vit-base-patch16-224",
        "model",
        "Model",
        "Model of the Hugging Face hub, or a local folder with a config.json.",
        first=True,
        min_length=1,
    )
    load_pretrained: bool = _field(
        True, "model", "Pretrained weights", "Start from the model's weights; off: start from random ones.", first=True
    )
    freeze_backbone: bool = _field(
        False, "model", "Freeze the backbone", "Train the classification head alone.", first=True
    )
    revision: str | None = _field(
        None, "model", "Revision", "Branch, tag or commit of the hub model; pin a commit to reproduce."
    )

    # ── optimisation ────────────────────────────────────────────────────────────────────────────────────────
    epochs: int = _field(10, "optimisation", "Epochs", "Passes over the training images.", first=True, gt=0, le=100_000)
    batch_size: int = _field(32, "optimisation", "Batch size", "Images a step.", first=True, gt=0, le=65_536)
    lr: float = _field(
        3e-4,
        "optimisation",
        "Learning rate",
        "Highest learning rate of the run.",
        first=True,
        gt=0,
        le=10,
        allow_inf_nan=False,
    )
    optimizer: str = _field(
        "adamw",
        "optimisation",
        "Optimizer",
        "Name of an optimizer of timm.",
        suggestions=("adamw", "sgd", "lion", "lamb", "adopt", "muon"),
        min_length=1,
    )
    weight_decay: float = _field(
        0.05, "optimisation", "Weight decay", "Decay of the weights; never of biases and norms.", ge=0, le=10
    )
    momentum: float = _field(0.9, "optimisation", "Momentum", "Momentum of SGD and its kin.", ge=0, lt=1)
    accumulate: int = _field(
        1, "optimisation", "Accumulate", "Batches whose gradients are added up to one step.", gt=0, le=4096
    )
    clip_grad_norm: float | None = _field(
        1.0, "optimisation", "Clip gradients", "Largest norm of the gradient; empty: no limit.", gt=0
    )
    seed: int = _field(0, "optimisation", "Seed", "Seed of everything random.", ge=0, lt=2**32)

    # ── schedule ────────────────────────────────────────────────────────────────────────────────────────────
    schedule: Literal["cosine", "linear", "constant"] = _field(
        "cosine", "schedule", "Schedule", "Course of the learning rate after the warm-up, step by step."
    )
    warmup_epochs: float = _field(
        0.5, "schedule", "Warm-up", "Epochs in which the learning rate rises from zero.", unit="epochs", ge=0
    )
    min_lr_ratio: float = _field(
        0.01, "schedule", "Final rate", "Learning rate at the end, as a share of the highest.", ge=0, le=1
    )
    early_stopping: int | None = _field(
        None,
        "schedule",
        "Early stopping",
        "Stop after this many epochs without a better result; empty: never.",
        unit="epochs",
        gt=0,
    )

    # ── regularisation ──────────────────────────────────────────────────────────────────────────────────────
    label_smoothing: float = _field(
        0.0, "regularisation", "Label smoothing", "Share of the target spread over all classes.", ge=0, lt=1
    )
    mixup: float = _field(0.0, "regularisation", "MixUp", "Alpha of MixUp; 0: off.", ge=0, le=10)
    cutmix: float = _field(0.0, "regularisation", "CutMix", "Alpha of CutMix; 0: off.", ge=0, le=10)
    ema_decay: float | None = _field(
        None,
        "regularisation",
        "EMA decay",
        "Keep a moving average of the weights with this decay, and evaluate and export that; empty: off.",
        gt=0,
        lt=1,
    )

    # ── evaluation ──────────────────────────────────────────────────────────────────────────────────────────
    monitor_metric: Literal["accuracy", "top5", "macro_f1", "loss"] = _field(
        "accuracy",
        "evaluation",
        "Keep the best by",
        "Validation figure that decides which checkpoint is the best.",
        first=True,
    )
    monitor_mode: Literal["auto", "max", "min"] = _field(
        "auto", "evaluation", "Better is", "auto: lower for loss, higher for the others."
    )
    eval_batch_size: int | None = _field(
        None,
        "evaluation",
        "Evaluation batch",
        "Images a step in validation; empty: twice the batch size.",
        affects_result=False,
        gt=0,
        le=65_536,
    )
    log_every: int = _field(
        1,
        "evaluation",
        "Log every",
        "Steps between two points of the training curves.",
        unit="steps",
        affects_result=False,
        gt=0,
    )

    # ── checkpoints ─────────────────────────────────────────────────────────────────────────────────────────
    save_every_epochs: int | None = _field(
        None,
        "checkpointing",
        "Keep every",
        "Keep the checkpoint of every n-th epoch besides best and last; empty: none.",
        unit="epochs",
        affects_result=False,
        gt=0,
    )
    checkpoint_every_minutes: float = _field(
        10,
        "checkpointing",
        "Save every",
        "Time between two checkpoints inside a long epoch.",
        unit="min",
        affects_result=False,
        gt=0,
    )
    keep_last: int = _field(
        2,
        "checkpointing",
        "Last checkpoints",
        "How many of the last checkpoints stay on disk.",
        affects_result=False,
        ge=2,
        le=100,
    )
    ckpt_dir: str | None = _field(
        None,
        "checkpointing",
        "Checkpoint folder",
        "Where checkpoints really lie; empty: in the run's folder.",
        affects_result=False,
    )
    tb_root: str | None = _field(
        None,
        "checkpointing",
        "TensorBoard folder",
        "Where event files really lie; empty: in the run's folder.",
        affects_result=False,
    )

    # ── hardware ────────────────────────────────────────────────────────────────────────────────────────────
    device: Literal["auto", "cuda", "cpu"] = _field(
        "auto", "hardware", "Device", "auto: a GPU if there is one.", first=True
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = _field(
        "auto", "hardware", "Precision", "auto: what this hardware gains from, resolved once and recorded."
    )
    threads: int | None = _field(
        None,
        "hardware",
        "CPU threads",
        "Threads of a CPU run; empty: its share of the cores. On a CPU it changes the last bits.",
        gt=0,
        le=1024,
    )
    workers: int | None = _field(
        None,
        "hardware",
        "Loader processes",
        "Processes that decode images; empty: chosen for this machine.",
        affects_result=False,
        ge=0,
        le=256,
    )
    channels_last: bool = _field(
        True, "hardware", "Channels last", "Memory layout that convolutional nets are faster in."
    )
    compile: bool = _field(False, "hardware", "Compile", "Compile the model first: slow start, faster steps on a GPU.")

    @field_validator("root", "model_flavour", mode="after")
    @classmethod
    def _no_nul(cls, value: str) -> str:
        if not value.strip() or "\0" in value:
            raise ValueError("must not be empty")
        return value

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) is longer than the run ({self.epochs} epochs); lower it."
            )
        return self

    # ── what callers ask ────────────────────────────────────────────────────────────────────────────────────
    @property
    def higher_is_better(self) -> bool:
        """Whether a larger `monitor_metric` is the better one."""
        if self.monitor_mode == "auto":
            return self.monitor_metric != "loss"
        return self.monitor_mode == "max"

    @classmethod
    def parse(cls, data: Mapping[str, Any] | str | bytes) -> Self:
        """The config in a mapping or a JSON text. Raises ConfigError with one sentence a wrong field."""
        try:
            if isinstance(data, str | bytes):
                return cls.model_validate_json(data)
            return cls.model_validate(dict(data))
        except ValidationError as error:
            problems = [_problem(detail, cls) for detail in error.errors(include_url=False)]
            text = " ".join(f"{p.field}: {p.message}" if p.field else p.message for p in problems)
            raise ConfigError(f"This config cannot be used. {text}", problems) from None

    def with_changes(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated anew. Raises ConfigError."""
        return self.parse({**self.model_dump(), **changes})

    def result_fields(self) -> dict[str, Any]:
        """The fields that affect the result, without where the data lies: the config's part of a run's identity."""
        names = [n for n, f in type(self).model_fields.items() if _extra(f).get("affects_result") and n != "root"]
        return self.model_dump(mode="json", include=set(names))

    def digest(self) -> str:
        """SHA-256 (hex) of all fields, root included: says whether two configs are the same."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _extra(field: Any) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


_SENTENCES = {
    "missing": "is needed.",
    "greater_than": "must be greater than {gt}, not {input}.",
    "greater_than_equal": "must be at least {ge}, not {input}.",
    "less_than": "must be less than {lt}, not {input}.",
    "less_than_equal": "must be at most {le}, not {input}.",
    "literal_error": "must be {expected}, not “{input}”.",
    "int_parsing": "must be a whole number, not “{input}”.",
    "int_type": "must be a whole number, not “{input}”.",
    "int_from_float": "must be a whole number, not {input}.",
    "float_parsing": "must be a number, not “{input}”.",
    "float_type": "must be a number, not “{input}”.",
    "finite_number": "must be a finite number, not {input}.",
    "bool_parsing": "must be true or false, not “{input}”.",
    "bool_type": "must be true or false, not “{input}”.",
    "string_type": "must be a text, not “{input}”.",
    "string_too_short": "must not be empty.",
    "json_invalid": "This is not valid JSON: {error}.",
}


def _problem(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    """One pydantic error as a sentence."""
    field = ".".join(str(part) for part in detail["loc"])
    if detail["type"] == "extra_forbidden":
        close = difflib.get_close_matches(field, model.model_fields, n=1)
        return Problem(
            field, f"There is no such setting; did you mean {close[0]}?" if close else "There is no such setting."
        )
    shown = str(detail["input"])
    values = {**detail.get("ctx", {}), "input": shown if len(shown) <= 60 else shown[:57] + "…"}
    if detail["type"] == "value_error":
        return Problem(field, str(values["error"]).rstrip(".") + ".")
    template = _SENTENCES.get(detail["type"])
    return Problem(field, template.format(**values) if template else detail["msg"].rstrip(".") + ".")

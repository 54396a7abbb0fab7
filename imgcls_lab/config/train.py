"""`TrainConfig`: the groups of fields as one model, and what callers ask of it."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack, get_args

from pydantic import ConfigDict, ValidationError, ValidationInfo, field_validator, model_validator

from imgcls_lab.config.applies import say_rules, value_text
from imgcls_lab.config.checkpointing import CheckpointingFields
from imgcls_lab.config.data import DataFields
from imgcls_lab.config.evaluation import EvaluationFields
from imgcls_lab.config.field_types import ConfigFields
from imgcls_lab.config.hardware import HardwareFields
from imgcls_lab.config.model import ModelFields
from imgcls_lab.config.names import NAMED
from imgcls_lab.config.optimisation import OptimisationFields
from imgcls_lab.config.regularisation import RegularisationFields
from imgcls_lab.config.saved import FORMER_FIELDS, upgraded
from imgcls_lab.config.schedule import ScheduleFields
from imgcls_lab.errors import ConfigError, Problem, unknown
from imgcls_lab.plurals import counted
from imgcls_lab.run_layout import CONFIG
from imgcls_lab.validation_errors import field_names, joined, problems

PATHS = ("root", "model_flavour", "data_revision", "ckpt_dir", "tb_root", "plugins")  # they take a Path, too
_REFUSED = "Changes the result, so a resume cannot change it."
_STAYS = "The run has already written there, so a resume cannot change it."


# pydantic takes the fields of the last base first: the groups stand in the order of GROUPS, read upwards
class TrainConfig(
    HardwareFields,
    CheckpointingFields,
    EvaluationFields,
    RegularisationFields,
    ScheduleFields,
    OptimisationFields,
    ModelFields,
    DataFields,
):
    """The parameters of one fine-tuning run.

    Frozen; a changed copy is made by `config.with_changes(lr=1e-4)`. Shown, it says what differs from the defaults.
    Raises ConfigError, which holds a sentence for each wrong field.

    >>> config = lab.TrainConfig(root="flowers", model_flavour="google/vit-base-patch16-224", epochs=3)
    >>> config.with_changes(lr=1e-4)
    TrainConfig(root='flowers', model_flavour='google/vit-base-patch16-224', epochs=3, lr=0.0001)
    """

    model_config = ConfigDict(json_schema_extra=say_rules)

    @field_validator("*", mode="before")
    @classmethod
    def _no_bool_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Python and pydantic accept true as 1; in a config it is a mistake."""
        kind = cls.model_fields[str(info.field_name)].annotation
        kinds = {kind, *get_args(kind)}
        if isinstance(value, bool) and bool not in kinds and kinds & {int, float}:
            raise ValueError(f"Must be a number, not {str(value).lower()}.")
        return value

    @field_validator(*PATHS, mode="before")
    @classmethod
    def _path_as_text(cls, value: Any) -> Any:
        if isinstance(value, list | tuple):
            return [cls._path_as_text(part) for part in value]
        return os.fspath(value) if isinstance(value, os.PathLike) else value

    @field_validator("root", "model_flavour", mode="after")
    @classmethod
    def _no_nul(cls, value: str) -> str:
        if not value.strip() or "\0" in value:
            raise ValueError("must not be empty")
        return value

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        """Otherwise the run would fail when it starts, hours after it was queued."""
        given = {} if self.plugins else {field: str(getattr(self, field)) for field in NAMED}
        wrong = [
            Problem(field, unknown(NAMED[field][0], name, NAMED[field][1]))
            for field, name in given.items()
            if (name.lower() if field == "optimizer" else name) not in NAMED[field][1]
        ]
        if wrong:  # not a ValueError: pydantic would lose the fields
            raise ConfigError(f"This config cannot be used. {joined(wrong)}", wrong)
        return self

    @model_validator(mode="after")
    def _warmup_fits(self) -> Self:
        if self.warmup_epochs > self.epochs:
            raise ValueError(
                f"warmup_epochs ({self.warmup_epochs:g}) is longer than the run ({counted(self.epochs, 'epoch')}"
                f"); lower it."
            )
        return self

    @model_validator(mode="after")
    def _one_way_to_freeze(self) -> Self:
        if self.lora_rank and self.freeze_backbone:
            raise ValueError("lora_rank trains updates of a frozen backbone by itself; turn freeze_backbone off.")
        if self.unfreeze_epoch and not self.freeze_backbone:
            raise ValueError("unfreeze_epoch ends what freeze_backbone begins; turn freeze_backbone on.")
        if self.unfreeze_epoch and self.unfreeze_epoch >= self.epochs:
            raise ValueError(f"unfreeze_epoch ({self.unfreeze_epoch}) must be less than epochs ({self.epochs}).")
        if self.unfreeze_blocks and not self.unfreeze_epoch:
            raise ValueError("unfreeze_blocks says how fast unfreeze_epoch goes on; set unfreeze_epoch.")
        if (self.lora_alpha or self.lora_targets) and not self.lora_rank:
            raise ValueError("lora_alpha and lora_targets belong to LoRA; set lora_rank.")
        return self

    @model_validator(mode="after")
    def _writes_elsewhere(self) -> Self:
        root = os.path.abspath(os.path.expanduser(self.root))
        for name in ("ckpt_dir", "tb_root"):
            folder = getattr(self, name)
            if folder and Path(os.path.abspath(os.path.expanduser(folder))).is_relative_to(root):
                raise ValueError(f"{name} lies inside the data set, where a run must not write; choose another folder.")
        return self

    @model_validator(mode="after")
    def _batch_fits_processes(self) -> Self:
        if self.num_processes > 1 and self.batch_size < 2 * self.num_processes:
            least = 2 * self.num_processes
            raise ValueError(f"{self.num_processes} processes need a batch_size of {least} or more: two images each.")
        if self.num_processes > 1 and self.unfreeze_epoch:
            raise ValueError("unfreeze_epoch works in one process only; set num_processes to 1.")
        if self.min_processes and self.min_processes > self.num_processes:
            raise ValueError(
                f"min_processes ({self.min_processes}) is more than num_processes ({self.num_processes}); lower it."
            )
        if self.num_processes % self.num_nodes:
            raise ValueError(
                f"{self.num_nodes} nodes cannot share {counted(self.num_processes, 'process', 'processes')} evenly; "
                "set num_processes to a multiple of num_nodes."
            )
        return self

    if not TYPE_CHECKING:  # type checkers know the fields

        def __init__(self, **values: Any) -> None:
            """Raises ConfigError, as `parse` does: who writes a config by hand reads a sentence."""
            try:
                super().__init__(**values)
            except ValidationError as error:
                raise _refusal(error, type(self)) from None

    # ── what callers ask ────────────────────────────────────────────────────────────────────────────────────
    @classmethod
    def known_names(cls) -> dict[str, str]:
        """What a user may write for a field -> the field: by its name, its title or its former name.

        >>> lab.TrainConfig.known_names()["learning_rate"]
        'lr'
        """
        return {**field_names(cls), **FORMER_FIELDS}

    @classmethod
    def parse(cls, data: Mapping[str, Any] | str | bytes) -> Self:
        """The config in a mapping or a JSON text. Raises ConfigError with one sentence a wrong field.

        >>> lab.TrainConfig.parse('{"root": "flowers", "lr": 0.5}').lr
        0.5
        """
        try:
            if isinstance(data, str | bytes):
                return cls.model_validate_json(data)
            return cls.model_validate(dict(data))
        except ValidationError as error:
            raise _refusal(error, cls) from None

    @classmethod
    def parse_saved(cls, data: Mapping[str, Any] | str | bytes) -> Self:
        """The config that this version or an earlier one saved with a run. Raises ConfigError.

        >>> lab.TrainConfig.parse_saved({"root": "flowers", "workers": 2}).num_workers
        2
        """
        try:
            values = json.loads(data) if isinstance(data, str | bytes) else data
        except (ValueError, RecursionError):  # of JSON or UTF-8; too deep
            return cls.parse(data)
        return cls.parse(upgraded(values)) if isinstance(values, Mapping) else cls.parse(data)

    def with_changes(self, **changes: Unpack[ConfigFields]) -> Self:
        """A copy with some fields changed, validated anew. Raises ConfigError.

        >>> config.with_changes(epochs=7).epochs
        7
        """
        return self.parse({**self.model_dump(), **changes})

    def resumed_with(self, changes: Mapping[str, Any], folder: str | os.PathLike[str]) -> Self:
        """The config of a run's next attempt: this one with what may change at a resume.

        folder: the run's, for the sentence on how to start another run. Raises ConfigError with a sentence for each
        field that changes the result, or that is wrong.

        >>> config.resumed_with({"num_workers": 1}, "folder").num_workers
        1
        """
        after = self.with_changes(**changes)
        refused = [
            Problem(name, _REFUSED if _extra(item)["affects_result"] else _STAYS)
            for name, item in type(self).model_fields.items()
            if getattr(after, name) != getattr(self, name) and not _extra(item)["at_resume"]
        ]
        if not refused:
            return after
        settings = " ".join(f"--set {p.field}={json.dumps(after.model_dump(mode='json')[p.field])}" for p in refused)
        raise ConfigError(
            f"The run cannot resume with another config. {joined(refused)} To start a new run from it: "
            f"imgcls-lab launch --config {shlex.quote(os.path.join(os.fspath(folder), CONFIG))} {settings}",
            refused,
        )

    def changes_from(self, before: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
        """Field -> (value before, value now) of what differs from a config as JSON; fields it lacks are left out.

        >>> config.with_changes(lr=0.5).changes_from({"lr": 0.1})
        {'lr': (0.1, 0.5)}
        """
        now = self.model_dump(mode="json")
        return {name: (before[name], now[name]) for name in now if name in before and before[name] != now[name]}

    def differing(self) -> dict[str, Any]:
        """The fields that do not have their default, and those that have none.

        >>> lab.TrainConfig(root="flowers", lr=0.5).differing()
        {'root': 'flowers', 'lr': 0.5}
        """
        fields = type(self).model_fields
        return {
            name: getattr(self, name)
            for name, item in fields.items()
            if item.is_required() or getattr(self, name) != item.default
        }

    def __repr_args__(self) -> Iterator[tuple[str, Any]]:
        yield from self.differing().items()

    def _repr_html_(self) -> str:
        """What differs from the defaults, as people read it."""
        properties, rows = type(self).model_json_schema()["properties"], ""
        for name, value in self.differing().items():
            item = properties[name]
            default = value_text(item, item["default"]) if "default" in item else ""
            cells = (name, item["title"], value_text(item, value), default)
            rows += f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
        head = "<tr><th>field</th><th>setting</th><th>value</th><th>default</th></tr>"
        rest = counted(len(properties) - len(self.differing()), "other setting")
        return f"<table>{head}{rows}</table><p>{rest} as by default.</p>"

    def result_fields(self) -> dict[str, Any]:
        """The fields that affect the result, without where the data lies: the config's part of a run's identity.

        >>> "root" in config.result_fields()
        False
        """
        names = [n for n, f in type(self).model_fields.items() if _extra(f).get("affects_result") and n != "root"]
        return self.model_dump(mode="json", include=set(names))

    def digest(self) -> str:
        """SHA-256 (hex) of all fields, root included: says whether two configs are the same.

        >>> config.digest() == config.with_changes(lr=0.5).digest()
        False
        """
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def _extra(field: Any) -> dict[str, Any]:
    return field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}


def _refusal(error: ValidationError, config: type[TrainConfig]) -> ConfigError:
    remedy = "`imgcls-lab configs fields` lists them."
    found = problems(error, config.known_names, whole_lists=True, otherwise=remedy)
    return ConfigError(f"This config cannot be used. {joined(found)}", found)


def title_of(name: str) -> str:
    """What the form calls a field; what is none, such as a parameter of a notebook, is called as it is."""
    known = TrainConfig.model_fields.get(name)
    return (known.title if known is not None else None) or name

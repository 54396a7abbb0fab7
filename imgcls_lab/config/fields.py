"""The groups of a config's fields, and how one field is written. Used by the modules beside it alone."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from imgcls_lab.config.applies import When

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

# What a fork may do with a field: change it anywhere; where its checkpoint stands between two epochs; with a fresh
# state of the optimizer; or not at all.
AtFork = Literal["free", "between_epochs", "fresh_optimizer", "refused"]


def field(
    default: Any,
    group: str,
    title: str,
    text: str,
    *,
    first: bool = False,
    affects_result: bool = True,
    at_resume: bool | None = None,
    at_fork: AtFork = "free",
    unit: str | None = None,
    suggestions: tuple[str, ...] = (),
    labels: Mapping[str, str] | None = None,
    applies: tuple[When, ...] = (),
    **limits: Any,
) -> Any:
    """A config field. `first`: shown unfolded in forms; `affects_result`: part of a run's identity.

    at_resume: whether a later attempt of a run may have another value; as a rule those that change no result. at_fork:
    what a change means for a run that goes on from a checkpoint of another (`forks.py`). labels: what people call its
    values, by `applies.value_key`; applies: it has an effect where one of these holds.
    """
    if group not in GROUPS:
        raise ValueError(f"unknown group {group}")
    extra: dict[str, Any] = {
        "group": group,
        "first": first,
        "affects_result": affects_result,
        "at_resume": not affects_result if at_resume is None else at_resume,
        "at_fork": at_fork,
    }
    if unit:
        extra["unit"] = unit
    if suggestions:
        extra["suggestions"] = list(suggestions)
    if labels:
        extra["labels"] = dict(labels)
    if applies:
        extra["applies"] = [condition.to_json() for condition in applies]
    return Field(default, title=title, description=text, json_schema_extra=extra, **limits)


Positive = Annotated[int, Field(gt=0)]
MAX_LIST = 100  # names in one field
MAX_TEXT = 4096  # characters of a text, as of a path
Names = Annotated[tuple[str, ...], Field(max_length=MAX_LIST)]
Numbers = tuple[float, ...]  # each field says how many


def split_names(value: Any) -> Any:
    """A list as forms and `--set` give it: one text with commas. Other values stay."""
    return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value


class FieldGroup(BaseModel):
    """Some fields of TrainConfig; strict about names, frozen."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        validate_default=True,
        ser_json_inf_nan="strings",
        protected_namespaces=(),
        str_max_length=MAX_TEXT,
    )

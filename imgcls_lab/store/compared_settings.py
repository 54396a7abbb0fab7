"""Settings of several configs beside each other, under the form's titles. Called by `comparison` and by the versions of
saved configs; knows no database.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from imgcls_lab.config import TrainConfig, title_of
from imgcls_lab.schemas import ComparedField
from imgcls_lab.schemas.batches import Scalar

LONGEST = 300  # characters of a value


def scalar(value: object) -> Scalar:
    """A value as it is shown: lists and mappings as text, none longer than a few lines."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, list | tuple):
        value = ", ".join(str(item) for item in value)
    elif isinstance(value, Mapping):
        value = json.dumps(value)
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def default_settings() -> dict[str, Any]:
    """The settings that have a default, with it."""
    return {name: field.get_default() for name, field in TrainConfig.model_fields.items() if not field.is_required()}


def settings_differ(field: ComparedField, settings_of: Sequence[Mapping[str, Any]]) -> bool:
    """An empty setting is another value than any; a run that has no such setting differs from none."""
    values = [scalar(values[field.name]) for values in settings_of if field.name in values]
    return len({(isinstance(value, bool), value) for value in values}) > 1


def settings_beside(settings_of: Sequence[Mapping[str, Any]]) -> list[ComparedField]:
    """The settings that at least one of these has, in the order of the form; parameters of notebooks behind them."""
    own = TrainConfig.model_fields
    names = [name for name in own if any(name in values for values in settings_of)]
    foreign = sorted({str(name) for values in settings_of for name in values if name not in own})
    fields = []
    for name in [*names, *foreign]:
        known = own.get(name)
        extra = known.json_schema_extra if known is not None and isinstance(known.json_schema_extra, dict) else {}
        unit, labels = extra.get("unit"), extra.get("labels")
        fields.append(
            ComparedField(
                part="config",
                name=name,
                title=title_of(name),
                unit=unit if isinstance(unit, str) else None,
                labels={text: str(label) for text, label in labels.items()} if isinstance(labels, dict) else {},
                values=[scalar(values.get(name)) for values in settings_of],
            )
        )
    return fields

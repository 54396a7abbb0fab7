"""Which settings have an effect beside which others: focal gamma with the focal loss alone, and the like.

A field says it once, by `applies`, and its JSON Schema carries it: the panel's form, the form in a notebook and the
command line's help read it there. Nothing is refused by it, since a setting without effect harms nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from imgcls_lab.config.names import NAMED


@dataclass(frozen=True)
class When:
    """A condition on another field: it has one of `values`, or is more than `above`; without both: it is set.

    Set is what is not empty, off or 0. A name that a plugin registers meets each condition on names: whether the
    plugin reads the setting only the plugin knows. said: the condition as people say it, where a list is too long.
    """

    field: str
    values: tuple[Any, ...] = ()
    above: float | None = None
    said: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As the schema has it. Of names, `none_of` lists those that do not meet it."""
        found: dict[str, Any] = {"field": self.field}
        if self.above is not None:
            found["above"] = self.above
        if self.values:
            found["one_of"] = list(self.values)
            if self.field in NAMED:
                found["none_of"] = [name for name in NAMED[self.field][1] if name not in self.values]
        if self.said:
            found["said"] = self.said
        return found


def applies(properties: Mapping[str, Any], values: Mapping[str, Any], name: str) -> bool:
    """Whether a field has an effect beside these values. A setting that hangs on one without effect has none.

    properties: of TrainConfig's JSON Schema; values: by field; those that lack have their defaults.
    """
    rule = properties.get(name, {}).get("applies")
    return not rule or any(
        _holds(item, values.get(item["field"], properties.get(item["field"], {}).get("default")))
        and applies(properties, values, item["field"])
        for item in rule
    )


def _holds(condition: Mapping[str, Any], value: Any) -> bool:
    if "above" in condition:
        return isinstance(value, int | float) and value > condition["above"]
    if "none_of" in condition:
        return value not in condition["none_of"]
    if "one_of" in condition:
        return value in condition["one_of"]
    return bool(value)


def say_rules(schema: dict[str, Any]) -> None:
    """Give each field with a rule its sentence, which needs the titles and labels of other fields."""
    properties = schema["properties"]
    schema["description"] = schema["description"].partition("\n\n")[0]  # the rest of the docstring is Python's
    for item in properties.values():
        if rule := item.get("applies"):
            said = " or ".join(
                condition.get("said") or _said(condition, properties[condition["field"]]) for condition in rule
            )
            item["applies_text"] = f"Has an effect only {said}."


def _said(condition: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    where = f"where “{other['title']}” is"
    if "above" in condition:
        return f"{where} above {condition['above']:g}"
    if "one_of" not in condition:
        return f"{where} set"
    labels = other.get("labels", {})
    return f"{where} {' or '.join(labels.get(key, key) for key in map(value_key, condition['one_of']))}"


def value_key(value: Any) -> str:
    """A value as `labels` names it: empty, true and false as JSON calls them."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def value_text(item: Mapping[str, Any], value: Any) -> str:
    """A value of a field as people read it: by its label, a list with commas, a number with its unit.

    item: the field's JSON Schema.
    """
    key = value_key(value)
    if key in item.get("labels", {}):
        return str(item["labels"][key])
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "none"
    unit = f" {item['unit']}" if "unit" in item and key else ""
    return f"{key or 'automatic'}{unit}"

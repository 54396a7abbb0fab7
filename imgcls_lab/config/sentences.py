"""What pydantic finds wrong with a config, said as sentences: those of a field stand beside it, without its name."""

from __future__ import annotations

import difflib

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from imgcls_lab.config.saved import FORMER_FIELDS
from imgcls_lab.errors import Problem

_SENTENCES = {
    "missing": "Is needed.",
    "greater_than": "Must be greater than {gt}, not {input}.",
    "greater_than_equal": "Must be at least {ge}, not {input}.",
    "less_than": "Must be less than {lt}, not {input}.",
    "less_than_equal": "Must be at most {le}, not {input}.",
    "literal_error": "Must be {expected}, not “{input}”.",
    "int_parsing": "Must be a whole number, not “{input}”.",
    "int_type": "Must be a whole number, not “{input}”.",
    "int_from_float": "Must be a whole number, not {input}.",
    "float_parsing": "Must be a number, not “{input}”.",
    "float_type": "Must be a number, not “{input}”.",
    "finite_number": "Must be a finite number, not {input}.",
    "bool_parsing": "Must be true or false, not “{input}”.",
    "bool_type": "Must be true or false, not “{input}”.",
    "string_type": "Must be a text, not “{input}”.",
    "string_too_short": "Must not be empty.",
    "tuple_type": "Must be a list, not “{input}”.",
    "too_long": "Must have at most {max_length} parts.",
    "json_invalid": "This is not valid JSON: {error}.",
}


def closest(name: str, model: type[BaseModel]) -> str | None:
    """The field whose former name this is, or whose name or title is nearest to it."""
    if name in FORMER_FIELDS:
        return FORMER_FIELDS[name]
    titles = {(item.title or key).lower().replace(" ", "_"): key for key, item in model.model_fields.items()}
    known = titles | {key: key for key in model.model_fields}
    found = difflib.get_close_matches(name.lower(), known, n=1)
    return known[found[0]] if found else None


def problem(detail: ErrorDetails, model: type[BaseModel]) -> Problem:
    """One pydantic error as a sentence."""
    field = str(detail["loc"][0]) if detail["loc"] else ""  # of a list the whole, which is what a form shows
    if detail["type"] == "extra_forbidden":
        close = closest(field, model)
        hint = f"did you mean {close}?" if close else "`imgcls-lab configs fields` lists them."
        return Problem(field, f"There is no such setting; {hint}")
    shown = str(detail["input"])
    values = {**detail.get("ctx", {}), "input": shown if len(shown) <= 60 else shown[:57] + "…"}
    if detail["type"] == "value_error":
        text = str(values["error"]).rstrip(".") + "."
        return Problem(field, text[0].upper() + text[1:] if field else text)
    template = _SENTENCES.get(detail["type"])
    return Problem(field, template.format(**values) if template else detail["msg"].rstrip(".") + ".")


def joined(problems: list[Problem]) -> str:
    """All problems in one text, each with its field's name."""
    return " ".join(f"{p.field}: {_going_on(p.message)}" if p.field else p.message for p in problems)


def _going_on(message: str) -> str:
    """What says something of the field goes on with its name: “batch_size: must be …”."""
    return message[0].lower() + message[1:] if message.startswith(("Must ", "Is ", "Has ", "Changes ")) else message

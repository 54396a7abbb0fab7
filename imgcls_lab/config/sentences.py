"""What pydantic finds wrong with a config, said as sentences."""

from __future__ import annotations

import difflib

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from imgcls_lab.errors import Problem

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
    "tuple_type": "must be a list, not “{input}”.",
    "too_long": "must have at most {max_length} parts.",
    "json_invalid": "This is not valid JSON: {error}.",
}


def closest(name: str, model: type[BaseModel]) -> str | None:
    """The field whose name, or whose title as a name, is nearest to one that there is not."""
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
        return Problem(field, str(values["error"]).rstrip(".") + ".")
    template = _SENTENCES.get(detail["type"])
    return Problem(field, template.format(**values) if template else detail["msg"].rstrip(".") + ".")

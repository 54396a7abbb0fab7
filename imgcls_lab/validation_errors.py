"""What pydantic finds wrong, as sentences. Called wherever values of a user or a client become a model.

A sentence stands beside its field in a form, so it does not repeat the field's name; `joined` puts the names before
them for a text of all.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from imgcls_lab.errors import Problem

MOST = 50  # problems that are said at once
LONGEST_FIELD, LONGEST_VALUE = 200, 60  # characters
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
    "string_too_long": "Must have at most {max_length} characters.",
    "tuple_type": "Must be a list, not “{input}”.",
    "list_type": "Must be a list, not “{input}”.",
    "dict_type": "Must be an object with names and values, not “{input}”.",
    "too_long": "Must have at most {max_length} parts.",
    "json_invalid": "This is not valid JSON: {error}.",
}
Names = Mapping[str, str]  # a name that a user may have meant -> the field


def field_names(model: type[BaseModel]) -> Names:
    """The fields of a model, by their names and by their titles as names."""
    titles = {(item.title or key).lower().replace(" ", "_"): key for key, item in model.model_fields.items()}
    return titles | {key: key for key in model.model_fields}


def closest(name: str, known: Names) -> str | None:
    """The field whose name or title is nearest to one that there is not."""
    found = difflib.get_close_matches(name[:LONGEST_FIELD].lower(), known, n=1)
    return known[found[0]] if found else None


def problems(
    error: ValidationError, known: Callable[[], Names], *, whole_lists: bool = False, otherwise: str | None = None
) -> list[Problem]:
    """A problem for each wrong field, the first 50.

    known: the fields, asked only when a name is unknown. whole_lists: a part of a list is said of the list, which is
    what a form shows. otherwise: the remedy where no field is close; by default the list of all.
    """
    details = error.errors(include_url=False)[:MOST]
    names = known() if any(detail["type"] == "extra_forbidden" for detail in details) else {}
    found = []
    for detail in details:
        place = detail["loc"][:1] if whole_lists else detail["loc"]
        field = ".".join(str(part) for part in place)[:LONGEST_FIELD]
        unknown = detail["type"] == "extra_forbidden"
        found.append(Problem(field, _unknown(detail, names, otherwise) if unknown else _sentence(detail, field)))
    return found


def joined(found: list[Problem]) -> str:
    """All problems in one text, each with its field's name."""
    return " ".join(f"{p.field}: {_going_on(p.message)}" if p.field else p.message for p in found)


def _unknown(detail: ErrorDetails, names: Names, otherwise: str | None) -> str:
    if not names or len(detail["loc"]) > 1:
        return "There is no such field."
    close = closest(str(detail["loc"][0]), names)
    remedy = otherwise or f"there are {', '.join(dict.fromkeys(names.values()))}."
    return f"There is no such field; {f'did you mean {close}?' if close else remedy}"


def _sentence(detail: ErrorDetails, field: str) -> str:
    values = {**detail.get("ctx", {}), "input": _shown(detail["input"])}
    if detail["type"] == "value_error":
        text = str(values["error"]).rstrip(".") + "."
        return text[0].upper() + text[1:] if field else text
    if detail["type"] == "string_too_short":
        least = values["min_length"]
        return "Must not be empty." if least == 1 else f"Must have at least {least} characters."
    template = _SENTENCES.get(detail["type"])
    if detail["type"] == "literal_error":
        return f"{_SENTENCES['literal_error'].format(**values)}{_meant(str(detail['input']), values['expected'])}"
    return template.format(**values) if template else detail["msg"].rstrip(".") + "."


def _meant(name: str, expected: str) -> str:
    """The choice that is nearest to what was given; expected: the choices as pydantic lists them."""
    close = difflib.get_close_matches(name[:LONGEST_VALUE].lower(), re.findall("'([^']*)'", expected), n=1)
    return f" Did you mean {close[0]}?" if close else ""


def _shown(value: Any) -> str:
    """A value in a sentence; of a list or an object only what it is."""
    if isinstance(value, list | tuple | dict):
        return "an object" if isinstance(value, dict) else "a list"
    text = str(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "…"


def _going_on(message: str) -> str:
    """What says something of the field goes on with its name: “batch_size: must be …”."""
    return message[0].lower() + message[1:] if message.startswith(("Must ", "Is ", "Has ", "Changes ")) else message

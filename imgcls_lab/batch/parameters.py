"""The parameters that a notebook declares, and the values given for them. Called before a run is queued.

It executes nothing. papermill itself writes any given name, unescaped, into the notebook's code. Here a name must be
one that the parameters cell declares, and a value must have its kind and be one that JSON can hold.
"""

from __future__ import annotations

import ast
import difflib
import io
import json
import keyword
import math
import re
import tokenize
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from imgcls_lab.batch.derived_parameters import derived, unreached
from imgcls_lab.batch.secrets import REMEDY, is_secret_name, refuse_secret
from imgcls_lab.errors import InputError, Problem
from imgcls_lab.schemas import DerivedView, ParameterKind, ParameterView

_KINDS: dict[str, ParameterKind] = {
    "int": "int", "float": "float", "str": "str", "bool": "bool", "list": "list", "dict": "dict", "tuple": "list",
}  # fmt: skip
_WORDS = {
    "int": "a whole number", "float": "a number", "str": "a text", "bool": "true or false", "list": "a list",
    "dict": "a mapping", "any": "a value",
}  # fmt: skip
_TYPE_COMMENT = re.compile(r"type:\s*(?P<type>[^\s]+)\s*(?P<help>.*)")
_TYPES: dict[str, type] = {"str": str, "bool": bool, "list": list, "dict": dict}
BITS = 1024  # of a whole number: what a float can hold
MAX_DEPTH = 50  # levels of lists and mappings in a value


# ── what a notebook declares ────────────────────────────────────────────────────────────────────────────────────
def declared(source: str, name: str) -> tuple[list[ParameterView], list[DerivedView]]:
    """The parameters of a cell's source, in order, and what it computes from them.

    Raises InputError if it is not plain Python.
    """
    try:
        tree = ast.parse(source)
        parameters = _parameters(tree, _comments(source))
        return parameters, derived(tree, [parameter.name for parameter in parameters])
    except (RecursionError, MemoryError):
        raise InputError(
            f"The parameters cell of {name} is nested too deep to be read. Leave nothing but NAME = VALUE in it."
        ) from None
    except (SyntaxError, ValueError, tokenize.TokenError) as error:
        raise InputError(
            f"The parameters cell of {name} is not plain Python ({error}). Leave nothing but NAME = VALUE in it."
        ) from None


def _parameters(tree: ast.Module, comments: Mapping[int, str]) -> list[ParameterView]:
    found: dict[str, ParameterView] = {}
    for statement in tree.body:
        target, annotation, value = _assignment(statement)
        if target is None:
            continue
        comment = comments.get(statement.end_lineno or 0, "")
        typed = _TYPE_COMMENT.fullmatch(comment)
        kind, optional = _annotated(annotation or (typed["type"] if typed else ""))
        default, known = _literal(value)
        if kind == "any" and known and default is not None:
            kind = _KINDS.get(type(default).__name__, "any")
        found[target] = ParameterView(
            name=target,
            kind=kind,
            optional=optional or kind == "any" or (known and default is None),
            default=default,
            source=ast.unparse(value) if value is not None else "None",
            help=typed["help"] if typed else comment,
        )
    return list(found.values())


def _assignment(statement: ast.stmt) -> tuple[str | None, str | None, ast.expr | None]:
    if isinstance(statement, ast.Assign) and len(statement.targets) == 1:
        target = statement.targets[0]
        if isinstance(target, ast.Name):
            return target.id, None, statement.value
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name) and statement.value is not None:
        note = statement.annotation
        text = note.value if isinstance(note, ast.Constant) and isinstance(note.value, str) else ast.unparse(note)
        return statement.target.id, text, statement.value
    return None, None, None


def _annotated(text: str) -> tuple[ParameterKind, bool]:
    """Kind and whether None is allowed, of `float`, `float | None`, `Optional[float]`, `list[int]` ..."""
    parts = [part.strip() for part in text.split("|")]
    optional = "None" in parts
    kinds = [part for part in parts if part and part != "None"]
    if len(kinds) != 1:
        return "any", optional
    inner = re.fullmatch(r"(?:typing\.)?Optional\[(.*)\]", kinds[0])
    if inner:
        return _annotated(inner[1])[0], True
    return _KINDS.get(kinds[0].partition("[")[0].lower(), "any"), optional


def _literal(value: ast.expr | None) -> tuple[Any, bool]:
    """A default as plain data, and whether it is one; an expression has none."""
    try:
        found = ast.literal_eval(value) if value is not None else None
        return json.loads(json.dumps(found, allow_nan=False)), True
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None, False


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string.lstrip("# ").strip() for t in tokens if t.type == tokenize.COMMENT}


def warnings(parameters: Sequence[ParameterView], made: Sequence[DerivedView], given: Mapping[str, Any]) -> list[str]:
    """Sentences worth knowing about accepted values."""
    found = [
        f"{name}: a tuple arrives in the notebook as a list." for name, value in given.items() if _has_tuple(value)
    ]
    return found + unreached(made, parameters, given)


def _has_tuple(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_tuple, value.values()))
    return isinstance(value, tuple) or (isinstance(value, list) and any(map(_has_tuple, value)))


# ── what is given for them ──────────────────────────────────────────────────────────────────────────────────────
def checked(parameters: Sequence[ParameterView], given: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The given values as the notebook accepts them. Raises InputError, with a sentence for each wrong value."""
    known = {parameter.name: parameter for parameter in parameters}
    values: dict[str, Any] = {}
    problems: list[Problem] = []
    for key, value in given.items():
        try:
            if key not in known or not key.isidentifier() or keyword.iskeyword(key):
                raise InputError(_unknown(key, known))
            values[key] = _value(known[key], value)
        except InputError as error:
            problems.append(Problem(key, str(error)))
    if problems:
        text = " ".join(f"{problem.field[:60]}: {problem.message}" for problem in problems)
        raise InputError(f"{name} cannot run with these parameters. {text} {listed(parameters)}", problems)
    return values


def listed(parameters: Sequence[ParameterView]) -> str:
    """The sentence that names all parameters."""
    if not parameters:
        return "It declares no parameters: tag one of its cells “parameters” and assign them there."
    return f"It declares {', '.join(parameter.name for parameter in parameters)}."


def read_texts(parameters: Sequence[ParameterView], pairs: Iterable[Sequence[str]]) -> dict[str, Any]:
    """Values from a shell, as the declared kinds; a text that cannot be parsed stays, and `checked` refuses it."""
    kinds = {parameter.name: parameter for parameter in parameters}
    return {key: _read_text(kinds.get(key), text) for key, text in pairs}


def _read_text(parameter: ParameterView | None, text: str) -> Any:
    if parameter is None or parameter.kind == "str":
        return None if parameter is not None and parameter.optional and text == "None" else text
    if text in {"None", "True", "False"}:
        return {"None": None, "True": True, "False": False}[text]
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _unknown(key: str, known: Mapping[str, ParameterView]) -> str:
    if not key.isidentifier() or keyword.iskeyword(key):
        return "This is no name of a parameter."
    close = difflib.get_close_matches(key, known, n=1)
    return f"There is no such parameter; did you mean {close[0]}?" if close else "There is no such parameter."


def _value(parameter: ParameterView, value: Any) -> Any:
    """Raises InputError."""
    if value is None:
        if not parameter.optional:
            raise InputError(f"It must be {_WORDS[parameter.kind]}, not None.")
        return None
    if isinstance(value, str) and is_secret_name(parameter.name):
        raise InputError(f"It looks like a secret by its name. {REMEDY}")
    plain = _plain(value, "")
    if not _fits(parameter.kind, plain):
        raise InputError(f"It must be {_WORDS[parameter.kind]}, not {_shown(value)}.")
    return plain


def _plain(value: Any, where: str, depth: int = 0) -> Any:
    """The value as JSON holds it; tuples become lists. Raises InputError for a value that JSON would change.

    where: its place in the parameter, such as `["a"][0]`; empty: the whole.
    """
    it = where or "It"
    if depth > MAX_DEPTH:
        raise InputError(f"It is nested more than {MAX_DEPTH} levels deep.")
    if type(value).__module__ == "numpy" and getattr(value, "ndim", None) == 0:  # without importing it
        value = value.item()
    if isinstance(value, str):
        refuse_secret(value)
        try:
            value.encode()
        except UnicodeEncodeError:
            raise InputError(f"{it} holds characters that are no text (half a surrogate pair).") from None
        return str(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if value.bit_length() > BITS:
            raise InputError(f"{it} is too large a number.")
        return int(value)
    if isinstance(value, float) and math.isfinite(value):
        return float(value)
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{at}]", depth + 1) for at, item in enumerate(value)]
    if isinstance(value, Mapping):
        items = {_key(key, where, item): item for key, item in value.items()}
        return {key: _plain(item, f"{where}[{_shown(key)}]", depth + 1) for key, item in items.items()}
    raise InputError(f"{it} must be made of finite numbers, texts, lists and mappings, not {_shown(value)}.")


def _key(key: Any, where: str, value: Any) -> str:
    """A key of a mapping; it must be a text, since JSON turns all keys into texts. Raises InputError."""
    if not isinstance(key, str):
        place = f" of {where}" if where else ""
        raise InputError(
            f"A key{place} is {_shown(key)}; keys must be texts, since all arrive in the notebook as texts. Write "
            f"{_shown(str(key))} and turn it back there, or give a list of pairs."
        )
    refuse_secret(key)
    if isinstance(value, str) and value and is_secret_name(key):
        raise InputError(f"{where}[{_shown(key)}] looks like a secret by its name. {REMEDY}")
    return str(key)


def _fits(kind: str, value: Any) -> bool:
    if kind == "any":
        return True
    if kind == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    if kind == "float":
        return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return isinstance(value, _TYPES[kind])


def _shown(value: Any) -> str:
    text = f"“{value}”" if isinstance(value, str) else repr(value)
    return text if len(text) <= 60 else text[:57] + "…"

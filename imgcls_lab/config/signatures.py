"""The fields of a config as keyword arguments: what Tab completes and `?` shows of `launch`, `train` and the like.

Type checkers read the same from `field_types.py`, which `python -m imgcls_lab.config` writes and a test compares.
"""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable, Container, Iterable, Iterator
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from imgcls_lab.config.fields import GROUPS
from imgcls_lab.config.train import PATHS, TrainConfig

F = TypeVar("F", bound=Callable[..., Any])


class _Said(str):
    """A text that a signature shows as it is, without quotes."""

    __slots__ = ()
    __repr__ = str.__str__


_OWN = _Said("...")  # the default of a field that has none, or that the config at hand has


def takes_fields(*, of_config: bool = False) -> Callable[[F], F]:
    """Give a function with `**fields` (the last argument) a signature that names them, each with its type and default.

    of_config: the fields change a config that is there, so that it says their defaults. A field that the function has
    an argument of the same name for is left to that.
    """
    return takes_fields_of(TrainConfig, kept=of_config)


def takes_fields_of(
    model: type[BaseModel], names: Container[str] | None = None, *, kept: bool = False
) -> Callable[[F], F]:
    """The same for the fields of any model, all or those of some names; kept: what is not given stays as it is."""

    def with_signature(function: F) -> F:
        fields = [each for name, each in _fields(model).items() if names is None or name in names]
        own = [each.replace(default=_OWN) if kept or each.default is each.empty else each for each in fields]
        return _with(function, own)

    return with_signature


def takes_keywords(names: Iterable[str], kind: str) -> Callable[[F], F]:
    """Give a function with `**keywords` (the last argument) a signature that names those that there are."""
    listed = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=_OWN, annotation=_Said(kind)) for name in names
    ]
    return lambda function: _with(function, listed)


def _with(function: F, keywords: Iterable[inspect.Parameter]) -> F:
    plain = inspect.signature(function)
    own = {
        name: each.replace(annotation=_said(each.annotation))
        for name, each in plain.parameters.items()
        if each.kind is not inspect.Parameter.VAR_KEYWORD
    }
    every = [*own.values(), *(each for each in keywords if each.name not in own)]
    whole = plain.replace(parameters=every, return_annotation=_said(plain.return_annotation))
    function.__signature__ = whole  # type: ignore[attr-defined]
    return function


def document(config: type[TrainConfig]) -> None:
    """Let `help` and `?` of the class itself show each field: its type and default, and what it means."""
    config.__doc__ = f"{inspect.cleandoc(config.__doc__ or '')}\n\n{fields_text()}"
    config.__signature__ = inspect.Signature([*_fields(config).values()])


def _fields(model: type[BaseModel]) -> dict[str, inspect.Parameter]:
    return {
        name: inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if item.is_required() else item.default,
            annotation=_Said(type_text(name, item)),
        )
        for name, item in model.model_fields.items()
    }


def fields_text() -> str:
    """What each field is, by group, as `help` shows it."""
    fields = TrainConfig.model_fields.items()
    parts = []
    for group, title in GROUPS.items():
        parts.append(f"{title}:\n")
        for name, item in fields:
            extra = item.json_schema_extra
            if isinstance(extra, dict) and extra["group"] == group:
                unit = f" Unit: {extra['unit']}." if "unit" in extra else ""
                default = "needed" if item.is_required() else f"default {item.default!r}"
                said = f"{name} ({default}): {item.title}. {item.description}{unit}"
                parts.append(textwrap.fill(said, 110, initial_indent="  ", subsequent_indent="      ") + "\n")
        parts.append("\n")
    return "".join(parts).rstrip()


def _said(annotation: Any) -> Any:
    return _Said(annotation) if isinstance(annotation, str) else annotation


def type_text(name: str, item: FieldInfo) -> str:
    """The type of a field as one writes it: a list may be given for a tuple, and a Path for the name of a file."""
    return " | ".join(dict.fromkeys(_names(item.annotation, "str | os.PathLike[str]" if name in PATHS else "str")))


def _names(kind: Any, text: str) -> Iterator[str]:
    origin = get_origin(kind)
    if hasattr(kind, "__metadata__"):  # Annotated
        yield from _names(get_args(kind)[0], text)
    elif origin in (Union, UnionType):
        for part in get_args(kind):
            yield from _names(part, text)
    elif origin is Literal:
        yield f"Literal[{', '.join(map(_quoted, get_args(kind)))}]"
    elif origin is tuple:
        yield f"Sequence[{' '.join(_names(get_args(kind)[0], text))}]"
    elif kind is NoneType:
        yield "None"
    else:
        yield text if kind is str else kind.__name__


def _quoted(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else repr(value)

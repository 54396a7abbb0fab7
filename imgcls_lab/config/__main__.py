"""`python -m imgcls_lab.config`: writes `field_types.py`, what type checkers know of a config's fields."""

from __future__ import annotations

import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo

from imgcls_lab.config.signatures import type_text
from imgcls_lab.config.train import TrainConfig

FILE = Path(__file__).with_name("field_types.py")
_APART = "device"  # `launch` has an argument of this name, for what the run waits for
_HEAD = '''\
"""The fields of TrainConfig as keyword arguments, for type checkers. Generated: `python -m imgcls_lab.config`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Literal, TypedDict


class LaunchFields(TypedDict, total=False):
    """All fields but `device`."""

'''
_TAIL = '''

class ConfigFields(LaunchFields, total=False):
    """All fields."""

'''


def source() -> str:
    """The text of the module."""
    fields = TrainConfig.model_fields
    most = "".join(_field(name, item) for name, item in fields.items() if name != _APART)
    return _HEAD + most + _TAIL + _field(_APART, fields[_APART])


def _field(name: str, item: FieldInfo) -> str:
    said = f"{item.title}. {item.description}".replace("\\", "\\\\")
    kind = type_text(name, item)
    if len(kind) > 100 and kind.startswith("Literal["):
        kind = f"Literal[\n        {kind[8:-1]}\n    ]"
    lines = textwrap.wrap(f'"""{said}"""', 115, break_long_words=False)
    return "".join(f"    {line}\n" for line in [f"{name}: {kind}", *lines])


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")

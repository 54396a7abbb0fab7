"""A sweep in a YAML file, for `imgcls-lab sweep`. Relative paths in it are relative to the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from imgcls_lab.batch.sweep_spec import make_request
from imgcls_lab.errors import InputError
from imgcls_lab.input_file import read_given
from imgcls_lab.schemas import SweepRequest

LARGEST = 1_000_000  # bytes


def read_file(path: Path, **given: Any) -> SweepRequest:
    """The request in a file. given: fields that hold instead of the file's. Raises InputError if it is not a sweep."""
    file = path.expanduser().absolute()
    try:
        data = yaml.safe_load(read_given(file, LARGEST).decode("utf-8"))
    except OSError as error:
        raise InputError(f"The sweep “{file}” cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise InputError(f"“{file}” is no sweep: its values are nested too deep.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"“{file}” is not valid YAML: {' '.join(str(error).split())[:300]}") from None
    if not isinstance(data, dict) or not all(isinstance(name, str) for name in data):
        raise InputError(f"“{file}” must hold names and values: base, space, strategy, metric ...")
    values: dict[str, Any] = {"base": {}, "name": file.stem, **data}
    budget = values.pop("budget", None)
    values |= {"trials": budget} if isinstance(budget, int) else budget or {}
    _anchor(values, "notebook", file.parent)
    if isinstance(values["base"], dict):
        values["base"] = {name: _number(value) for name, value in values["base"].items()}
        for name in ("root", "model_flavour"):
            _anchor(values["base"], name, file.parent)
        plugins = values["base"].get("plugins")
        if isinstance(plugins, list):
            values["base"]["plugins"] = [_anchored(plugin, file.parent) for plugin in plugins]
    if isinstance(values.get("space"), dict):
        values["space"] = {name: _item(item) for name, item in values["space"].items()}
    return make_request(**values | given)


def _anchor(values: dict[str, Any], name: str, folder: Path) -> None:
    """Make a path absolute if it exists in this folder; a name of the hub or of a data set stays."""
    if name in values:
        values[name] = _anchored(values[name], folder)


def _anchored(value: Any, folder: Path) -> Any:
    if isinstance(value, str) and (folder / Path(value).expanduser()).exists():
        return str((folder / Path(value).expanduser()).resolve())
    return value


def _item(item: Any) -> Any:
    if isinstance(item, dict):
        return {name: _number(value) for name, value in item.items()}
    return [_number(value) for value in item] if isinstance(item, list) else _number(item)


def _number(value: Any) -> Any:
    """YAML 1.1 reads 1e-4 as a text, because it has no point. Here it is a number."""
    if isinstance(value, str):
        try:
            return float(value) if "e" in value.lower() and value.strip()[:1] in "+-.0123456789" else value
        except ValueError:
            return value
    return value

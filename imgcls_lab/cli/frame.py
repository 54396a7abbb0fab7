"""What all commands share: text, JSON and tables on a screen, and a config from a file, a saved name and `--set`.

Called by the other modules here. Everything that a command prints goes through here, where it becomes inert: a name
of a file, class or run that holds terminal escapes is shown and not obeyed.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls_lab.errors import ConfigError, Problem
from imgcls_lab.terminal import inert

if TYPE_CHECKING:
    from pydantic import BaseModel

    from imgcls_lab.config import TrainConfig
    from imgcls_lab.store import Store

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="A setting of the config, such as epochs=5. Repeatable."),
]
ConfigOption = Annotated[
    str | None, typer.Option("--config", metavar="FILE", help="A config as JSON, or the name of a saved config.")
]


def say(text: object = "", *, err: bool = False, newline: bool = True) -> None:
    """Print text on stdout or stderr."""
    typer.echo(inert(str(text)), err=err, nl=newline)


def print_json(data: BaseModel | dict[str, Any] | Sequence[BaseModel | dict[str, Any]]) -> None:
    """Print wire models, or plain data."""
    plain = [_plain(item) for item in data] if isinstance(data, Sequence) else _plain(data)
    say(_escape_controls(json.dumps(plain, indent=1, ensure_ascii=False)))


def _plain(data: BaseModel | dict[str, Any]) -> dict[str, Any]:
    return data if isinstance(data, dict) else data.model_dump(mode="json")


def _escape_controls(text: str) -> str:
    """JSON leaves DEL, C1 controls and lone surrogates as they are; written out, they are the same text to a reader."""
    return "".join(c if inert(c) == c else f"\\u{ord(c):04x}" for c in text)


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str) -> None:
    """Print rows under their columns; figures are aligned right. In a pipe no column is cut."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    listed = [list(row) for row in rows]
    if not listed:
        say(empty)
        return
    for number, name in enumerate(columns):
        figures = all(isinstance(row[number], int | float | None) for row in listed)
        table.add_column(Text(inert(name)), justify="right" if figures else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text("–" if value is None else inert(str(value))) for value in row))
    console = Console()
    if not console.is_terminal:
        console = Console(width=400)
    console.print(table)


def read_config(source: str | None, settings: Sequence[str] | None, store: Store | None = None) -> TrainConfig:
    """The config of `--config` with each `--set` on top. Raises ConfigError with a sentence a wrong field."""
    from imgcls_lab.config import TrainConfig

    values = _read_source(source, store) if source is not None else {}
    for item in settings or ():
        name, equals, text = item.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"“--set {item}” is no setting; write --set NAME=VALUE, such as --set epochs=5.")
        values[name.strip()] = _parse(text)
    if "root" not in values:
        message = "Name the folder of images: --set root=FOLDER, or a config by --config."
        raise ConfigError(message, [Problem("root", message)])
    return TrainConfig.parse(values)


def _read_source(source: str, store: Store | None) -> dict[str, Any]:
    path = Path(source).expanduser()
    try:
        data = json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        for saved in store.configs() if store is not None else ():
            if saved.name == source:
                return dict(saved.config)
        raise ConfigError(f"There is no config file “{source}”, and no saved config of that name.") from None
    except OSError as error:
        raise ConfigError(f"The config file “{source}” cannot be read: {error.strerror}.") from None
    except ValueError as error:
        raise ConfigError(f"The config file “{source}” is not valid JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"The config file “{source}” must hold a JSON object, such as {{“root”: “flowers”}}.")
    return data


def _parse(text: str) -> Any:
    """A value as JSON where it is JSON (3, 1e-4, true, null), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text

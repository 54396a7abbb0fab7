"""What all commands share: text, JSON and tables on a screen, and a config from a file, a saved name and `--set`.

Called by the other modules here. Everything that a command prints goes through here, where it becomes inert: a name
of a file, class or run that holds terminal escapes is shown and not obeyed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from imgcls_lab.errors import ConfigError, Problem
from imgcls_lab.input_file import read_given
from imgcls_lab.run_layout import CONFIG, MANIFEST, RUN_INFO
from imgcls_lab.terminal import inert

if TYPE_CHECKING:
    from pydantic import BaseModel

    from imgcls_lab.api.run_handle import Run
    from imgcls_lab.config import TrainConfig
    from imgcls_lab.schemas import RunView
    from imgcls_lab.store import Store

WRAPS, LATE_WRAPS = 16, 40  # characters that a longer text keeps on a narrow terminal; a spare one goes instead
LARGEST_CONFIG = 1_000_000  # bytes
SAVED_NAMES = 8  # of saved configs, where none has the name that was given
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


def size_text(number: float) -> str:
    """Bytes as a person reads them."""
    return f"{number / 1e9:.1f} GB" if number >= 1e9 else f"{number / 1e6:.1f} MB"


def _plain(data: BaseModel | dict[str, Any]) -> dict[str, Any]:
    return data if isinstance(data, dict) else data.model_dump(mode="json")


def _escape_controls(text: str) -> str:
    """JSON leaves DEL, C1 controls and lone surrogates as they are; written out, they are the same text to a reader."""
    return "".join(c if inert(c) == c else f"\\u{ord(c):04x}" for c in text)


def print_table(
    columns: Sequence[str], rows: Iterable[Sequence[object]], empty: str, *, spare: Sequence[str] = ()
) -> None:
    """Print rows under their columns; figures are aligned right.

    On a terminal that is too narrow the spare columns go, the first of them first, and then long texts are wrapped,
    those of the first column last, since that is what other commands are given. In a pipe all is there.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    listed = [list(row) for row in rows]
    if not listed:
        say(empty)
        return
    cells = [["–" if value is None else inert(str(value)).replace("\n", " ") for value in row] for row in listed]
    console = Console()
    if not console.is_terminal:
        console = Console(width=400)
    lengths = [max(len(name), *(len(row[at]) for row in cells)) for at, name in enumerate(columns)]
    least = [min(length, LATE_WRAPS if at == 0 or columns[at] in spare else WRAPS) for at, length in enumerate(lengths)]
    shown = list(range(len(columns)))
    for name in spare:
        if sum(least[at] for at in shown) + 2 * (len(shown) - 1) > console.width:
            shown.remove(list(columns).index(name))
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for at in shown:
        figures = all(isinstance(row[at], int | float | None) for row in listed)
        table.add_column(
            Text(inert(columns[at])), justify="right" if figures else "left", overflow="fold", min_width=least[at],
            no_wrap=lengths[at] == least[at],
        )  # fmt: skip
    for row in cells:
        table.add_row(*(Text(row[at]) for at in shown))
    console.print(table)


def warn_unattended(views: Iterable[RunView]) -> None:
    """Say on stderr where unfinished runs are shown that no executor sees to."""
    from imgcls_lab.api import context
    from imgcls_lab.api.executor_status import missing_executor

    if sentence := missing_executor(context.store(), list(views)):
        say(sentence, err=True)


def queued(run: Run, hint: str, *, since: float, wait: bool, as_json: bool) -> None:
    """Say that a run is queued, and wait for it where that was asked for. hint: what to do next, for who does not wait.

    since: when that was asked for. A run that is older was asked for before, and that is said with what it came to.
    Raises ImgclsError with the run's own sentence where it was waited for and has failed.
    """
    from imgcls_lab.run_sentence import line

    if not as_json:
        view = run.view
        there = f"It is there already, as {run.id}: {line(view)}. Nothing was queued."
        say(there if view.created_at < since else f"Queued as {run.id} ({run.name}).")
    if wait:
        run.wait()
    if as_json:
        print_json(run.view)
    elif not wait:
        warn_unattended([run.view])
        say(hint)


def program(name: str = "imgcls-lab") -> str:
    """How a program beside this Python is called from here: by its name where the shell finds it, else by its path."""
    here = Path(sys.executable).parent
    found = shutil.which(name)
    if not (here / name).exists() or (found and os.path.samefile(Path(found).parent, here)):
        return name
    path = os.path.relpath(here / name)
    return str(here / name) if path.startswith(os.pardir) else path


@contextmanager
def progress_bar(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on stderr, where that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def read_config(
    source: str | None,
    settings: Sequence[str] | None,
    store: Store | None = None,
    *,
    base: dict[str, Any] | None = None,
) -> TrainConfig:
    """The config of `--config`, else `base`, with each `--set` on top. Raises ConfigError: a sentence a wrong field."""
    from imgcls_lab.config import TrainConfig

    given = read_settings(settings)
    values = (_read_source(source, store, trusted="plugins" in given) if source is not None else base or {}) | given
    if "root" not in values:
        message = "Name the folder of images: --set root=FOLDER"
        message += f". The config “{source}” has no root." if source is not None else ", or a config by --config."
        raise ConfigError(message, [Problem("root", message)])
    return TrainConfig.parse(values)


def read_settings(settings: Sequence[str] | None) -> dict[str, Any]:
    """Field -> value of each `--set NAME=VALUE`. Raises ConfigError."""
    values: dict[str, Any] = {}
    for item in settings or ():
        name, equals, text = item.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"“{item}” is no setting; write NAME=VALUE, such as epochs=5.")
        values[name.strip()] = _parse(text)
    return values


def _saved_names(store: Store | None) -> str:
    names = [f"“{config.name}”" for config in store.configs.list()] if store is not None else []
    more = f" and {len(names) - SAVED_NAMES} more" if len(names) > SAVED_NAMES else ""
    return (
        f"no saved config has that name. Saved are {', '.join(names[:SAVED_NAMES])}{more}."
        if names
        else "no config is saved."
    )


def _read_source(source: str, store: Store | None, *, trusted: bool) -> dict[str, Any]:
    """trusted: the command names plugins itself, so that those of the config are not executed."""
    path = Path(source).expanduser()
    try:
        data = json.loads(read_given(path, LARGEST_CONFIG))
    except (FileNotFoundError, IsADirectoryError):
        saved = store.configs.named(source) if store is not None else None
        if store is not None and saved is not None:
            if store.own_rows is not None and not trusted:  # those who share the database can change it
                _refuse_plugins(source, saved.config)
            return dict(saved.config)
        raise ConfigError(f"There is no config file “{source}”, and {_saved_names(store)}") from None
    except OSError as error:
        raise ConfigError(f"The config file “{source}” cannot be read: {error.strerror}.") from None
    except RecursionError:
        raise ConfigError(f"“{source}” is no config: its values are nested too deep.") from None
    except ValueError as error:
        raise ConfigError(f"The config file “{source}” is not valid JSON: {error}.") from None
    if not isinstance(data, dict):
        raise ConfigError(f"The config file “{source}” must hold a JSON object, such as {{“root”: “flowers”}}.")
    from imgcls_lab import signing
    from imgcls_lab.config.saved import upgraded
    from imgcls_lab.settings import Settings

    of_a_run = path.name == CONFIG and any((path.parent / name).exists() for name in (RUN_INFO, MANIFEST))
    if of_a_run and not trusted and not signing.is_own(Settings().home_path, path.absolute().parent):
        _refuse_plugins(source, data)
    return upgraded(data) if of_a_run else data  # an earlier version may have saved it; what a user wrote is of today


def _refuse_plugins(source: str, config: dict[str, Any]) -> None:
    """Raises ConfigError for a config of somebody else that names plugins, which are code."""
    if config.get("plugins"):
        message = (
            f"The config “{source}” names plugins, which are code: {config['plugins']}. Others may have written it, so "
            "nothing of them is executed. Read them, and name those that you want: --set plugins=FILE, or none: "
            "--set plugins=[]"
        )
        raise ConfigError(message, [Problem("plugins", message)], reason="foreign_plugins")


def _parse(text: str) -> Any:
    """A value as JSON where it is JSON (3, 1e-4, true, null), else the text itself."""
    try:
        return json.loads(text)
    except ValueError:
        return text

"""Names that hold terminal escapes are shown and not obeyed, by every command."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

import imgcls_lab.cli
from cli.conftest import Command
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.schemas import DatasetEdit
from imgcls_lab.settings import Settings
from imgcls_lab.terminal import inert

EVIL = "rose\x1b]0;owned\x07\x1b[2J\x9b31m\rhidden\u202e"


@pytest.mark.parametrize("character", ["\x1b", "\x07", "\x08", "\r", "\x7f", "\x9b", "\u202e", "\udc80"])
def test_a_control_character_is_written_out(character: str) -> None:
    shown = inert(f"a{character}b")
    assert character not in shown
    assert shown.startswith("a\\")
    assert inert("ümläut 图\tx\n") == "ümläut 图\tx\n"


def test_a_name_from_the_store_is_inert_in_a_table_and_the_same_in_json(
    imgcls: Command, few: TrainConfig, idle: Settings
) -> None:
    context.store().datasets.add(DatasetEdit(name=EVIL, root=few.root))
    for words in (["datasets", "list"], ["datasets", "list", "--json"]):
        done = imgcls(*words)
        assert "rose" in done.out
        assert not set(done.out) & set(EVIL) - set("rose]0;owned[2J31mhidden")
    assert json.loads(done.out)[0]["name"] == EVIL


def test_a_path_in_an_error_and_in_a_row_is_inert(imgcls: Command, few: TrainConfig, idle: Settings) -> None:
    done = imgcls("predict", f"/no/model{EVIL}", "image.png")
    assert done.code == 2
    assert "\x1b" not in done.err
    assert "\\x1b" in done.err


def test_every_command_prints_through_output() -> None:
    """`typer.echo`, `print` and the streams themselves would let escapes pass."""
    folder = Path(imgcls_lab.cli.__file__).parent
    found = []
    for path in sorted(folder.glob("*.py")):
        if path.name == "output.py":
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            name = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
            if name in ("print", "typer.echo", "sys.stdout.write", "sys.stderr.write"):
                found.append(f"{path.name}:{node.lineno}: {name}")
    assert found == []

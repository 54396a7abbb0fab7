"""Tables on a narrow terminal, and how a program is called from where one stands."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from rich.console import Console

from imgcls_lab.cli.output import print_table, program

RUNS = [
    ("20261124-123320-abc234", "flowers vit-base-patch16-224", "default", "succeeded", "10.0/10", "accuracy 97.4 %"),
    ("20261124-123321-abc235", "a", "default", "failed", "1.0/10", "–"),
]
COLUMNS = ["run", "name", "project", "state", "epochs", "best"]


def lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], width: int, **options: object
) -> list[str]:
    monkeypatch.setattr(
        "rich.console.Console", lambda **_: Console(width=width, force_terminal=True, color_system=None)
    )
    print_table(COLUMNS, RUNS, "", **options)  # type: ignore[arg-type]
    return capsys.readouterr().out.splitlines()


def test_a_narrow_terminal_shows_a_row_a_line_without_the_spare_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spare = ["project", "epochs"]
    wide = lines(monkeypatch, capsys, 120, spare=spare)
    assert wide[0].split() == COLUMNS
    narrow = lines(monkeypatch, capsys, 80, spare=spare)
    assert narrow[0].split() == ["run", "name", "state", "epochs", "best"]
    assert max(map(len, narrow)) <= 80
    assert all(any(line.startswith(row[0]) and row[5] in line for line in narrow) for row in RUNS), "ids are whole"


def test_a_program_that_the_shell_does_not_find_is_named_by_its_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folder = tmp_path / "checkout" / ".venv" / "bin"
    folder.mkdir(parents=True)
    for name in ("python", "imgcls-lab"):
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(folder / "python"))
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    monkeypatch.chdir(tmp_path / "checkout")
    assert program() == ".venv/bin/imgcls-lab"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert program() == str(folder / "imgcls-lab")
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin")
    assert program() == "imgcls-lab"
    assert program("nothing-of-ours") == "nothing-of-ours"

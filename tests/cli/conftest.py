"""The command line in this process and in one of its own; homes and digits of the notebook API's tests."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest
from api.conftest import few, idle, own

from imgcls_lab.cli import main

__all__ = ["few", "idle", "own"]


class Done(NamedTuple):
    code: int
    out: str
    err: str


Command = Callable[..., Done]


@pytest.fixture
def imgcls(capsys: pytest.CaptureFixture[str]) -> Command:
    """Run one command in this process."""

    def run(*words: str) -> Done:
        with pytest.raises(SystemExit) as exit_:
            main(words)
        captured = capsys.readouterr()
        code = exit_.value.code
        return Done(code if isinstance(code, int) else int(code is not None), captured.out, captured.err)

    return run


@pytest.fixture
def shell() -> Command:
    """Run one command in a process of its own."""

    def run(*words: str) -> Done:
        done = subprocess.run(argv(*words), capture_output=True, text=True, timeout=200, check=False)
        return Done(done.returncode, done.stdout, done.stderr)

    return run


def argv(*words: str) -> list[str]:
    return [sys.executable, "-c", "from imgcls_lab.cli import main; main()", *words]

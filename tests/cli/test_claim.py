"""A run folder that came from elsewhere, on the command line: found, looked at, claimed."""

from __future__ import annotations

import io
import json

import pytest

import imgcls_lab as lab
from cli.conftest import Command
from imgcls_lab import TrainConfig
from imgcls_lab.api.training import make_run_folder
from imgcls_lab.run_layout import RUN_INFO
from imgcls_lab.settings import Settings


def unsigned(settings: Settings, few: TrainConfig, name: str) -> str:
    folder = make_run_folder(few.with_changes(plugins=["/shared/anna/focal.py"]), settings, name=name, project=None)
    info = json.loads((folder / RUN_INFO).read_text())
    (folder / RUN_INFO).write_text(json.dumps({**info, "python": "/shared/anna/python", "signature": ""}))
    (folder / "owner.json").unlink()
    return folder.name


def test_a_run_from_elsewhere_is_claimed_after_a_look(
    imgcls: Command, idle: Settings, few: TrainConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = (unsigned(idle, few, name) for name in ("first", "second"))
    found = imgcls("db", "rebuild")
    assert (found.code, "2 runs view only" in found.out, "--mine" in found.out) == (0, True, True)
    refused = imgcls("resume", first)
    assert (refused.code, f"imgcls-lab claim {first}" in refused.err) == (3, True)
    monkeypatch.setattr("sys.stdin", io.StringIO("n\n"))
    aborted = imgcls("claim", first)
    assert (aborted.code, lab.run(first).view.view_only) == (1, True)
    claimed = imgcls("claim", first, "--yes")
    assert (claimed.code, lab.run(first).view.view_only) == (0, False)
    assert "/shared/anna/focal.py" in claimed.out
    assert "/shared/anna/python" not in claimed.out
    assert imgcls("claim", "--all", "--yes").code == 0
    assert not lab.run(second).view.view_only
    assert imgcls("claim").code == 2
    again = imgcls("db", "rebuild")
    assert (again.code, "view only" in again.out) == (0, False)

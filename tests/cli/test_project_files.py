"""Projects as files, the end of a project, and versions of configs on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig

from .conftest import Command


@pytest.fixture
def saved(imgcls: Command, few: TrainConfig, tmp_path: Path) -> str:
    """A project with a config of two versions."""
    path = tmp_path / "config.json"
    path.write_text(json.dumps(few.model_dump(mode="json")))
    assert imgcls("projects", "add", "pets").code == 0
    assert imgcls("configs", "add", "small", "--config", str(path), "--project", "pets", "--set", "lr=0.01").code == 0
    assert imgcls("configs", "edit", "small", "--set", "lr=0.02").code == 0
    return "pets"


def test_versions_of_a_config_are_listed_compared_and_restored(imgcls: Command, saved: str) -> None:
    listed = json.loads(imgcls("configs", "versions", "small", "--json").out)
    assert [(one["number"], one["changed"]) for one in listed] == [(2, ["lr"]), (1, [])]
    differing = json.loads(imgcls("configs", "diff", "small", "2", "1", "--json").out)
    assert [(one["name"], one["values"]) for one in differing] == [("lr", [0.01, 0.02])]
    assert "0.02" in imgcls("configs", "diff", "small").out
    assert imgcls("configs", "restore", "small", "1").code == 0
    assert json.loads(imgcls("configs", "show", "small", "--json").out)["version"] == 3
    missing = imgcls("configs", "restore", "small", "9")
    assert missing.code != 0
    assert "1 to 3" in missing.err


def test_a_project_leaves_as_a_file_and_comes_back(imgcls: Command, saved: str, tmp_path: Path) -> None:
    file = str(tmp_path / "pets.tar")
    done = json.loads(imgcls("projects", "export", saved, file, "--json").out)
    assert (done["project"], done["configs"], done["path"]) == ("pets", 1, file)
    assert imgcls("projects", "export", saved, file).code == 3
    told = imgcls("projects", "delete", saved, "--dry-run")
    assert (told.code, "1 config" in told.out) == (0, True)
    assert imgcls("projects", "delete", saved, "--yes").code == 0
    assert imgcls("projects", "show", saved).code != 0
    back = json.loads(imgcls("projects", "import", file, "--json").out)
    assert (back["project"], back["configs"], back["skipped"]) == ("pets", ["small"], [])
    assert len(json.loads(imgcls("configs", "versions", "small", "--json").out)) == 2
    again = imgcls("projects", "import", file, "--name", "more")
    assert (again.code, "small 2" in again.err) == (0, True)

    Path(file).write_bytes(b"not an archive")
    refused = imgcls("projects", "import", file)
    assert (refused.code, "refused" in refused.err) == (2, True)

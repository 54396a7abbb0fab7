"""`imgcls-lab verify`, `bisect` and `reproduce`: proofs on the command line, of runs and of folders."""

from __future__ import annotations

import json
from pathlib import Path

from imgcls_lab.config import TrainConfig

from .conftest import Command


def test_a_folder_is_verified_bisected_and_what_cannot_be_is_said(
    imgcls: Command, few: TrainConfig, tmp_path: Path
) -> None:
    changed = few.model_dump(mode="json", exclude_defaults=True)
    fields = [word for name, value in changed.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    folders = {name: str(tmp_path / name) for name in ("one", "other")}
    assert imgcls("train", "--out", folders["one"], *fields, "--set", "epochs=1").code == 0
    assert imgcls("train", "--out", folders["other"], *fields, "--set", "epochs=1", "--set", "lr=1e-5").code == 0

    verified = imgcls("verify", folders["one"], "--steps", "3", "--json")
    assert verified.code == 0, verified.err
    found = json.loads(verified.out)
    assert (found["identical"], found["last_step"]) == (True, 3)

    parted = imgcls("bisect", folders["one"], folders["other"])
    assert parted.code == 1, parted.err
    assert "Step 1 is the first that differs: the learning rate" in parted.out
    assert "lr is" in parted.out

    missing = imgcls("verify", folders["one"], "--at", "9")
    assert (missing.code != 0, "keeps no checkpoint “9”" in missing.err) == (True, True)
    taken = imgcls("reproduce", folders["one"], "--env", str(tmp_path))
    assert taken.code != 0
    assert "is not an empty folder" in taken.err

"""`imgcls-lab storage` lists what the home takes, and frees a part of it."""

from __future__ import annotations

import json
import os

import imgcls_lab as lab
from cli.conftest import Command
from imgcls_lab.settings import Settings


def test_storage_is_listed_and_freed(imgcls: Command, idle: Settings) -> None:
    idle.backups_dir.mkdir(parents=True)
    for day, size in ((1, 2_000_000), (2, 1_000_000)):
        copy = idle.backups_dir / f"imgcls-2026010{day}-120000.db"
        copy.write_bytes(b"x" * size)
        os.utime(copy, (-1000 * day, -1000 * day))  # the first was written last
    out = imgcls("storage").out
    assert "Copies of the database" in out
    assert "3.0 MB" in out
    assert "are free on the disk" in out
    parts = {part["kind"]: part for part in json.loads(imgcls("storage", "--json").out)["parts"]}
    assert (parts["backups"]["size"], parts["backups"]["frees"]) == (3_000_000, 1_000_000)
    assert {part.kind: part.size for part in lab.storage().parts}["backups"] == 3_000_000
    assert json.loads(imgcls("storage", "--free", "backups", "--json").out) == {"freed_bytes": 1_000_000}
    assert "nothing to free" in imgcls("storage", "--free", "backups").out
    refused = imgcls("storage", "--free", "runs")
    assert refused.code != 0
    assert "Delete runs" in refused.err
    assert imgcls("storage", "--free", "everything").code != 0

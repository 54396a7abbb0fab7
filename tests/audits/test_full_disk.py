"""An audit whose home's disk is full: it says so, and its next attempt is whole."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import photos
import pytest
from audit_steps import perform

from imgcls_lab.entry_points import TASK
from imgcls_lab.events import RunState
from imgcls_lab.schemas import DatasetEdit
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store
from tests.clusters.small_disk import SmallDisk, needs_root, small_disk


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk", 24) as disk:
        yield disk


@needs_root
def test_an_audit_on_a_full_disk_is_done_later(
    disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not even its first event can be written."""
    monkeypatch.setenv("IMGCLS_HOME", str(disk.path / "home"))
    monkeypatch.setenv("IMGCLS_DB_URL", f"sqlite:///{tmp_path}/runs.db")
    root = photos.data_set(tmp_path / "pets", {"train": 10, "val": 2})
    with Store.open(Settings(), migrate=True) as store:
        dataset = store.datasets.add(DatasetEdit(name="pets", root=str(root))).id
        folder = store.settings.run_dir(store.audits.start(dataset).run_id)
        disk.fill()
        command = TASK.argv(sys.executable, str(folder), "--attempt", "1")
        done = subprocess.run(command, capture_output=True, text=True, timeout=200, check=False)
        assert done.returncode == 1
        assert "No space left" in done.stdout + done.stderr
        disk.free()
        assert perform(store).state is RunState.SUCCEEDED
        view = store.audits.view(dataset)
        assert (view.done, view.total, view.notes) == (24, 24, [])

"""Places outside the home that others can write to: caches whose content is executed or trained on, a database."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from imgcls_lab import cache_eviction
from imgcls_lab.engine.training import build
from imgcls_lab.errors import StoreError, UnsafeFolderError
from imgcls_lab.row_file import locked
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o1777)
    return folder


@pytest.mark.parametrize("given", [None, "open", "own"])
def test_compiled_models_come_from_no_folder_that_others_can_make(
    open_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    """PyTorch's default is /tmp/torchinductor_USER: who makes it first has his code run."""
    (tmp_path / "own").mkdir(mode=0o755)
    chosen = {None: None, "open": open_folder, "own": tmp_path / "own"}[given]
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    if chosen is not None:
        monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(chosen))
    monkeypatch.setattr(torch, "compile", lambda model: model)
    cache = tmp_path / "home" / "compiled"
    build._compile(torch.nn.Identity(), cache)
    from torch._inductor.runtime.cache_dir_utils import cache_dir

    assert cache_dir() == str(tmp_path / "own" if given == "own" else cache)
    if given != "own":
        assert cache.stat().st_mode & 0o777 == 0o700


def test_the_imports_of_a_training_make_nothing_in_the_temporary_folder(tmp_path: Path) -> None:
    environment = {**os.environ, "TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run([sys.executable, "-c", "import imgcls_lab.engine.preload"], env=environment, check=True)
    assert list(tmp_path.glob("torch*")) == []


def test_decoded_images_are_not_kept_where_others_can_write(open_folder: Path) -> None:
    with pytest.raises(UnsafeFolderError) as refused:
        cache_eviction.evict_for(open_folder, [], 10**9)
    assert refused.value.reason == "mode"


def test_pipes_and_links_in_a_cache_hang_nothing_and_are_not_followed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.json")
    os.mkfifo(tmp_path / "a.lock")
    (tmp_path / "b.lock").symlink_to(tmp_path / "target")
    assert cache_eviction.entries(tmp_path) == []
    for name in ("a", "b"):
        with pytest.raises(OSError), locked(tmp_path / name):
            pass
    assert not (tmp_path / "target").exists()


def test_a_database_lies_where_nobody_else_can_put_a_journal_beside_it(open_folder: Path) -> None:
    settings = Settings(db_url=f"sqlite:///{open_folder}/imgcls.db")
    with pytest.raises(StoreError) as refused:
        Store.open(settings, migrate=True)
    assert refused.value.reason == "open_folder"
    assert list(open_folder.iterdir()) == []


def test_a_pipe_in_the_place_of_the_database_is_a_sentence(home: Path) -> None:
    settings = Settings()
    settings.make_home()
    os.mkfifo(home / "imgcls.db")
    with pytest.raises(StoreError):
        Store.open(settings, migrate=True)


def test_files_of_the_database_are_for_their_owner_alone_whatever_the_umask_is(home: Path) -> None:
    before = os.umask(0)
    try:
        with Store.open(Settings(), migrate=True) as store:
            store.projects.list()
            backup = store.backup(home / "backups" / "copy.db")
            files = [*home.glob("imgcls.db*"), backup]
            assert len(files) >= 2
            assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    finally:
        os.umask(before)
    for path in home.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path

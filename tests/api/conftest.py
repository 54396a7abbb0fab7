"""A few real digits, and a home whose executor is stopped when the test is over."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from imgcls_lab import TrainConfig, demo_data
from imgcls_lab.settings import Settings
from tests import own_home


@pytest.fixture(scope="session")
def few(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """A config that trains on sixteen images a class in a second, on one thread."""
    home = tmp_path_factory.mktemp("few")
    files = demo_data.prepare(Settings(home=str(home), datasets_dir=str(home / "datasets")))
    root = home / "few digits"
    for split, count in (("train", 16), ("val", 6)):
        for folder in (files.root / split).iterdir():
            (root / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, root / split / folder.name)
    return files.config.with_changes(root=str(root), epochs=2, batch_size=32, threads=1)


@pytest.fixture
def own(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """The settings of the test's home; its executor and its runs end with the test."""
    # two slots: one thread a run, since threads that wait for each other crawl where other work shares the cores
    with own_home.ended(monkeypatch, stop_grace=5) as settings:
        yield settings


@pytest.fixture
def idle(own: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A home in which nothing starts an executor."""
    monkeypatch.setenv("IMGCLS_AUTOSTART", "0")
    return own

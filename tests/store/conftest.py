"""Fixtures of the store's tests: the same tests on SQLite and on PostgreSQL."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))


from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture(params=["sqlite", "postgresql"])
def settings(request: pytest.FixtureRequest, home: Path) -> Settings:
    if request.param == "sqlite":
        return Settings(home=str(home))
    return Settings(home=str(home), db_url=request.getfixturevalue("postgres").url())


@pytest.fixture
def store(settings: Settings) -> Iterator[Store]:
    with Store.open(settings, migrate=True) as store:
        yield store


@pytest.fixture
def sqlite(home: Path) -> Iterator[Store]:
    with Store.open(Settings(home=str(home)), migrate=True) as store:
        yield store


@pytest.fixture
def submit(store: Store) -> Callable[..., str]:
    from imgcls_lab.schemas import SubmitRequest

    def submit(name: str | None = None, **fields: object) -> str:
        config = {"root": "/data/digits", "model_flavour": "tiny", **fields.pop("config", {})}
        return store.runs.submit(SubmitRequest(config=config, name=name, **fields)).id

    return submit


@pytest.fixture
def team(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Store]]:
    """`team("ada")` is the store of a user with a home of its own, on the database of all."""
    url, opened = postgres.url(), {}

    def store_of(user: str) -> Store:
        if user not in opened:
            monkeypatch.setenv("JUPYTERHUB_USER", user)
            opened[user] = Store.open(Settings(home=str(tmp_path / user), db_url=url), migrate=True)
        return opened[user]

    yield store_of
    for store in opened.values():
        store.close()

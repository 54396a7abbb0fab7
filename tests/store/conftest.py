"""Fixtures of the store's tests: the same tests on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import postgres_server

from imgcls_lab.settings import Settings
from imgcls_lab.store import Store


@pytest.fixture(scope="session")
def postgres() -> Iterator[postgres_server.Server]:
    with postgres_server.running() as server:
        if server is None:
            if os.environ.get("CI"):
                pytest.fail("PostgreSQL is missing, and in CI that is a failure.")
            pytest.skip("PostgreSQL is missing; `make system` installs it.")
        yield server


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

"""Saved configs have versions: what a save keeps, the difference of two, and an older one made the newest."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sqlmodel import select

from imgcls_lab.errors import ConfigError, InputError, NotFoundError
from imgcls_lab.schemas import ConfigEdit
from imgcls_lab.schemas.limits import MAX_VERSIONS
from imgcls_lab.store import Store, config_versions, rebuild
from imgcls_lab.store.tables import ConfigVersion

CONFIG = {"root": "/data/digits", "model_flavour": "tiny"}


def edit(name: str = "small", **fields: Any) -> ConfigEdit:
    return ConfigEdit(name=name, config={**CONFIG, **fields})


def test_a_save_that_changes_the_config_is_a_new_version(store: Store) -> None:
    made = store.configs.add(edit(lr=1e-3))
    assert made.version == 1
    same = store.configs.edit(made.id, edit("renamed", lr=1e-3))
    assert (same.version, same.name) == (1, "renamed"), "a name alone is no version"
    changed = store.configs.edit(made.id, edit("renamed", lr=5e-4, batch_size=16))
    assert (changed.version, changed.config["lr"]) == (2, 5e-4)

    newest, oldest = store.configs.versions(made.id)
    assert [(one.number, sorted(one.changed), one.config["lr"]) for one in (newest, oldest)] == [
        (2, ["batch_size", "lr"], 5e-4), (1, [], 1e-3)
    ]  # fmt: skip
    assert newest.author == store.database.actor.user
    with pytest.raises(ConfigError):
        store.configs.edit(made.id, edit(lr=-1))
    assert len(store.configs.versions(made.id)) == 2


def test_versions_are_told_apart_and_an_older_one_comes_back(store: Store) -> None:
    made = store.configs.add(edit(lr=1e-3))
    store.configs.edit(made.id, edit(lr=5e-4, epochs=3))
    fields = {field.name: field.values for field in store.configs.difference(made.id, 2, 1)}
    assert fields["lr"] == [1e-3, 5e-4]
    assert set(fields) == {"lr", "epochs"}
    against_defaults = {field.name for field in store.configs.difference(made.id, 1)}
    assert against_defaults == {"lr", "model_flavour"}, "a setting without a default differs from none"
    assert store.configs.difference(made.id, 2, 2) == []

    again = store.configs.restore(made.id, 1)
    assert (again.version, again.config["lr"]) == (3, 1e-3)
    assert [one.number for one in store.configs.versions(made.id)] == [3, 2, 1]
    for number in (0, 4):
        with pytest.raises(NotFoundError):
            store.configs.difference(made.id, number)
        with pytest.raises(NotFoundError):
            store.configs.restore(made.id, number)
    store.configs.delete(made.id)
    with pytest.raises(NotFoundError):
        store.configs.versions(made.id)
    other = store.configs.add(edit("another", lr=0.1))
    assert [one.config["lr"] for one in store.configs.versions(other.id)] == [0.1]


def test_a_config_has_so_many_versions(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MAX_VERSIONS >= 100
    monkeypatch.setattr(config_versions, "MAX_VERSIONS", 3)
    made = store.configs.add(edit(lr=1e-3))
    for number in (2, 3):
        store.configs.edit(made.id, edit(lr=number * 1e-3))
    with pytest.raises(InputError, match="another name"):
        store.configs.edit(made.id, edit(lr=0.5))
    assert store.configs.get(made.id).config["lr"] == 3e-3


def test_versions_outlive_the_database(sqlite: Store) -> None:
    made = sqlite.configs.add(edit(lr=1e-3))
    sqlite.configs.edit(made.id, edit(lr=5e-4))
    before, settings = sqlite.configs.versions(made.id), sqlite.settings
    sqlite.close()
    sqlite.database.file.unlink()
    rebuild(settings)
    with Store.open(settings) as again:
        assert again.configs.versions(again.configs.find("small").id) == before


def test_a_config_of_a_record_without_versions_has_one(sqlite: Store) -> None:
    sqlite.configs.add(edit(lr=1e-3))
    settings = sqlite.settings
    sqlite.close()
    sqlite.database.file.unlink()
    path = settings.home_path / "registry.json"
    record = json.loads(path.read_text())
    assert record["configs"][0].pop("versions")
    path.write_text(json.dumps(record))
    rebuild(settings)
    with Store.open(settings) as again, again.database.read() as session:
        assert [row.number for row in session.exec(select(ConfigVersion))] == [1]

"""Whoever has the password of a team's database changes rows at will. Nobody's daemon executes what they then say.

Each change is one that a person with another account makes by SQL, to a run that waits in somebody's home.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from imgcls_lab import signing
from imgcls_lab.errors import ConflictError, InputError, NotFoundError
from imgcls_lab.events import DesiredState, RunKind, RunState
from imgcls_lab.run_layout import new_run_id
from imgcls_lab.schemas import RunEdit, SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, rebuild
from imgcls_lab.store.executor_store import ExecutorStore
from imgcls_lab.store.executors import HeartbeatWatch
from tests.store.store_steps import HOST, claim, finish

CONFIG = {"root": "/data/digits", "model_flavour": "tiny"}
SWEEP = {"request": {"base": CONFIG, "space": {"lr": {"values": [0.1]}}}}


@pytest.fixture
def ada(postgres: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("JUPYTERHUB_USER", "ada")
    with Store.open(Settings(home=str(tmp_path / "ada"), db_url=postgres.url()), migrate=True) as store:
        yield store


def submit(store: Store, kind: RunKind = RunKind.TRAIN) -> str:
    fields: dict[RunKind, dict[str, Any]] = {
        RunKind.TRAIN: {"config": CONFIG},
        RunKind.NOTEBOOK: {"payload": {"code": "1", "parameters": {}}},
        RunKind.SWEEP: {"payload": SWEEP},
    }
    return store.runs.submit(SubmitRequest(kind=kind, device="none", **fields[kind])).id


def change(store: Store, run_id: str, **values: str) -> None:
    """What somebody else does to the row."""
    named = ", ".join(f"{name} = :{name}" for name in values)
    with store.database.connection() as connection:
        connection.execute(text(f"UPDATE runs SET {named} WHERE id = :id"), {**values, "id": run_id})


def insert(store: Store, run_id: str) -> str:
    """What somebody else adds: a copy of a row, with an id that no folder of the home has."""
    new = new_run_id()
    with store.database.connection() as connection:
        row = dict(connection.execute(text("SELECT * FROM runs WHERE id = :id"), {"id": run_id}).mappings().one())
        del row["number"]
        row |= {"id": new, "idempotency_key": None}
        row = {name: json.dumps(value) if isinstance(value, dict | list) else value for name, value in row.items()}
        names, values = ", ".join(row), ", ".join(f":{name}" for name in row)
        connection.execute(text(f"INSERT INTO runs ({names}) VALUES ({values})"), row)
    return new


def refused(store: Store) -> str:
    """Claim what waits, as a daemon does before it starts it; why nothing is started."""
    executor = ExecutorStore(store.database, store.settings, HOST, "ada-1", HeartbeatWatch(1e9))
    executor.register()
    found = claim(store)
    assert found is not None
    with pytest.raises(ConflictError) as error:
        executor.check_submitted(found.run)
    return str(error.value)


CHANGES: dict[str, tuple[RunKind, dict[str, str]]] = {
    "the interpreter": (RunKind.TRAIN, {"python": "/tmp/python"}),
    "plugins": (RunKind.TRAIN, {"config": json.dumps({**CONFIG, "plugins": ["/tmp/evil.py"]})}),
    "a notebook's code": (RunKind.NOTEBOOK, {"payload": json.dumps({"code": "evil", "parameters": {}})}),
    "a sweep's notebook": (RunKind.SWEEP, {"payload": json.dumps({**SWEEP, "notebook": {"code": "evil"}})}),
    "the kind": (RunKind.TRAIN, {"kind": "notebook", "payload": json.dumps({"code": "evil"})}),
}


@pytest.mark.parametrize(("kind", "values"), CHANGES.values(), ids=CHANGES)
def test_a_row_that_was_changed_is_not_started(ada: Store, kind: RunKind, values: dict[str, str]) -> None:
    run_id = submit(ada, kind)
    change(ada, run_id, **values)
    ada.runs.edit(run_id, RunEdit(notes="the home's own process writes the folder anew"))
    assert "was not submitted" in refused(ada)


def test_a_row_that_was_added_is_not_started_and_gets_no_folder(ada: Store) -> None:
    first = submit(ada)
    added = insert(ada, first)
    change(ada, first, state="cancelled")
    ada.runs.edit(added, RunEdit(notes="x"))
    assert "was not submitted" in refused(ada)
    assert signing.own_info(ada.settings.home_path, ada.settings.run_dir(added)) is None


def test_a_folder_that_came_from_elsewhere_does_not_become_ones_own_by_its_row(ada: Store) -> None:
    run_id = submit(ada)
    info = ada.settings.run_dir(run_id) / "run.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), signing.SIGNATURE: "0" * 64}))
    assert "was not submitted" in refused(ada)


def test_a_resume_with_other_settings_begins_with_what_was_submitted(ada: Store) -> None:
    run_id = submit(ada)
    ada.runs.set_desired_state(run_id, DesiredState.STOP)
    change(ada, run_id, config=json.dumps({**CONFIG, "plugins": ["/tmp/evil.py"]}))
    with pytest.raises(ConflictError, match="was not submitted"):
        ada.runs.resume(run_id, {"num_workers": 1})


@pytest.mark.parametrize("kind", [RunKind.TRAIN, RunKind.NOTEBOOK, RunKind.SWEEP])
def test_what_was_submitted_is_started_and_goes_on(ada: Store, kind: RunKind) -> None:
    run_id = submit(ada, kind)
    executor = ExecutorStore(ada.database, ada.settings, HOST, "ada-1", HeartbeatWatch(1e9))
    executor.register()
    found = claim(ada)
    assert found is not None
    executor.check_submitted(found.run)
    finish(ada, run_id, 1, RunState.STOPPED)
    ada.runs.edit(run_id, RunEdit(name="again"))
    ada.runs.resume(run_id, {"num_workers": 1} if kind is RunKind.TRAIN else None)
    found = claim(ada)
    assert found is not None
    executor.check_submitted(found.run)


def test_a_run_of_a_version_that_signed_nothing_is_started_on_its_users_word(ada: Store) -> None:
    run_id = submit(ada)
    info = ada.settings.run_dir(run_id) / "run.json"
    info.write_text(json.dumps({k: v for k, v in json.loads(info.read_text()).items() if k != signing.SIGNATURE}))
    rebuild(ada.settings, mine=True)
    executor = ExecutorStore(ada.database, ada.settings, HOST, "ada-1", HeartbeatWatch(1e9))
    executor.register()
    found = claim(ada)
    assert found is not None
    executor.check_submitted(found.run)


@pytest.mark.parametrize("name", ["../../thesis", "..", ".", "", "a/../../..", "a\0"])
def test_an_id_is_the_name_of_a_folder(ada: Store, name: str) -> None:
    with pytest.raises(NotFoundError):
        ada.settings.run_dir(name)


# ── idempotency keys ────────────────────────────────────────────────────────────────────────────────────────────────
def test_nobody_takes_the_place_of_a_sweeps_trial(ada: Store) -> None:
    with pytest.raises(InputError, match="is a sweep's"):
        ada.runs.submit(SubmitRequest(config=CONFIG, idempotency_key=f"trial:{'0' * 64}"))


def test_a_key_gives_nobody_elses_run(ada: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = SubmitRequest(config=CONFIG, idempotency_key="nightly-1")
    run_id = ada.runs.submit(request).id
    assert ada.runs.submit(request).id == run_id
    monkeypatch.setenv("JUPYTERHUB_USER", "bob")
    with Store.open(Settings(home=str(tmp_path / "bob"), db_url=ada.settings.db_url)) as bob:
        with pytest.raises(ConflictError, match="used by ada"):
            bob.runs.submit(request)

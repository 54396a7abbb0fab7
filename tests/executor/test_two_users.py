"""Two users with real daemons on one PostgreSQL and one host share its CPU slots; neither starts the other's runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "store"))

from sqlmodel import select
from stub_lab import StubLab

from imgcls_lab.events import LIVE, RunState
from imgcls_lab.store.tables import Attempt, Run
from tests.store.postgres_server import Server

EACH, SLOTS = 6, 2


@pytest.fixture
def labs(postgres: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, StubLab]]:
    url, made = postgres.url(), {}
    for name in ("ada", "bob"):
        monkeypatch.setenv("JUPYTERHUB_USER", name)
        made[name] = StubLab(tmp_path / name, url, cpu_slots=SLOTS)
    yield made
    for lab in made.values():
        lab.close()


def test_devices_are_shared_and_no_foreign_run_is_executed(
    labs: dict[str, StubLab], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, lab in labs.items():
        monkeypatch.setenv("JUPYTERHUB_USER", name)
        lab.start_daemon()
    runs: dict[str, list[str]] = {name: [] for name in labs}
    for n in range(EACH):  # both live, however long one of them took to come up
        for name, lab in labs.items():
            monkeypatch.setenv("JUPYTERHUB_USER", name)
            runs[name].append(lab.submit(f"{name} {n}", steps=30))
    ada = labs["ada"]
    ended = {run_id for ids in runs.values() for run_id in ids}

    def over() -> bool:
        # asked first: a run that begins between the two questions is still counted
        waiting = ada.store.runs.list(states=[RunState.QUEUED]).total
        live = ada.store.runs.list(states=LIVE, limit=100).items
        held = [device for run in live for device in run.devices]
        assert len(held) == len(set(held)), "never two runs on one device"
        return not waiting and not live

    ada.until(over, 150, lambda: "\n".join(lab.daemon_log() for lab in labs.values()))
    with ada.store.database.read() as session:
        rows = {row.id: row for row in session.exec(select(Run))}
        executors = {attempt.run_id: attempt.executor_id for attempt in session.exec(select(Attempt))}
    assert {run_id: RunState(rows[run_id].state) for run_id in ended} == dict.fromkeys(ended, RunState.SUCCEEDED)
    daemon = {name: json.loads(lab.settings.executor_info.read_text())["id"] for name, lab in labs.items()}
    for name, lab in labs.items():
        other = labs["bob" if name == "ada" else "ada"]
        for run_id in runs[name]:
            assert (rows[run_id].owner, rows[run_id].home) == (name, lab.store.database.home)
            assert executors[run_id] == daemon[name]
            assert lab.settings.run_dir(run_id).is_dir()
            assert not other.settings.run_dir(run_id).exists()
    order = sorted(ended, key=lambda run_id: rows[run_id].started_at or 0.0)
    first = [rows[run_id].owner for run_id in order[: EACH + 2]]
    assert min(first.count("ada"), first.count("bob")) >= 2, f"both users get devices from the beginning: {first}"

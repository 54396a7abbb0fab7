"""A filled database of revision 0005 becomes one of today, on SQLite and on PostgreSQL: every row, every value."""

from __future__ import annotations

import copy
import hashlib
import importlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import old_rows
import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.config.saved import FORMER_FIELDS, upgraded, upgraded_sweep
from imgcls_lab.errors import ConfigError, ConflictError, StoreError
from imgcls_lab.events import RunKind, RunState
from imgcls_lab.identity import user_name
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings
from imgcls_lab.store import Store, migrations
from imgcls_lab.store import database as db
from imgcls_lab.store.saved import FORMER_COLUMNS, upgraded_info, upgraded_registry

# what revision 0006 promises, written out once more
COLUMNS = {
    ("alerts", "hook"): "webhook_state",
    ("datasets", "not_taken"): "skipped_files",
    ("devices", "holders"): "gpu_processes",
    ("executors", "beat"): "heartbeat",
    ("executors", "beat_at"): "heartbeat_at",
    ("runs", "desired"): "desired_state",
    ("runs", "device_wanted"): "requested_device",
    ("runs", "gpus_wanted"): "requested_gpus",
    ("runs", "host_wanted"): "requested_host",
    ("runs", "losses"): "lost_attempts",
}
FIELDS = {
    "accumulate": "gradient_accumulation_steps",
    "board_evaluation": "tensorboard_evaluation",
    "board_graph": "tensorboard_graph",
    "board_histograms": "tensorboard_histograms",
    "decay_share": "decay_fraction",
    "early_stopping": "early_stopping_patience",
    "erase": "random_erasing",
    "processes": "num_processes",
    "workers": "num_workers",
}


def fields(values: Mapping[str, Any]) -> dict[str, Any]:
    return {FIELDS.get(name, name): value for name, value in values.items()}


def repetition(config: Mapping[str, Any]) -> str:
    """What runs have in common that differ in their seeds alone; empty for a run without a config."""
    extra: dict[str, Any] = {name: field.json_schema_extra for name, field in TrainConfig.model_fields.items()}
    kept = {name: value for name, value in config.items() if name == "root" or extra[name]["affects_result"]}
    kept.pop("seed", None)
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:16] if kept else ""


def with_sweeps(rows: old_rows.Rows) -> old_rows.Rows:
    """The rows, whose trials have their sweep as parent: one change that pages are told of."""
    found = copy.deepcopy(rows)
    (counter,) = (row for row in found["counters"] if row["name"] == "changes")
    counter["value"] += 1
    for row in found["runs"]:
        if row["parent_id"] is None and (noted := re.match(r"A trial of the sweep ([0-9a-z-]+)\.", row["notes"])):
            row |= {"parent_id": noted[1], "change": counter["value"]}
    assert found != rows, "no trial: nothing is shown"
    return found


def expected(rows: old_rows.Rows, owner: str, home: str) -> old_rows.Rows:
    """What the rows of revision 0005 have to be after the migration. owner, home: of what had none."""
    found = with_sweeps(rows) | {"project_members": [], "audit_events": [], "homes": [], "dataset_revisions": []}
    nothing_yet = {"weight": 1.0, "max_devices": None, "max_disk_gb": None, "usage": 0.0, "usage_runs": 0.0}
    nothing_yet |= {"usage_at": 0.0, "held_until": 0.0}
    found["saved_views"] = found["alert_dismissals"] = found["inherited_metrics"] = []
    found["run_counts"] = [row | {"archived": False} for row in rows["run_counts"] if row["count"]]
    found["users"] = [] if owner else [{"name": user_name(), "admin": True, **nothing_yet}]
    for name, table in found.items():
        for row in table:
            if name in ("configs", "runs"):
                row["config"] = fields(row["config"])
            request = row.get("payload", {}).get("request", {})
            if request and not request["notebook"]:
                request |= {part: fields(request[part]) for part in ("base", "space")}
            for (of, former), column in COLUMNS.items():
                if of == name:
                    row[column] = row.pop(former)
            if name in ("runs", "projects", "configs", "datasets", "models"):
                row["owner"] = "" if (name, row["name"]) == ("projects", "default") else owner
            if name == "runs":
                row |= {"view_only": False, "home": home, "record_behind": False}
                row |= {"data_revision": None, "data_revision_digest": ""}
                row |= {"min_gpus": None, "requested_nodes": 1}
                row |= {"tags": [], "archived": False, "best_values": {}, "size": None}
                row |= {"lineage": "", "fork_step": None, "fork_epoch": None, "changes": []}
                row["repetition"] = repetition(row["config"])
            if name == "datasets":
                row |= {"audit_run_id": None, "scanned_at": None}
            if name in ("executors", "alerts", "deleted_runs", "devices"):
                row["home"] = ""
            if name == "executors":
                row["user"] = ""
            if name == "deleted_runs":
                row["folder_left"] = False
    found["config_versions"] = [
        {"config_id": row["id"], "number": 1, "author": row["owner"], "created_at": row["updated_at"]}
        | {"config": row["config"]}
        for row in found["configs"]
    ]
    return found


@pytest.fixture
def rows(settings: Settings) -> old_rows.Rows:
    found = old_rows.read()
    old_rows.fill(settings, found)
    return found


def test_the_database_before_is_filled(rows: old_rows.Rows) -> None:
    """Otherwise the tests below compare nothing."""
    states = {(row["kind"], row["state"]) for row in rows["runs"]}
    assert states >= {
        *(("train", state) for state in ("succeeded", "failed", "stopped", "cancelled", "queued")),
        *(("sweep", "succeeded"), ("sweep", "stopped"), ("notebook", "succeeded")),
    }
    used = next(row["config"] for row in rows["runs"] if row["name"] == "finished")
    assert set(FIELDS) <= set(used)
    assert (used["accumulate"], used["workers"], used["early_stopping"], used["erase"]) == (2, 1, 5, 0.25)
    assert all(rows[name] for name in ("projects", "configs", "datasets", "models", "alerts", "metrics", "devices"))


def test_every_row_is_kept_under_the_names_of_today(settings: Settings, rows: old_rows.Rows) -> None:
    before = old_rows.stored(settings)
    assert old_rows.in_order(before) == old_rows.in_order(rows), "the fixture is not what was loaded"
    with pytest.raises(StoreError, match="0005"):
        Store.open(settings)
    Store.open(settings, migrate=True).close()
    mine = settings.db_url.startswith("sqlite")  # a server's rows may be anybody's
    owner, home = (user_name(), (settings.home_path / "home-id").read_text()) if mine else ("", "")
    after = old_rows.stored(settings)
    acts = [(act["kind"], act["subject_id"], act["details"]) for act in after["audit_events"]]
    assert acts == ([] if mine else [("user", user_name(), {"changed": {"admin": [False, True]}})])
    assert old_rows.in_order(after | {"audit_events": []}) == old_rows.in_order(expected(rows, owner, home))


def test_every_config_and_sweep_is_one_of_today(settings: Settings, rows: old_rows.Rows) -> None:
    with Store.open(settings, migrate=True) as store:
        assert store.runs.list(limit=100).total == len(rows["runs"])
        for item in store.runs.list(limit=100).items:
            run = store.runs.get(item.id)
            if run.config:
                parsed = TrainConfig.parse(run.config).model_dump(mode="json")  # with fields of later versions
                assert {name: parsed[name] for name in run.config} == run.config
            if run.kind is RunKind.SWEEP:
                assert set(run.payload["request"]["base"]) <= set(TrainConfig.model_fields)
                assert set(run.payload["request"]["space"]) <= set(TrainConfig.model_fields)


def test_runs_go_on_in_the_migrated_database(settings: Settings, rows: old_rows.Rows) -> None:
    """Triggers and numbers still work: a new run, a resumed one, the counts."""
    with Store.open(settings, migrate=True) as store:
        counts = store.runs.list().counts
        named = {row["name"]: row for row in rows["runs"]}
        stopped = store.runs.resume(named["stopped"]["id"])
        assert (stopped.state, stopped.step) == (RunState.QUEUED, named["stopped"]["step"])
        store.runs.submit(SubmitRequest(config={"root": "/data"}))
        assert store.runs.list().counts[RunState.QUEUED] == counts[RunState.QUEUED] + 2
        if not store.database.is_sqlite:  # whoever shares the database could have written that row
            with pytest.raises(ConflictError, match="db rebuild --mine"):
                store.runs.resume(named["kernel, interrupted"]["id"], {"num_workers": 0})
            return
        changed = store.runs.resume(named["kernel, interrupted"]["id"], {"num_workers": 0})
        assert store.runs.get(changed.id).config["num_workers"] == 0


def test_a_migration_and_its_way_back_leave_the_rows_as_they_were(settings: Settings, rows: old_rows.Rows) -> None:
    from alembic import command
    from alembic.config import Config

    Store.open(settings, migrate=True).close()
    database = db.Database(settings.db_url)
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    with database.engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0005")
    database.close()
    counted = [row for row in rows["run_counts"] if row["count"]]  # a state that no run is in needs no row
    assert old_rows.in_order(old_rows.stored(settings)) == old_rows.in_order(
        with_sweeps(rows) | {"run_counts": counted}
    )


def test_the_revision_and_the_reader_of_folders_rename_the_same() -> None:
    revision = importlib.import_module("imgcls_lab.store.migrations.versions.0006_the_fields_own_names")
    assert revision.COLUMNS == COLUMNS
    assert revision.FIELDS == FIELDS
    assert FIELDS.items() <= FORMER_FIELDS.items()
    written = {(table, former): name for table, names in FORMER_COLUMNS.items() for former, name in names.items()}
    assert {key: name for key, name in COLUMNS.items() if key[0] not in ("devices", "executors")} == written


def test_no_field_of_today_has_a_former_name_and_a_user_is_told_the_new_one() -> None:
    assert not FORMER_FIELDS.keys() & TrainConfig.model_fields.keys()
    assert set(FORMER_FIELDS.values()) <= TrainConfig.model_fields.keys()
    for former, name in FORMER_FIELDS.items():
        with pytest.raises(ConfigError) as refused:
            TrainConfig.parse({"root": "/data", former: 1})
        (problem,) = refused.value.problems
        assert problem.field == former
        assert name in problem.message


def test_saved_configs_of_an_earlier_version_are_read() -> None:
    saved = {"root": "/data", "accumulate": 3, "workers": 0, "erase": 0.5, "early_stopping": 7, "processes": 1}
    for given in (saved, json.dumps(saved), json.dumps(saved).encode()):
        config = TrainConfig.parse_saved(given)
        assert (config.gradient_accumulation_steps, config.num_workers, config.random_erasing) == (3, 0, 0.5)
    assert list(upgraded(saved)) == [FIELDS.get(name, name) for name in saved]
    for damaged in ("{", b"\xff", "[]"):
        with pytest.raises(ConfigError):
            TrainConfig.parse_saved(damaged)


def test_the_parameters_of_a_notebook_are_its_own() -> None:
    request = {"base": {"workers": 2}, "space": {"erase": {"values": [0]}}, "notebook": "train.ipynb"}
    assert upgraded_sweep(request) == request
    of_trainings = upgraded_sweep({**request, "notebook": None})
    assert (of_trainings["base"], list(of_trainings["space"])) == ({"num_workers": 2}, ["random_erasing"])


def test_records_of_an_earlier_version_are_read_and_those_of_today_stay() -> None:
    row = {"state": "stopped", "desired": "stop", "losses": 1, "config": {"root": "/d", "workers": 1}}
    old = {"row": row, "alerts": [{"id": "a", "hook": "sent"}], "payload": {"request": {"base": {"erase": 1}}}}
    new = upgraded_info(old)
    assert new["row"] == {
        "state": "stopped", "desired_state": "stop", "lost_attempts": 1, "config": {"root": "/d", "num_workers": 1},
    }  # fmt: skip
    assert new["alerts"] == [{"id": "a", "webhook_state": "sent"}]
    assert new["payload"] == {"request": {"base": {"random_erasing": 1}}}
    today = {"format": 2, "payload": {"request": {"base": {"workers": 1}}}}
    assert upgraded_info(today) is today
    assert upgraded_registry({"datasets": [{"not_taken": {}}], "configs": [{"config": {"workers": 1}}]}) == {
        "datasets": [{"skipped_files": {}}],
        "configs": [{"config": {"num_workers": 1}}],
    }

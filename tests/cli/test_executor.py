"""Executor, database, doctor and the demo data from a shell."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest

import imgcls_lab as lab
from cli.conftest import Command
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.api.training import make_run_folder
from imgcls_lab.events import EventWriter, Started
from imgcls_lab.identity import host_name
from imgcls_lab.schemas import DevicesReply
from imgcls_lab.schemas.limits import SHOWN_NODES
from imgcls_lab.settings import Settings
from imgcls_lab.store import run_folders


def test_executor_starts_answers_and_stops(imgcls: Command, own: Settings) -> None:
    assert imgcls("executor", "status").code == 1
    assert imgcls("executor", "start").code == 0
    status = imgcls("executor", "status", "--json")
    reply = DevicesReply.model_validate_json(status.out)
    assert (status.code, [item.state for item in reply.executors]) == (0, ["alive"])
    assert imgcls("executor", "stop").code == 0
    assert imgcls("executor", "status").code == 1


def test_the_status_of_a_cluster_lists_nodes_and_what_runs_on_them(imgcls: Command, own: Settings) -> None:
    assert imgcls("executor", "start").code == 0
    node = {"gpus": 4, "free_gpus": 1, "kind": "A100", "alive": True, "cpus": 32, "reason": "", "runs": ["a"] * 9}
    down = {**node, "name": "broken", "alive": False, "reason": "down: fan", "runs": []}
    idle = [{**node, "name": f"idle{number}", "free_gpus": 4, "runs": []} for number in range(SHOWN_NODES)]
    nodes = [{**node, "name": "busy"}, down, *idle]
    state = {"title": "Slurm", "host": host_name(), "waiting": 1, "away": None, "nodes": nodes}
    own.cluster_state.write_text(json.dumps(state))
    lines = imgcls("executor", "status").out.splitlines()
    assert "Slurm: 1 job waits in its own queue." in lines
    first = next(number for number, line in enumerate(lines) if "broken" in line)
    assert "takes no jobs" in lines[first]
    assert "down: fan" in lines[first]
    assert "1 of 4 GPUs free (A100)" in lines[first + 1]
    assert "a, a, a, a, a, a, a, a, 1 more" in lines[first + 1]
    assert f"and 2 more nodes: in all {4 * SHOWN_NODES + 1} of {4 * SHOWN_NODES + 4} GPUs free" in lines
    assert imgcls("executor", "stop").code == 0


def test_database_is_made_checked_backed_up_and_told(imgcls: Command, idle: Settings) -> None:
    before = imgcls("db", "check")
    assert (before.code, "imgcls-lab db migrate" in before.err) == (1, True)
    assert imgcls("db", "migrate").out == "Migrated.\n"
    assert "Nothing to do" in imgcls("db", "migrate").out
    assert imgcls("db", "path").out == f"sqlite:///{idle.home_path / 'imgcls.db'}\n"
    assert json.loads(imgcls("db", "check", "--json").out)["problems"] == []
    written = Path(imgcls("db", "backup").out.removeprefix("Written: ").strip())
    assert sqlite3.connect(written).execute("select count(*) from projects").fetchone() == (1,)
    assert imgcls("db", "backup", str(written)).code in (1, 3)  # never over a file


def test_doctor_says_what_is_there_and_what_is_wrong(imgcls: Command, idle: Settings) -> None:
    context.store()
    found = {item["name"]: item for item in json.loads(imgcls("doctor", "--json").out)}
    assert {"python", "packages", "torch", "memory", "disk", "home", "database", "executor", "panel"} <= set(found)
    assert found["home"] == {"name": "home", "state": "ok", "text": f"{idle.home_path} (only for you)"}
    assert found["torch"]["state"] == "ok"

    context.close()
    (idle.home_path / "imgcls.db").write_bytes(b"this is no database, whatever its name says " * 100)
    done = imgcls("doctor")
    assert done.code == 1
    assert "✗ database" in done.out
    assert "wrong: " in done.out.splitlines()[-1]
    (idle.home_path / "imgcls.db").unlink()


def test_doctor_goes_on_where_the_backend_is_none(
    imgcls: Command, idle: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    context.store()
    monkeypatch.setenv("IMGCLS_BACKEND", "kubernetes")
    done = imgcls("doctor")
    assert done.code == 1
    assert "✗ backend    IMGCLS_BACKEND is “kubernetes”" in done.out
    assert "backend" in done.out.splitlines()[-1]


def test_doctor_warns_of_runs_that_nobody_sees_to(imgcls: Command, few: TrainConfig, idle: Settings) -> None:
    lab.launch(few)
    done = imgcls("doctor")
    assert (done.code, "All is well" in done.out) == (1, False)
    (line,) = [line for line in done.out.splitlines() if line.startswith("✗")]
    assert "1 run that" in line
    assert "`imgcls-lab executor start`" in line
    lab.runs()[0].stop()
    found = {item["name"]: item["state"] for item in json.loads(imgcls("doctor", "--json").out)}
    assert found["executor"] == "note"


def test_the_version_is_printed(imgcls: Command) -> None:
    assert imgcls("--version") == (0, f"imgcls-lab {lab.__version__}\n", "")


def test_settings_are_listed_with_their_sources_and_without_secrets(
    imgcls: Command, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IMGCLS_DB_URL", "postgresql://someone:topsecret@db:5433/runs?password=topsecret")
    monkeypatch.setenv("IMGCLS_WEBHOOK", "https://hooks.example.org/services/topsecret")
    monkeypatch.setenv("IMGCLS_LEASE", "12")
    done = imgcls("settings", "--json")
    found = {item["name"]: item for item in json.loads(done.out)}
    assert list(found) == list(Settings.table())
    shown = {name: (item["value"], item["source"]) for name, item in found.items()}
    assert shown["home"] == (str(home), "environment")
    assert shown["lease"] == ("12.0", "environment")
    assert shown["stop_grace"] == ("60.0", "default")
    assert found["stop_grace"]["unit"] == "s"
    assert shown["db_url"] == ("postgresql://someone:***@db:5433/runs", "environment")
    assert shown["webhook"] == ("https://hooks.example.org/…", "environment")
    text = imgcls("settings").out
    assert all(item.variable in text for item in Settings.table().values())
    assert "topsecret" not in done.out + text
    assert not home.exists(), "to look changes nothing"


def test_demo_data_are_prepared_once(imgcls: Command, idle: Settings) -> None:
    assert imgcls("demo", "--prepare-only").code == 0
    image = next((idle.home_path / "datasets" / "digits" / "train" / "7").iterdir())
    stamp = image.stat().st_mtime_ns
    assert imgcls("demo", "--prepare-only").code == 0
    assert image.stat().st_mtime_ns == stamp
    assert [item.name for item in context.store().datasets.list()] == ["digits"]
    assert [item.name for item in context.store().models.list()] == ["tiny-resnet"]
    assert [item.name for item in context.store().configs.list()] == ["digits demo"]


def test_a_folder_of_the_demos_name_is_left_alone(imgcls: Command, idle: Settings) -> None:
    (idle.home_path / "datasets" / "digits" / "train").mkdir(parents=True)
    done = imgcls("demo", "--prepare-only")
    assert done.code == 3
    assert "Move it away" in done.err


def test_a_training_in_a_kernel_is_named_beside_the_devices(imgcls: Command, few: TrainConfig, idle: Settings) -> None:
    folder = make_run_folder(few, idle, name="by hand", project=None)
    with EventWriter(folder, 1) as out:
        out.write(
            Started(
                total_steps=9, steps_per_epoch=3, epochs=3, train_images=8, val_images=2, classes=2, device="cpu",
                precision="fp32", threads=1,
            )
        )  # fmt: skip
    store = context.store()
    run_folders.adopt(store.database, idle, folder.name)
    run_folders.follow(store.database, idle, folder.name)
    sentence = f"Outside the queue: by hand trains on cpu of {host_name()} in a kernel or shell, and holds no slot."
    assert sentence in imgcls("executor", "status").out
    assert "cpu, outside the queue" in imgcls("show", folder.name).out

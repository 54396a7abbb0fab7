"""The main job in a shell: train, launch, list, show, follow, stop, resume, delete."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest

import imgcls_lab as lab
from cli.conftest import Command, argv
from imgcls_lab import TrainConfig
from imgcls_lab.protocol import RunState
from imgcls_lab.settings import Settings
from imgcls_lab.wire import RunDetail, RunView


@pytest.fixture
def config(few: TrainConfig, tmp_path: Path) -> str:
    path = tmp_path / "cfg.json"
    path.write_text(few.model_dump_json())
    return str(path)


def test_a_folder_of_ones_own_is_interrupted_resumed_finished_and_guarded(
    shell: Command, config: str, idle: Settings, tmp_path: Path
) -> None:
    command = ["train", "--config", config, "--set", "epochs=15", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(argv(*command), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch"):
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command again goes on exactly from there." in err
    assert "Traceback" not in err

    resumed = shell(*command)
    assert resumed.code == 0, resumed.err
    assert f"Best model: {tmp_path / 'out' / 'checkpoints' / 'best'}" in resumed.out
    assert "is finished already" in shell(*command).out
    other = shell(*command, "--set", "lr=0.5")
    assert other.code == 3
    assert "another config (lr:" in other.err
    assert not idle.home_path.exists()  # stand-alone: no database, nothing in the home


def test_a_launched_run_is_waited_for_listed_shown_and_deleted(imgcls: Command, config: str, own: Settings) -> None:
    done = imgcls("launch", "--config", config, "--name", "queued", "--project", "p", "--wait", "--json")
    assert done.code == 0, done.err
    view = RunDetail.model_validate_json(done.out)
    assert (view.name, view.project, view.state) == ("queued", "p", RunState.SUCCEEDED)

    listed = json.loads(imgcls("runs", "--json", "--project", "p", "--state", "succeeded").out)
    assert [RunView.model_validate(item).id for item in listed] == [view.id]
    assert json.loads(imgcls("runs", "--json", "--state", "failed").out) == []
    table = imgcls("runs").out.splitlines()
    assert table[0].split() == ["run", "name", "project", "state", "epochs", "best", "created"]
    assert view.id in table[1]
    shown = imgcls("show", view.id[:-2]).out
    assert "queued has finished: epoch 2 of 2" in shown
    assert view.folder in shown
    assert RunDetail.model_validate_json(imgcls("show", view.id, "--json").out).id == view.id
    assert "training begins" in imgcls("logs", view.id, "--follow").out
    (last,) = imgcls("logs", view.id, "--tail", "1").out.splitlines()
    assert "finished at step" in last

    again = imgcls("resume", view.id)
    assert (again.code, "only a stopped or failed run" in again.err) == (3, True)
    assert imgcls("delete", view.id, "--yes").code == 0
    assert not Path(view.folder).exists()


def test_a_launch_names_devices_and_runs_to_wait_for(imgcls: Command, config: str, idle: Settings) -> None:
    first = json.loads(imgcls("launch", "--config", config, "--json").out)
    options = ["--after", first["id"], "--device", "H100", "--gpus", "2", "--host", "big", "--priority", "3"]
    second = json.loads(imgcls("launch", "--config", config, *options, "--json").out)
    assert second["after"] == [first["id"]]
    assert second["wish"] == {"device": "H100", "gpus": 2, "host": "big"}
    assert first["id"] in imgcls("show", second["id"]).out
    imgcls("edit", first["id"], "--priority", "9", "--notes", "soon")
    changed = json.loads(imgcls("show", first["id"], "--json").out)
    assert (changed["priority"], changed["notes"], changed["name"]) == (9, "soon", first["name"])
    assert imgcls("projects", "add", "small", "--max-running", "1").code == 0
    assert json.loads(imgcls("projects", "show", "small", "--json").out)["max_running"] == 1
    imgcls("projects", "edit", "small", "--max-running", "-1")
    assert json.loads(imgcls("projects", "show", "small", "--json").out)["max_running"] is None


def test_a_waiting_run_is_stopped_and_a_saved_config_launched(imgcls: Command, config: str, idle: Settings) -> None:
    assert imgcls("configs", "add", "mine", "--config", config).code == 0
    done = imgcls("launch", "--config", "mine", "--set", "lr=0.002")
    assert "Queued as" in done.out
    run = lab.runs()[0]
    assert run.config.lr == 0.002
    assert "was cancelled" in imgcls("stop", run.id).out
    assert imgcls("runs", "--search", "nothing like it").out.startswith("No runs.")


def test_training_in_the_home_is_listed_after_a_rebuild(imgcls: Command, config: str, idle: Settings) -> None:
    done = imgcls("train", "--config", config, "--set", "epochs=1", "--name", "by hand")
    assert done.code == 0, done.err
    assert imgcls("db", "rebuild").out == "Indexed 1 run.\n"
    (listed,) = json.loads(imgcls("runs", "--json").out)
    assert (listed["name"], listed["external"], listed["state"]) == ("by hand", True, "succeeded")

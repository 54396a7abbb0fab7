"""The main job in a shell: train, launch, list, show, follow, stop, resume, delete."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path

import pytest

import imgcls_lab as lab
from cli.conftest import Command, argv
from imgcls_lab import TrainConfig
from imgcls_lab.api import context
from imgcls_lab.events import RunState
from imgcls_lab.identity import host_name
from imgcls_lab.schemas import LogChunk, RunDetail, RunView
from imgcls_lab.settings import Settings
from imgcls_lab.store import attempts
from imgcls_lab.store.verdict import Verdict


@pytest.fixture
def config(few: TrainConfig, tmp_path: Path) -> str:
    path = tmp_path / "cfg.json"
    path.write_text(few.model_dump_json())
    return str(path)


def test_a_folder_of_ones_own_is_interrupted_resumed_finished_and_guarded(
    shell: Command, config: str, idle: Settings, tmp_path: Path
) -> None:
    command = ["train", "--config", config, "--set", "epochs=4", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(argv(*command), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("epoch"):
            process.send_signal(signal.SIGINT)
            break
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command" in err
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
    assert "epoch 2 of 2" in shown
    assert view.folder in shown
    assert RunDetail.model_validate_json(imgcls("show", view.id, "--json").out).id == view.id
    assert "training begins" in imgcls("logs", view.id, "--follow").out
    (last,) = imgcls("logs", view.id, "--tail", "1").out.splitlines()
    assert "finished at step" in last

    chunk = LogChunk.model_validate_json(imgcls("logs", view.id, "--tail", "1", "--json").out)
    assert (chunk.text, chunk.end - chunk.offset) == (f"{last}\n", len(last.encode()) + 1)
    assert imgcls("logs", view.id, "--follow", "--json").code == 2
    (Path(view.folder) / "node-001.log").write_text("the second node speaks\n")
    assert imgcls("logs", view.id, "--node", "1").out == "the second node speaks\n"
    assert imgcls("logs", view.id, "--node", "2").out == ""
    assert imgcls("wait", view.id).out == f"{imgcls('show', view.id).out.splitlines()[0]}.\n"

    again = imgcls("resume", view.id)
    assert (again.code, "nothing of it to resume" in again.err) == (3, True)
    assert imgcls("delete", view.id, "--yes").code == 0
    assert not Path(view.folder).exists()


def test_a_launch_names_devices_and_runs_to_wait_for(imgcls: Command, config: str, idle: Settings) -> None:
    first = json.loads(imgcls("launch", "--config", config, "--json").out)
    options = ["--after", first["id"], "--device", "H100", "--gpus", "2", "--host", "big", "--priority", "3"]
    second = json.loads(imgcls("launch", "--config", config, *options, "--json").out)
    assert second["after"] == [first["id"]]
    assert second["device_request"] == {"device": "H100", "gpus": 2, "host": "big"}
    assert first["id"] in imgcls("show", second["id"]).out
    imgcls("edit", first["id"], "--priority", "9", "--notes", "soon")
    changed = json.loads(imgcls("show", first["id"], "--json").out)
    assert (changed["priority"], changed["notes"], changed["name"]) == (9, "soon", first["name"])
    assert imgcls("projects", "add", "small", "--max-running", "1").code == 0
    assert json.loads(imgcls("projects", "show", "small", "--json").out)["max_running"] == 1
    imgcls("projects", "edit", "small", "--max-running", "-1")
    assert json.loads(imgcls("projects", "show", "small", "--json").out)["max_running"] is None


def test_replicates_are_queued_as_a_list(imgcls: Command, config: str, idle: Settings) -> None:
    words = ["launch", "--config", config, "--name", "base", "--replicates", "3"]
    queued = json.loads(imgcls(*words, "--json").out)
    assert [run["name"] for run in queued] == ["base seed=0", "base seed=1", "base seed=2"]
    assert len({run["repetition"] for run in queued}) == 1
    said = imgcls(*words).out
    assert said.count("Queued as") == 3
    assert "imgcls-lab compare" in said
    folded = json.loads(imgcls("runs", "--fold", "--json").out)
    assert [(row["kind"], row["name"], row["runs"], row["mean"]) for row in folded] == [("seeds", "base", 6, None)]
    assert json.loads(imgcls("runs", "--where", folded[0]["where"], "--json").out)[0]["name"] == "base seed=2"
    assert "seeds" in imgcls("runs", "--fold").out
    refused = imgcls("launch", "--config", config, "--replicates", "0")
    assert (refused.code, "replicates: must be at least 1" in refused.err) == (2, True)
    assert lab.runs().total == 6


def test_a_waiting_run_is_stopped_and_a_saved_config_launched(imgcls: Command, config: str, idle: Settings) -> None:
    assert imgcls("configs", "add", "mine", "--config", config).code == 0
    done = imgcls("launch", "--config", "mine", "--set", "lr=0.002")
    assert "Queued as" in done.out
    run = lab.runs()[0]
    assert run.config.lr == 0.002
    assert imgcls("stop", run.id).out == f"{run.name} was cancelled.\n"
    assert imgcls("runs", "--search", "nothing like it").out.startswith("No runs.")


def test_without_an_executor_every_command_says_so(imgcls: Command, config: str, idle: Settings) -> None:
    queued = imgcls("launch", "--config", config)
    run = lab.runs()[0]
    sentence = "No executor runs on this machine, so queued runs wait. Start it: imgcls-lab executor start\n"
    assert sentence in queued.err
    for words in (["runs"], ["show", run.id], ["runs", "--json"]):
        assert imgcls(*words).err == sentence
    waited = imgcls("wait", run.id, "--timeout", "0.5")
    assert (waited.code, sentence in waited.err, "waits in the queue" in waited.err) == (1, True, True)

    with context.store().database.write() as session:
        attempts.claim(session, host_name(), "gone-1", lambda _: ["cpu:0"])
    shown = imgcls("show", run.id).err
    updated = time.strftime("%H:%M:%S", time.localtime(lab.run(run.id).view.updated_at))
    assert shown.startswith(f"As of {updated}: no executor runs")
    with context.store().database.write() as session:
        attempts.finish(session, run.id, 1, Verdict(RunState.CANCELLED, message="Killed on request."), None)
    assert imgcls("show", run.id).err == ""
    assert imgcls("kill", run.id).out.endswith("was cancelled: Killed on request.\n")
    assert "imgcls-lab launch --config" in imgcls("resume", run.id, "--set", "lr=0.5").err
    resumed = json.loads(imgcls("resume", run.id, "--set", "num_workers=0", "--json").out)
    assert (resumed["state"], resumed["config"]["num_workers"]) == ("queued", 0)
    for command in ("stop", "kill"):
        view = RunDetail.model_validate_json(imgcls(command, run.id, "--json").out)
        assert (view.state, view.message) == (RunState.CANCELLED, "Killed on request.")


def test_an_unknown_column_to_sort_by_is_told_the_known_ones(imgcls: Command, idle: Settings) -> None:
    done = imgcls("runs", "--sort", "bogus")
    assert done.code == 2
    assert "created_at, started_at" in done.err
    assert "project_id" not in done.err


def test_training_in_the_home_is_listed_after_a_rebuild(imgcls: Command, config: str, idle: Settings) -> None:
    done = imgcls("train", "--config", config, "--set", "epochs=1", "--name", "by hand")
    assert done.code == 0, done.err
    assert imgcls("db", "rebuild").out == "Indexed 1 run.\n"
    (listed,) = json.loads(imgcls("runs", "--json").out)
    assert (listed["name"], listed["external"], listed["state"]) == ("by hand", True, "succeeded")
    assert RunDetail.model_validate_json(imgcls("show", listed["id"], "--json").out).attempts[0].devices == ["cpu"]
    assert "outside the queue" in imgcls("show", listed["id"]).out

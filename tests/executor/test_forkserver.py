"""The warm start: forked runs are the same as cold ones, are found, stopped and killed as these, and fall back."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from api.conftest import few, own
from safetensors.numpy import load_file

import imgcls_lab as lab
from imgcls_lab import TrainConfig, run_layout, signing
from imgcls_lab.events import Phase, RunState, Started, read_events
from imgcls_lab.executor import client, processes
from imgcls_lab.executor.forkserver_manager import (
    ForkServerManager,
    memory_used,
    same_python,
    status_sentence,
    warm_argv,
)
from imgcls_lab.settings import Settings
from tests.waiting import until

__all__ = ["few", "own"]

ROOT = Path(__file__).parents[2]


@pytest.fixture
def fork_server(home: Path) -> Iterator[ForkServerManager]:
    settings = Settings()
    settings.make_home()
    made = ForkServerManager(settings)
    yield made
    made.close()


def command(path: str, *words: str) -> list[str]:
    return warm_argv(path, [sys.executable, "-m", *words])


def test_what_cannot_be_forked_starts_cold_and_says_why(fork_server: ForkServerManager, tmp_path: Path) -> None:
    file = tmp_path / "it.json"
    file.write_text('{"a":1}')
    path = fork_server.socket_for(sys.executable)
    assert path is not None
    for socket, reason in ((path, "json.tool is not a module that is started warm"), (str(tmp_path / "none"), None)):
        done = subprocess.run(command(socket, "json.tool", str(file)), capture_output=True, text=True, check=True)
        assert '"a": 1' in done.stdout
        assert (f"No warm start: {reason}." in done.stdout) is (reason is not None)
    assert (memory_used(Settings()) or 0) > 10e6
    assert "0.0 GB" in status_sentence(Settings())


def test_another_python_and_a_setting_turn_it_off(
    fork_server: ForkServerManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert fork_server.socket_for("/usr/bin/other-python") is None
    monkeypatch.setenv("IMGCLS_WARM_START", "0")
    assert ForkServerManager(Settings()).socket_for(sys.executable) is None
    assert "is off" in status_sentence(Settings())


def test_a_forked_process_is_found_by_its_tag_and_dies_with_the_one_in_its_place(
    fork_server: ForkServerManager, tmp_path: Path
) -> None:
    path = fork_server.socket_for(sys.executable)
    assert path is not None
    tag = processes.tag_of(run_id := run_layout.new_run_id(), 1)
    environment = {**os.environ, run_layout.RUN_TAG: tag, "PYTHONPATH": str(ROOT)}
    folder = tmp_path / run_id
    folder.mkdir()
    (folder / "run.json").write_text("{")  # the notebook's process comes so far, without a kernel
    words = ["imgcls_lab.batch.notebook_runner", str(folder)]

    failed = subprocess.run(command(path, *words), env=environment, capture_output=True, text=True, check=False)
    assert failed.returncode == 1, failed.stderr  # its own exit code
    assert not processes.tagged(tag)

    (folder / run_layout.DESIRED).write_text("run")
    (folder / run_layout.SOURCE).write_text(_sleeping())
    digest = hashlib.sha256((folder / run_layout.SOURCE).read_bytes()).hexdigest()
    info = {"id": run_id, "row": {}, "payload": {"kernel": "python3", "parameters": {}, "digest": digest}}
    (folder / "run.json").write_text(json.dumps(signing.signed_info(Settings().home_path, info)))
    proxy = subprocess.Popen(command(path, *words, "--attempt", "2"), env=environment, cwd=tmp_path)
    try:
        until(lambda: len(processes.tagged(tag)) >= 2)
        forked = [pid for pid in processes.tagged(tag) if pid != proxy.pid]
        proxy.send_signal(signal.SIGKILL)
        proxy.wait(10)
        until(lambda: not any(processes.has_tag(pid, tag) for pid in forked))
    finally:
        proxy.kill()
        processes.end_all(lambda: processes.tagged(tag), lambda pid: processes.has_tag(pid, tag))


def _sleeping() -> str:
    import nbformat

    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("import time; time.sleep(600)")])
    return str(nbformat.writes(notebook))


def test_forked_trainings_equal_cold_ones_to_the_bit_and_begin_at_once(
    few: TrainConfig, own: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    lab.launch(few.with_changes(epochs=1)).wait(120)  # the imports are done with it
    forked = lab.launch(few.with_changes(device="cpu")).wait(120)
    assert "No warm start" not in forked.log(200)
    assert (memory_used(own) or 0) > 100e6
    claimed = forked.view.attempts[-1].started_at
    events, _ = read_events(forked.folder / "events-001.jsonl")
    first = next(event.t for event in events if isinstance(event, Phase))
    begins = next(event.t for event in events if isinstance(event, Started))
    print(f"\nclaimed to first word {first - claimed:.2f} s, to training {begins - claimed:.2f} s")

    running = lab.launch(few.with_changes(epochs=400))
    until(lambda: running.refresh().view.step > 3)
    trainer = [p for p in processes.tagged(processes.tag_of(running.id, 1)) if "forkserver" in _command(p)]
    assert len(trainer) == 1  # the forked one; the system shows the command it was forked from
    os.kill(trainer[0], signal.SIGKILL)
    until(lambda: running.refresh().view.attempt == 2 and running.view.state is RunState.RUNNING)
    running.stop()
    until(lambda: running.state is RunState.STOPPED)
    assert running.view.checkpoints
    assert not processes.tagged(processes.tag_of(running.id, 2))

    client.stop(own)
    monkeypatch.setenv("IMGCLS_WARM_START", "0")
    cold = lab.launch(few.with_changes(device="cpu"), name="cold").wait(120)
    ours, theirs = (load_file(run.best_checkpoint / "model.safetensors") for run in (forked, cold))
    assert all((ours[name] == theirs[name]).all() for name in theirs)
    assert forked.metrics(["loss/train"]).equals(cold.metrics(["loss/train"]))


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode()
    except OSError:
        return ""


def test_other_names_of_the_same_python_start_warm_and_other_environments_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`imgcls-lab` runs under `python`, a kernel under `python3`: one file, one environment."""
    real = Path(os.path.realpath(sys.executable))
    for name in ("mine", "other"):
        bin_folder = tmp_path / name / "bin"
        bin_folder.mkdir(parents=True)
        (tmp_path / name / "pyvenv.cfg").write_text("")
        (bin_folder / "python").symlink_to(real)
        (bin_folder / "python3").symlink_to("python")
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    monkeypatch.setattr(sys, "executable", str(tmp_path / "mine/bin/python"))
    assert same_python(str(tmp_path / "mine/bin/python3"))
    assert same_python(str(tmp_path / "link/bin/python3"))
    assert not same_python(str(tmp_path / "other/bin/python"))
    assert not same_python(str(real))
    assert not same_python(str(tmp_path / "gone/bin/python"))
    assert not same_python("python3")

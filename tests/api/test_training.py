"""Training in this very process: no daemon, no server, the folder is enough."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

import imgcls_lab as lab
from imgcls_lab import TrainConfig, run_layout
from imgcls_lab.api import context
from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.errors import ConfigError, ConflictError, DataError, NotFoundError
from imgcls_lab.events import DesiredState, Event, Metrics, Notice, RunState, read_events
from imgcls_lab.executor import client
from imgcls_lab.settings import Settings
from imgcls_lab.store import rebuild


class Interrupts:
    """A screen that presses Ctrl-C at a step, and remembers what it was shown."""

    def __init__(self, at_step: int) -> None:
        self.at_step = at_step
        self.seen: list[Event] = []

    def begin(self, run: RunFolder, *, indexed: bool) -> None: ...

    def on_event(self, event: Event) -> None:
        self.seen.append(event)
        if isinstance(event, Metrics) and event.step == self.at_step:
            os.kill(os.getpid(), signal.SIGINT)

    def end(self) -> None: ...


def test_training_needs_no_daemon_and_is_indexed_when_one_comes(few: TrainConfig, idle: Settings) -> None:
    run = lab.train(few, name="by hand")

    assert run.state is RunState.SUCCEEDED
    assert run.folder.parent == idle.runs_dir
    assert run.folder.stat().st_mode & 0o777 == 0o700
    assert not (run.folder / run_layout.OWNER).exists()
    assert len(run.metrics()) == 10
    assert len(list(idle.scans_dir.glob("*.npy"))) == 1
    assert (run.best_checkpoint / "config.json").is_file()
    with pytest.raises(NotFoundError):
        context.store().runs.get(run.id)
    assert lab.run(run.id).name == "by hand"
    with pytest.raises(ConflictError, match="in no database yet"):
        run.delete()

    assert rebuild(idle).runs == 1
    known = context.store().runs.get(run.id)
    assert (known.name, known.external, known.state) == ("by hand", True, RunState.SUCCEEDED)
    indexed, first_hand = known.best, run.refresh().view.best
    assert indexed == first_hand
    assert run.metrics().equals(lab.run(run.id).metrics())
    run.delete()
    assert not run.folder.exists()


def test_interrupted_training_checkpoints_and_says_how_to_resume(
    few: TrainConfig, idle: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    screen = Interrupts(at_step=3)
    run = lab.train(few, screen=screen)
    assert run.state is RunState.STOPPED
    assert f"imgcls-lab resume {run.id}" in capsys.readouterr().err
    assert [event.seq for event in screen.seen] == list(range(1, len(screen.seen) + 1))


def test_the_same_call_resumes_a_folder_of_ones_own(
    few: TrainConfig, idle: Settings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    assert lab.train(few, out=out, screen=Interrupts(at_step=3)).state is RunState.STOPPED
    assert "The same command again" in capsys.readouterr().err
    again = lab.train(few.with_changes(cache="off", num_workers=0, keep_last=3), out=out)
    assert again.state is RunState.SUCCEEDED
    assert again.config.keep_last == 3
    notices = [event.text for event in read_events(out / "events-002.jsonl")[0] if isinstance(event, Notice)]
    assert any("num_workers 0 (was empty)" in text for text in notices)
    assert len(again.view.attempts) == 2
    assert list(again.metrics().index) == list(range(1, 11))
    lab.train(few.with_changes(keep_best=2), out=out)
    assert json.loads((out / run_layout.CONFIG).read_text())["keep_best"] == 1
    assert "is finished already" in capsys.readouterr().out
    with pytest.raises(ConflictError, match="another config"):
        lab.train(few.with_changes(lr=0.5), out=out)
    assert not idle.runs_dir.exists()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there_leaves_no_run_behind(few: TrainConfig, idle: Settings, tmp_path: Path) -> None:
    for out in (None, tmp_path / "mine"):
        with pytest.raises(ConfigError, match="no GPU"):
            lab.train(few.with_changes(device="cuda"), out=out)
    assert not idle.runs_dir.exists()
    assert not (tmp_path / "mine").exists()


def test_nothing_is_written_when_the_data_cannot_be_used(few: TrainConfig, idle: Settings, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        lab.train(few.with_changes(root=str(tmp_path / "nowhere")))
    assert list(idle.runs_dir.iterdir()) == []


def test_a_stop_from_the_panel_reaches_a_training_in_a_kernel(few: TrainConfig, own: Settings) -> None:
    class AskedToStop(Interrupts):
        def on_event(self, event: Event) -> None:
            self.seen.append(event)
            if isinstance(event, Metrics) and event.step == 3:
                client.start(own)
                deadline = time.monotonic() + 60
                while time.monotonic() < deadline:
                    with contextlib.suppress(NotFoundError):
                        if context.store().runs.get(self.run_id).state is RunState.RUNNING:
                            context.store().runs.set_desired_state(self.run_id, DesiredState.STOP)
                            return
                    time.sleep(0.1)

        def begin(self, run: RunFolder, *, indexed: bool) -> None:
            self.run_id = run.folder.name

    run = lab.train(few.with_changes(epochs=200), screen=AskedToStop(at_step=0))
    assert run.state is RunState.STOPPED
    assert run.view.step < 100


def test_the_list_of_runs_knows_at_once_that_a_training_has_ended(few: TrainConfig, own: Settings) -> None:
    context.store()  # which makes the database that a daemon asks for
    client.start(own)
    run = lab.train(few)
    assert context.store().runs.get(run.id).state is RunState.SUCCEEDED


ASLEEP = """
import os, pathlib, signal, sys, time
import imgcls_lab as lab

class SlowImport:
    "torch, whose import takes seconds: it stands still until Ctrl-C was pressed as often as wanted."
    def find_spec(self, name, path=None, target=None):
        if name == "torch" and self in sys.meta_path:
            sys.meta_path.remove(self)
            for _ in range(int(sys.argv[2])):
                os.kill(os.getpid(), signal.SIGINT)
                time.sleep(0.1)

sys.meta_path.insert(0, SlowImport())
config = lab.TrainConfig.parse(open(sys.argv[1]).read())
try:
    print("RETURNED", lab.train(config).state)
except KeyboardInterrupt:
    print("INTERRUPTED")
for folder in pathlib.Path(os.environ["IMGCLS_HOME"], "runs").glob("2*"):
    view = lab.Run(folder.name, folder=folder).view
    print("STATE", view.state, view.resumable)
"""


@pytest.mark.parametrize(("presses", "said"), [(1, "RETURNED stopped\nSTATE stopped False\n"), (2, "INTERRUPTED\n")])
def test_ctrl_c_while_torch_is_imported_ends_the_run(
    few: TrainConfig, idle: Settings, tmp_path: Path, presses: int, said: str
) -> None:
    """The process lives on, as a kernel does, and nobody else would end a run that began."""
    (tmp_path / "config.json").write_text(few.model_dump_json())
    done = subprocess.run(
        [sys.executable, "-c", ASLEEP, tmp_path / "config.json", str(presses)],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.stdout == said, done.stderr[-2000:]

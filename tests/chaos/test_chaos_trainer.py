"""The real trainer under the real executor and server: exact resumes, and a server that comes and goes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from figures import note, size
from server_process import Server
from stub_lab import StubLab

from imgcls_lab import TrainConfig, demo_data
from imgcls_lab.events import RunState
from imgcls_lab.schemas import SubmitRequest
from imgcls_lab.settings import Settings


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> TrainConfig:
    """Sixteen images a class, five steps an epoch, one thread, a checkpoint at almost every step."""
    home = tmp_path_factory.mktemp("few")
    files = demo_data.prepare(Settings(home=str(home), datasets_dir=str(home / "datasets")))
    root = home / "few digits"
    for split, count in (("train", 16), ("val", 6)):
        for folder in (files.root / split).iterdir():
            (root / split / folder.name).mkdir(parents=True)
            for path in sorted(folder.iterdir())[:count]:
                shutil.copy(path, root / split / folder.name)
    changes = {"batch_size": 32, "threads": 1, "num_workers": 0, "checkpoint_every_minutes": 1e-4}
    return files.config.with_changes(root=str(root), **changes)


def queue(lab: StubLab, config: TrainConfig) -> str:
    return lab.store.runs.submit(SubmitRequest(config=config.model_dump(mode="json"))).id


def weights(lab: StubLab, run_id: str) -> bytes:
    return (lab.settings.run_dir(run_id) / "checkpoints" / "last" / "model.safetensors").read_bytes()


@pytest.mark.timeout(3600)
def test_a_run_that_is_killed_at_random_steps_ends_bit_equal(home: Path, digits: TrainConfig):
    kills, rng = size(1, 50), random.Random(11)
    config = digits.with_changes(epochs=size(4, 60))
    lab = StubLab(home, cpu_slots=1)
    try:
        lab.start_daemon(real=True)
        whole, broken = queue(lab, config), queue(lab, config)
        lab.wait(whole, seconds=300)
        total = lab.run(whole).total_steps or 0
        for number, step in enumerate(sorted(rng.sample(range(2, total - 2), kills)), start=1):
            lab.until(lambda number=number, step=step: reached(lab, broken, number, step), 90, lab.daemon_log)
            pid = lab.run(broken).attempts[-1].pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        run = lab.wait(broken, seconds=120)
        assert (run.state, run.attempt) == (RunState.SUCCEEDED, kills + 1), run.message
        assert lab.steps(broken) == list(range(1, total + 1))
        same = weights(lab, whole) == weights(lab, broken)
        note(f"real trainer killed at {kills} random steps of {total}",
             "weights bit-equal" if same else "weights differ", "bit-equal")  # fmt: skip
        assert same
    finally:
        lab.close()


def reached(lab: StubLab, run_id: str, attempt: int, step: int) -> bool:
    run = lab.run(run_id)
    assert run.state is not RunState.FAILED, run.message
    return run.attempt == attempt and run.attempts[-1].pid is not None and run.step >= step


@pytest.mark.timeout(1800)
def test_a_server_that_is_killed_again_and_again_does_not_touch_the_run(
    home: Path, tmp_path: Path, digits: TrainConfig
):
    restarts = size(2, 20)
    lab = StubLab(home)
    try:
        lab.start_daemon(real=True)
        run_id = queue(lab, digits.with_changes(epochs=100_000, checkpoint_every_minutes=10))
        pid = lab.trainer(run_id)
        pids, steps = set(), []
        for number in range(restarts):
            folder = tmp_path / f"server-{number}"
            folder.mkdir()
            server = Server(folder, home, {"IMGCLS_LEASE": str(lab.settings.lease)})
            status, run = server.ask("GET", f"runs/{run_id}")
            assert (status, run["state"]) == (200, "running")
            pids.add(run["attempts"][-1]["pid"])
            steps.append(run["step"])
            server.process.kill()
            server.process.wait()
        lab.until(lambda: lab.run(run_id).step > steps[-1])
        run = lab.run(run_id)
        known = lab.steps(run_id)
        gaps = known != list(range(1, len(known) + 1))
        note(f"server killed and started {restarts} times during a run of the real trainer",
             f"{len(pids)} pid, {'gaps' if gaps else 'no gap'} in {len(known)} steps", "same pid, no gap")  # fmt: skip
        assert pids == {pid}
        assert (run.attempt, gaps) == (1, False)
        assert steps == sorted(steps)
    finally:
        lab.close()


@pytest.mark.timeout(1800)
def test_a_kill_while_a_checkpoint_is_written_leaves_only_whole_ones(tmp_path: Path):
    kills = size(40, 500)
    begin = time.monotonic()
    script = Path(__file__).with_name("checkpoint_crasher.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path / "checkpoints"), str(kills)],
        capture_output=True, text=True, check=False, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    killed, torn, unloadable = map(int, done.stdout.split())
    note(f"killed {killed} times while saving ({torn} with a torn folder left, {time.monotonic() - begin:.0f} s)",
         f"{unloadable} unloadable", "0")  # fmt: skip
    assert killed == kills
    assert torn > kills / 20, "the kills must hit the writing"
    assert unloadable == 0

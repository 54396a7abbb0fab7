"""Nodes that share no disk with the head: runs by way of an S3 server, killed in every place, end as if undisturbed."""

from __future__ import annotations

import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.events import DesiredState, RunState
from imgcls_lab.executor.backends.job_scheduler import job_id
from imgcls_lab.executor.backends.launch import module_argv
from tests.chaos.proxy import Proxy
from tests.clusters.s3_server import Bucket
from tests.clusters.store_lab import StoreLab
from tests.engine.conftest import same_files
from tests.executor.stub_lab import ROOT
from tests.store.postgres_server import Server

Make = Callable[..., TrainConfig]
KILLS = 12
WEIGHTS = ("model.safetensors", "training_state.safetensors")


@pytest.fixture
def lab(
    home: Path, tmp_path: Path, s3_server: Bucket, postgres: Server, monkeypatch: pytest.MonkeyPatch
) -> Iterator[StoreLab]:  # fmt: skip
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    lab = StoreLab(home, tmp_path, s3_server.url, argv=module_argv, db_url=postgres.url())
    yield lab
    lab.close()


def holds(folder: Path, text: bytes) -> list[Path]:
    """Files below a folder that hold a text."""
    return [
        path for path in folder.rglob("*") if path.is_file() and not path.is_symlink() and text in path.read_bytes()
    ]


@pytest.mark.slow
def test_a_run_goes_by_the_store_and_resumes_on_another_node(lab: StoreLab, make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=25, checkpoint_every_minutes=0.05, cache="off")
    whole = train(config, tmp_path / "whole")
    run_id = lab.train(config)
    lab.reaches(run_id, 10)
    lab.store.runs.set_desired_state(run_id, DesiredState.STOP)
    stopped = lab.end(run_id)
    assert stopped.state is RunState.STOPPED
    folder = lab.settings.run_dir(run_id)
    assert checkpoint.damage(folder / "checkpoints/last") is None
    node = lab.on_node("second")
    lab.store.runs.resume(run_id)
    lab.reaches(run_id, whole.step)
    run = lab.end(run_id)
    assert (run.state, run.attempt, run.resumed_at_step) == (RunState.SUCCEEDED, 2, stopped.step)
    same = [same_files(tmp_path / "whole/checkpoints/last", folder / "checkpoints/last", name) for name in WEIGHTS]
    missing = set(range(1, whole.step + 1)) - set(lab.steps(run_id))
    print(f"\nstopped at step {stopped.step} of {whole.step}, resumed on another node by way of S3:")
    print(f"weights and state bit-equal: {all(same)} (target: True); metrics missing: {len(missing)} (target: 0)")
    print(f"a metric reached the database after {lab.delay(run_id):.1f} s at most (target: 10 s)")
    assert (node / "runs" / run_id).is_dir()
    assert all(same)
    assert lab.steps(run_id) == list(range(1, whole.step + 1))
    assert lab.delay(run_id) < 10
    assert not holds(tmp_path, b"secret-of-a-test"), "credentials are in a folder, a log or a job"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_killed_in_every_place_a_run_ends_bit_equal(
    home: Path, tmp_path: Path, s3_server: Bucket, postgres: Server, make_config: Make, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """The uploader, the node's job, the daemon, and the way to the S3 server, at random moments."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    proxy = Proxy(int(s3_server.endpoint.rsplit(":", 1)[1]))
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.port}")
    lab = StoreLab(home, tmp_path, s3_server.url, argv=module_argv, db_url=postgres.url())
    chance = random.Random(KILLS)
    config = make_config(epochs=60, checkpoint_every_minutes=0.02, cache="off")
    whole = train(config, tmp_path / "whole")
    run_id = lab.train(config)
    hit: Counter[str] = Counter()
    try:
        moments = sorted(chance.sample(range(5, whole.step - 20), KILLS))
        for number, step in enumerate(moments):
            lab.reaches(run_id, step)
            what = ("uploader", "node", "network", "daemon")[number % 4]
            hit[what] += 1
            if what == "uploader":
                lab.kill_mirrors()
            elif what == "node":
                lab.on_node(f"node{number}")
                lab.scheduler.signal(job_id(run_id, lab.run(run_id).attempt), signal.SIGKILL)
                lab.kill_mirrors()
            elif what == "network":
                proxy.cut()
                lab.rounds_for(chance.uniform(1, 8))
                proxy.mend()
            else:
                lab.restart()
        run = lab.end(run_id, 1200)
    finally:
        lab.close()
        proxy.close()
    folder = lab.settings.run_dir(run_id)
    same = [same_files(tmp_path / "whole/checkpoints/last", folder / "checkpoints/last", name) for name in WEIGHTS]
    missing = set(range(1, whole.step + 1)) - set(lab.steps(run_id))
    print(f"\n{sum(hit.values())} faults ({dict(hit)}), {run.attempt} attempts by way of S3 and PostgreSQL:")
    print(f"weights and state bit-equal: {all(same)} (target: True); metrics missing: {len(missing)} (target: 0)")
    assert run.state is RunState.SUCCEEDED
    assert all(same)
    assert lab.steps(run_id) == list(range(1, whole.step + 1))

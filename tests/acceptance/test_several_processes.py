"""Several processes train one model: what fails or stops in one of them, and another program that starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.errors import ImgclsError
from imgcls_lab.events import Event, Metrics, RunState
from tests.engine.conftest import of_type

Make = Callable[..., TrainConfig]


@pytest.mark.slow
def test_what_failed_in_another_process_is_told_in_its_words(
    shared: Make,
    digits: Path,
    tmp_path: Path,
) -> None:
    def ruin(event: Event) -> None:
        if isinstance(event, Metrics):
            for path in (digits / "val" / "digit-3").iterdir():  # the second process's part
                path.write_bytes(b"no image")

    with pytest.raises(ImgclsError, match="It could be read when the run began"):
        train(shared(root=str(digits), cache="off", num_workers=0), tmp_path / "run", on_event=ruin)
    assert [event.kind for event in of_type(tmp_path / "run", "failed")] == ["application"]


@pytest.mark.slow
def test_a_stop_before_the_processes_have_begun_is_heard(shared: Make, tmp_path: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert train(shared(), tmp_path / "run", stop=stop).state is RunState.STOPPED


@pytest.mark.slow
def test_torchrun_starts_it_too(shared: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text(shared(epochs=1).model_dump_json())
    command = ["torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "imgcls_lab.engine", str(folder)]
    done = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=120, env={**os.environ}, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert of_type(folder, "finished")

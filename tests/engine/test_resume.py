"""A resumed run ends bit-equal to an uninterrupted one, whatever stopped it and wherever."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import torch
from safetensors.torch import load_file

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.errors import DataError, ImgclsError
from imgcls_lab.events import RunState

from .conftest import curve, events_of, of_type, same_files

Make = Callable[..., TrainConfig]

HARD: dict[str, Any] = {
    "ema_decay": 0.9,
    "mixup": 0.4,
    "cutmix": 1.0,
    "gradient_accumulation_steps": 2,
    "augmentation": "heavy",
}


def stop_after(step: int) -> tuple[threading.Event, Callable[[Any], None]]:
    """A stop that is set by the event of that step."""
    stop = threading.Event()

    def on_event(event: Any) -> None:
        if event.type == "metrics" and event.step >= step:
            stop.set()

    return stop, on_event


def assert_same_end(one: Path, other: Path) -> None:
    """Weights, optimizer state and the progress record are the same to the last bit."""
    a, b = one / "checkpoints/last", other / "checkpoints/last"
    assert same_files(a, b, "model.safetensors")
    first, second = (load_file(folder / "training_state.safetensors") for folder in (a, b))
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("stop_at", [1, 4, 8, 9])
def test_resumed_run_ends_bit_equal(make_config: Make, tmp_path: Path, stop_at: int) -> None:
    config = make_config()
    train(config, tmp_path / "whole")
    stop, on_event = stop_after(stop_at)
    outcome = train(config, tmp_path / "parts", stop=stop, on_event=on_event)
    assert outcome.state is RunState.STOPPED
    assert train(config, tmp_path / "parts").state is RunState.SUCCEEDED
    assert_same_end(tmp_path / "whole", tmp_path / "parts")
    resumed = of_type(tmp_path / "parts", "started", attempt=2)[0]
    assert resumed.resume_step == outcome.step == stop_at


@pytest.mark.parametrize(
    "changes", [HARD, {"cache": "off", "num_workers": 2}, {"cache": "off", "num_workers": 0, **HARD}]
)
def test_resume_is_exact_with(make_config: Make, tmp_path: Path, changes: dict[str, Any]) -> None:
    config = make_config(**changes)
    train(config, tmp_path / "whole")
    stop, on_event = stop_after(3)
    train(config, tmp_path / "parts", stop=stop, on_event=on_event)
    train(config, tmp_path / "parts")
    assert_same_end(tmp_path / "whole", tmp_path / "parts")


def test_what_may_change_at_a_resume_changes_no_bit(make_config: Make, tmp_path: Path) -> None:
    others: dict[str, Any] = {
        "num_workers": 2,
        "cache": "off",
        "abstain_error": 0.1,
        "eval_batch_size": 3,
        "log_every": 2,
        "save_every_epochs": 1,
        "checkpoint_every_minutes": 0.0001,
        "keep_last": 4,
        "keep_best": 2,
        "tensorboard_evaluation": False,
        "tensorboard_histograms": True,
        "tensorboard_graph": True,
        "min_processes": 1,
        "log_indices": True,
    }
    fields = TrainConfig.model_json_schema()["properties"]
    assert others.keys() == {name for name, item in fields.items() if item["at_resume"]} - {"num_nodes"}
    config = make_config()
    train(config, tmp_path / "whole")
    stop, on_event = stop_after(3)
    train(config, tmp_path / "parts", stop=stop, on_event=on_event)
    changed = config.resumed_with(others, tmp_path / "parts")
    assert not any(getattr(changed, name) == getattr(config, name) for name in others)
    train(changed, tmp_path / "parts")
    assert same_files(tmp_path / "whole/checkpoints/last", tmp_path / "parts/checkpoints/last", "model.safetensors")
    notices = [event.text for event in of_type(tmp_path / "parts", "notice", attempt=2)]
    assert any("cache off (was ram)" in text for text in notices)


def test_resume_is_exact_with_dropout_and_another_optimizer(make_config: Make, tiny_vit: Path, tmp_path: Path) -> None:
    config = make_config(model_flavour=str(tiny_vit), load_pretrained=True, optimizer="lamb", log_every=3)
    train(config, tmp_path / "whole")
    stop, on_event = stop_after(6)
    train(config, tmp_path / "parts", stop=stop, on_event=on_event)
    train(config, tmp_path / "parts")
    assert_same_end(tmp_path / "whole", tmp_path / "parts")
    later = [event.values["loss/train"] for event in of_type(tmp_path / "parts", "metrics", attempt=2)]
    assert later == curve(tmp_path / "whole")[-len(later) :]


def start(folder: Path, config: TrainConfig, attempt: int) -> subprocess.Popen[bytes]:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(config.model_dump_json())
    with (folder / "output.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "imgcls_lab.engine", str(folder), "--attempt", str(attempt)],
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def wait_for_step(folder: Path, attempt: int, step: int) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if any(event.step >= step for event in events_of(folder, attempt) if event.type == "metrics"):
            return
        time.sleep(0.01)
    raise AssertionError((folder / "output.log").read_text())


def test_killed_process_goes_on_bit_equal(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=4, checkpoint_every_minutes=1e-4, cache="off", num_workers=2, **HARD)
    train(config, tmp_path / "whole")
    folder = tmp_path / "killed"
    for attempt, step in enumerate(sorted(random.Random(3).sample(range(2, 15), 2)), start=1):
        process = start(folder, config, attempt)
        wait_for_step(folder, attempt, step)
        loaders = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        _, alive = psutil.wait_procs(loaders, timeout=2)
        assert [loader for loader in alive if loader.status() != psutil.STATUS_ZOMBIE] == []
    assert start(folder, config, 3).wait(60) == 0, (folder / "output.log").read_text()
    assert of_type(folder, "started", attempt=3)[0].resume_step > 0
    assert_same_end(tmp_path / "whole", folder)


def test_sigterm_checkpoints_and_says_stopped(make_config: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    process = start(folder, make_config(epochs=500), 1)
    wait_for_step(folder, 1, 5)
    os.killpg(process.pid, signal.SIGTERM)
    assert process.wait(20) == 0
    last = events_of(folder)[-1]
    assert last.type == "stopped"
    assert (folder / "checkpoints/last").resolve().name == f"a001-s{last.step:08d}"


def test_resume_needs_neither_model_folder_nor_hub(make_config: Make, tiny_vit: Path, tmp_path: Path) -> None:
    import shutil

    model = shutil.copytree(tiny_vit, tmp_path / "model")
    config = make_config(model_flavour=str(model), load_pretrained=True)
    stop, on_event = stop_after(2)
    train(config, tmp_path / "run", stop=stop, on_event=on_event)
    shutil.rmtree(model)
    assert train(config, tmp_path / "run").state is RunState.SUCCEEDED


def test_changed_images_are_refused_on_resume(make_config: Make, digits: Path, tmp_path: Path) -> None:
    config = make_config(root=str(digits))
    stop, on_event = stop_after(2)
    train(config, tmp_path / "run", stop=stop, on_event=on_event)
    next((digits / "train/digit-0").iterdir()).unlink()
    with pytest.raises(DataError) as caught:
        train(config, tmp_path / "run")
    assert (caught.value.reason, caught.value.data) == ("images_changed", {"root": digits})


def test_cache_and_loader_processes_do_not_change_the_result(run: Callable[..., Outcome]) -> None:
    folders = [
        run(name, augmentation="standard", **changes).folder
        for name, changes in (
            ("cached", {"cache": "ram"}),
            ("read", {"cache": "off", "num_workers": 0}),
            ("two", {"cache": "off", "num_workers": 2}),
        )
    ]
    for other in folders[1:]:
        assert_same_end(folders[0], other)


def test_finished_run_stays_finished(make_config: Make, tmp_path: Path) -> None:
    first = train(make_config(), tmp_path / "run")
    again = train(make_config(), tmp_path / "run")
    assert (again.state, again.step, again.values) == (RunState.SUCCEEDED, first.step, first.values)


def test_curve_has_no_seam_where_a_run_crashed(make_config: Make, tmp_path: Path) -> None:
    config = make_config(log_every=3)
    train(config, tmp_path / "whole")

    def crash(event: Any) -> None:
        if event.type == "checkpoint" and event.step == 7:
            raise RuntimeError("power cut")

    with pytest.raises(ImgclsError, match="power cut"):
        train(config.with_changes(checkpoint_every_minutes=1e-6), tmp_path / "parts", on_event=crash)
    train(config, tmp_path / "parts")
    later = [event.values["loss/train"] for event in of_type(tmp_path / "parts", "metrics", attempt=2)]
    assert later == curve(tmp_path / "whole")[-len(later) :]
    assert of_type(tmp_path / "parts", "started", attempt=2)[0].resume_step == 7

"""Plugins: used by name, kept with the run, and never another file than the one the run began with."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from imgcls_lab import signing
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.optim.losses import LOSSES
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import RunState
from imgcls_lab.settings import Settings

from .conftest import curve, same_files

Make = Callable[..., TrainConfig]
CODE = """
import torch
from imgcls_lab.plugins import LOSSES, OPTIMIZERS, SCHEDULES

LOSSES.register("halved")(lambda logits, target, terms: 0.5 * LOSSES.get("cross_entropy")(logits, target, terms))
OPTIMIZERS.register("plain")(lambda groups, config: torch.optim.SGD(groups, lr=config.lr))
SCHEDULES.register("quarter")(lambda now: 0.25)
"""


@pytest.fixture
def plugin(tmp_path: Path) -> Path:
    path = tmp_path / "mine.py"
    path.write_text(CODE)
    return path


def test_names_of_a_plugin_work_and_end_with_the_run(make_config: Make, plugin: Path, tmp_path: Path) -> None:
    config = make_config(epochs=1, plugins=[str(plugin)], warmup_epochs=0)
    plain = train(config, tmp_path / "plain")
    halved = train(config.with_changes(loss="halved"), tmp_path / "halved")
    assert curve(halved.folder)[0] == pytest.approx(0.5 * curve(plain.folder)[0], rel=1e-4)
    quarter = train(config.with_changes(schedule="quarter", optimizer="plain"), tmp_path / "quarter")
    assert set(curve(quarter.folder, "lr")) == {0.25 * config.lr}
    assert "halved" not in LOSSES


def test_the_run_keeps_the_file_and_its_hash(make_config: Make, plugin: Path, tmp_path: Path) -> None:
    folder = train(make_config(epochs=1, plugins=[str(plugin)]), tmp_path / "run").folder
    kept = folder / "plugins/01-mine.py"
    assert (kept.read_text(), kept.stat().st_mode & 0o777, kept.parent.stat().st_mode & 0o777) == (CODE, 0o600, 0o700)
    recorded = json.loads((folder / "manifest.json").read_text())["plugins"]
    sha256 = hashlib.sha256(CODE.encode()).hexdigest()
    signature = signing.sign_code(Settings().home_path, sha256)
    assert recorded == [{"name": "01-mine.py", "sha256": sha256, "signature": signature}]


def stopped(config: TrainConfig, folder: Path) -> None:
    stop = threading.Event()

    def on_event(event: Any) -> None:
        if event.type == "metrics" and event.step == 3:
            stop.set()

    assert train(config, folder, stop=stop, on_event=on_event).state is RunState.STOPPED


def test_a_resume_runs_the_kept_file_and_not_the_changed_one(make_config: Make, plugin: Path, tmp_path: Path) -> None:
    config = make_config(plugins=[str(plugin)], loss="halved", optimizer="plain")
    train(config, tmp_path / "whole")
    stopped(config, tmp_path / "parts")
    plugin.write_text(CODE.replace("0.5", "0.9"))
    train(config, tmp_path / "parts")
    assert same_files(*(tmp_path / name / "checkpoints/last" for name in ("whole", "parts")), "model.safetensors")


def test_a_changed_kept_file_is_refused(make_config: Make, plugin: Path, tmp_path: Path) -> None:
    config = make_config(plugins=[str(plugin)], loss="halved")
    stopped(config, tmp_path / "run")
    (tmp_path / "run/plugins/01-mine.py").write_text(CODE.replace("0.5", "0.9"))
    with pytest.raises(ConfigError) as caught:
        train(config, tmp_path / "run")
    assert caught.value.reason == "plugin_changed"


@pytest.mark.parametrize(
    ("code", "sentence"),
    [
        ("x = 1\ny = 1 / 0\n", "line 2: ZeroDivisionError: division by zero"),
        ("def broken(:\n", "line 1: SyntaxError"),
        (
            "from imgcls_lab.engine.optim.losses import LOSSES\nLOSSES.register('bce')(print)\n",
            "There is a loss “bce” already",
        ),
        ("import imgcls_lab.engine.recipes\n", "line 1: ModuleNotFoundError.* docs/training.md"),
        (None, "cannot be read: No such file"),
    ],
)
def test_a_plugin_that_fails_is_named_with_its_line(
    make_config: Make, tmp_path: Path, code: str | None, sentence: str
) -> None:
    path = tmp_path / "bad.py"
    if code is not None:
        path.write_text(code)
    with pytest.raises(ConfigError, match=sentence):
        train(make_config(plugins=[str(path)]), tmp_path / "run")

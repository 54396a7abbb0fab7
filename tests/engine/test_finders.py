"""Finders: a rate near the one that trains best, batch sizes that were measured, nothing left behind."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine.training import finders
from imgcls_lab.engine.training.finders import BatchTrial, find_batch_size, find_lr, steepest
from imgcls_lab.errors import ConfigError, DataError

Make = Callable[..., TrainConfig]


def test_the_suggestion_is_where_the_curve_falls_most_steeply() -> None:
    lrs = np.logspace(-6, 0, 60)
    losses = 2 - 1 / (1 + np.exp(-3 * (np.log10(lrs) + 2.5)))
    found = steepest(lrs.tolist(), losses.tolist())
    assert found is not None
    assert np.log10(found) == pytest.approx(-2.5, abs=0.1)
    assert steepest(lrs.tolist(), lrs.tolist()) is None
    assert steepest([1.0], [1.0]) is None


def test_the_rate_grows_until_the_loss_diverges(make_config: Make) -> None:
    told: list[int] = []
    config = make_config(optimizer="sgd", clip_grad_norm=None, momentum=0.9)
    state, threads = torch.get_rng_state(), torch.get_num_threads()
    found = find_lr(config, lowest=1e-5, highest=1e4, steps=60, on_step=lambda done, total: told.append(done))
    assert found.lrs == sorted(found.lrs)
    assert found.diverged
    assert len(found.lrs) == len(found.losses) == len(told) < 60
    assert found.suggestion is not None
    assert 1e-4 < found.suggestion < 10
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.get_num_threads() == threads
    assert found == find_lr(config, lowest=1e-5, highest=1e4, steps=60)


def test_the_found_rate_trains_better_than_a_hundredth_of_it(make_config: Make) -> None:
    config = make_config(optimizer="sgd")
    found = find_lr(config, steps=60, highest=10).suggestion
    assert found is not None
    low, high = (
        find_lr(config, lowest=rate, highest=rate * 1.001, steps=20).losses[-1] for rate in (found / 100, found)
    )
    assert high < low


def test_batch_sizes_double_and_each_is_measured(make_config: Make) -> None:
    found = find_batch_size(make_config(), largest=16)
    assert [trial.batch_size for trial in found.trials] == [2, 4, 8, 16]
    assert all(trial.images_per_second > 0 and trial.memory > 0 for trial in found.trials)
    assert (found.largest, found.ended) == (16, "limit")
    fastest = max(trial.images_per_second for trial in found.trials)
    speeds = {trial.batch_size: trial.images_per_second for trial in found.trials}
    assert speeds[found.suggestion] >= 0.95 * fastest


def test_no_batch_is_larger_than_the_training_set(make_config: Make) -> None:
    assert find_batch_size(make_config()).largest == 64  # of 120 images


def test_memory_ends_the_search(make_config: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    real = finders._measure

    def measure(trial: finders.Trial, size: int, classes: int) -> BatchTrial:
        if size > 8:
            raise torch.OutOfMemoryError("out of memory")
        return real(trial, size, classes)

    monkeypatch.setattr(finders, "_measure", measure)
    found = find_batch_size(make_config())
    assert (found.largest, found.ended) == (8, "memory")
    monkeypatch.setattr(finders, "_measure", lambda trial, size, _: BatchTrial(size, 1e6, size * 2**30))
    monkeypatch.setattr(finders.hardware, "free_memory", lambda: 18 * 2**30)
    assert find_batch_size(make_config()).largest == 16  # 32 would take 16 GiB more, of 18 free


def test_what_cannot_be_trained_is_refused_in_a_sentence(make_config: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="does not exist"):
        find_lr(make_config(root=str(tmp_path / "none")))
    with pytest.raises(ConfigError, match="no optimizer “adamww”"):
        find_batch_size(make_config(optimizer="adamww"))


def test_both_are_commands_and_functions_of_the_api(
    make_config: Make, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import imgcls_lab as lab
    from imgcls_lab.api import context
    from imgcls_lab.cli import main

    path = tmp_path / "config.json"
    path.write_text(make_config().model_dump_json())

    def command(*words: str) -> str:
        with pytest.raises(SystemExit) as exit_:
            main(words)
        assert not exit_.value.code
        return capsys.readouterr().out

    try:
        found = json.loads(command("find-lr", "--config", str(path), "--steps", "30", "--json"))
        assert found["suggestion"] == lab.find_lr(make_config(), steps=30).suggestion
        table = command("find-lr", "--config", str(path), "--set", "optimizer=sgd", "--steps", "30")
        assert "--set lr=" in table
        assert "1.0e-07" in table
        sizes = command("find-batch-size", "--config", str(path), "--largest", "4")
        assert "images/s" in sizes
        assert "--set batch_size=" in sizes
        assert json.loads(command("find-batch-size", "--config", str(path), "--largest", "4", "--json"))["largest"] == 4
    finally:
        context.close()

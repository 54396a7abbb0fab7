"""A fork goes on from a checkpoint of another run: without changes to the last bit as that run goes on itself."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from imgcls_lab.api.run_folder import RunFolder
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.errors import ConfigError, DataError, ModelError
from imgcls_lab.events import RunState

from .conftest import curve, of_type, same_files
from .forking import fork_from
from .test_resume import HARD, assert_same_end, stop_after

Make = Callable[..., TrainConfig]
STILL: dict[str, Any] = {"freeze_backbone": True, "lr": 1e-12}  # no running mean of a norm moves either


def forked(parent: Path, child: Path, checkpoint: str, config: TrainConfig, **changes: Any) -> Outcome:
    schedule = changes.pop("schedule_at_fork", "continue")
    after = config.with_changes(**changes)
    fork_from(parent, child, checkpoint, config, after, schedule=schedule)
    return train(after, child)


@pytest.fixture(scope="module")
def parent(make_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of 3 epochs of 8 steps, all of whose epochs are kept."""
    folder = tmp_path_factory.mktemp("forks") / "parent"
    train(make_config(epochs=3, save_every_epochs=1), folder)
    return folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints/last/model.safetensors")


def moments(folder: Path, name: str) -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / name / "training_state.safetensors")


@pytest.mark.parametrize("changes", [{}, HARD, {"cache": "off", "num_workers": 2, **HARD}])
def test_a_fork_without_changes_is_its_parent_s_continuation(
    make_config: Make, tmp_path: Path, changes: dict[str, Any]
) -> None:
    config = make_config(epochs=3, save_every_epochs=1, **changes)
    train(config, tmp_path / "whole")
    assert forked(tmp_path / "whole", tmp_path / "fork", "epoch-0001", config).state is RunState.SUCCEEDED
    assert_same_end(tmp_path / "whole", tmp_path / "fork")
    at = of_type(tmp_path / "fork", "started")[0].resume_step
    assert curve(tmp_path / "fork") == curve(tmp_path / "whole")[at:]


def test_a_fork_in_the_middle_of_an_epoch_is_exact_and_survives_a_stop(make_config: Make, tmp_path: Path) -> None:
    config = make_config(ema_decay=0.9, mixup=0.4)
    train(config, tmp_path / "whole")
    stop, on_event = stop_after(5)
    train(config, tmp_path / "parent", stop=stop, on_event=on_event)
    fork_from(tmp_path / "parent", tmp_path / "fork", "last", config, config)
    shutil.rmtree(tmp_path / "parent")
    stop, on_event = stop_after(7)
    assert train(config, tmp_path / "fork", stop=stop, on_event=on_event).state is RunState.STOPPED
    assert train(config, tmp_path / "fork").state is RunState.SUCCEEDED
    assert_same_end(tmp_path / "whole", tmp_path / "fork")


def test_a_fork_of_a_fork_goes_on_exactly_and_has_its_best(make_config: Make, parent: Path, tmp_path: Path) -> None:
    config = make_config(epochs=3, save_every_epochs=1)
    forked(parent, tmp_path / "one", "epoch-0001", config)
    forked(tmp_path / "one", tmp_path / "two", "epoch-0002", config)
    assert_same_end(parent, tmp_path / "two")
    assert same_files(parent / "checkpoints/best", tmp_path / "two/checkpoints/best", "model.safetensors")
    history = (tmp_path / "two/parent").glob("*/events-001.jsonl")
    assert len(list(history)) == 2


def test_a_fork_that_learns_nothing_has_its_parent_s_best(make_config: Make, parent: Path, tmp_path: Path) -> None:
    forked(parent, tmp_path / "fork", "last", make_config(epochs=3, save_every_epochs=1), epochs=5, **STILL)
    best = [event for event in of_type(parent, "epoch") if event.best][-1]
    begun, shown = of_type(tmp_path / "fork", "started")[0], RunFolder(tmp_path / "fork").run().best
    assert (begun.best, begun.best_epoch, begun.best_step) == (best.values["metric/accuracy"], best.epoch, best.step)
    assert not any(event.best for event in of_type(tmp_path / "fork", "epoch"))
    assert shown is not None
    assert (shown.value, shown.epoch) == (begun.best, begun.best_epoch)


def test_an_extension_of_a_constant_schedule_is_a_long_run(make_config: Make, tmp_path: Path) -> None:
    short = make_config(epochs=2, schedule="constant", warmup_epochs=0.5)
    long = short.with_changes(epochs=4)
    train(long, tmp_path / "long")
    train(short, tmp_path / "short")
    forked(tmp_path / "short", tmp_path / "extended", "last", short, epochs=4)
    assert_same_end(tmp_path / "long", tmp_path / "extended")


@pytest.mark.parametrize("schedule", ["cosine", "linear", "wsd", "step", "rsqrt"])
def test_a_schedule_that_continues_is_that_of_the_long_run(
    make_config: Make, parent: Path, tmp_path: Path, schedule: str
) -> None:
    config = make_config(epochs=3, save_every_epochs=1)
    changes = {"schedule": schedule, "epochs": 5}
    train(config.with_changes(**changes), tmp_path / "long")
    forked(parent, tmp_path / "fork", "epoch-0002", config, **changes)
    assert curve(tmp_path / "fork", "lr") == curve(tmp_path / "long", "lr")[16:]


def test_a_schedule_that_restarts_begins_with_its_own_warm_up(make_config: Make, parent: Path, tmp_path: Path) -> None:
    config = make_config(epochs=3, save_every_epochs=1)
    train(config.with_changes(epochs=2), tmp_path / "short")
    forked(parent, tmp_path / "fork", "epoch-0001", config, schedule_at_fork="restart")
    assert curve(tmp_path / "fork", "lr") == curve(tmp_path / "short", "lr")


def test_another_batch_size_counts_the_epochs_that_are_done(make_config: Make, parent: Path, tmp_path: Path) -> None:
    config = make_config(epochs=3, save_every_epochs=1)
    changes = {"batch_size": 32, "schedule": "linear"}
    train(config.with_changes(**changes), tmp_path / "whole")
    outcome = forked(parent, tmp_path / "fork", "epoch-0001", config, **changes)
    assert outcome.step == 8 + 2 * 4
    assert curve(tmp_path / "fork", "lr") == curve(tmp_path / "whole", "lr")[4:]


def test_free_changes_keep_the_optimizer_s_moments(make_config: Make, parent: Path, tmp_path: Path) -> None:
    """With a rate of almost nothing, the weights stay what they were, and the moments go on from the parent's."""
    config = make_config(epochs=3, save_every_epochs=1)
    free = {
        "lr": 1e-12,
        "weight_decay": 0.0,
        "layer_decay": 0.5,
        "betas": (0.9, 0.95),
        "loss": "focal",
        "ema_decay": 0.5,
    }
    forked(parent, tmp_path / "fork", "epoch-0002", config, **free)
    before, after = load_file(parent / "checkpoints/epoch-0002/model.safetensors"), weights(tmp_path / "fork")
    trained = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in trained)
    steps = {float(value) for name, value in moments(tmp_path / "fork", "last").items() if name.endswith(".step")}
    assert steps == {24.0}


def test_another_optimizer_and_a_frozen_backbone_begin_with_a_fresh_state(
    make_config: Make, parent: Path, tmp_path: Path
) -> None:
    config = make_config(epochs=3, save_every_epochs=1)
    forked(parent, tmp_path / "frozen", "epoch-0002", config, freeze_backbone=True, feature_views=0)
    state = moments(tmp_path / "frozen", "last")
    steps = {float(value) for name, value in state.items() if name.endswith(".step")}
    assert steps == {8.0}
    before, after = load_file(parent / "checkpoints/epoch-0002/model.safetensors"), weights(tmp_path / "frozen")
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name in before if name.startswith("classifier")}
    assert forked(parent, tmp_path / "sgd", "epoch-0002", config, optimizer="sgd").state is RunState.SUCCEEDED


def test_low_rank_updates_are_put_beside_the_parent_s_weights(make_config: Make, parent: Path, tmp_path: Path) -> None:
    config = make_config(epochs=3, save_every_epochs=1)
    forked(parent, tmp_path / "lora", "epoch-0002", config, lora_rank=2, lr=1e-12, ema_decay=0.9)
    before, after = load_file(parent / "checkpoints/epoch-0002/model.safetensors"), weights(tmp_path / "lora")
    trained = [name for name in before if "running" not in name and "num_batches" not in name]
    assert all(torch.allclose(before[name], after[name], atol=1e-6) for name in trained)
    lora = config.with_changes(lora_rank=2, lr=1e-12, ema_decay=0.9)
    forked(tmp_path / "lora", tmp_path / "merged", "last", lora, lora_rank=None, epochs=4)
    merged = weights(tmp_path / "merged")
    assert all(torch.allclose(after[name], merged[name], atol=1e-6) for name in trained)


def test_early_stopping_counts_from_a_fork_that_changes_something(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=6, early_stopping_patience=1, min_delta=1.0)
    outcome = train(config, tmp_path / "parent")
    assert outcome.step == 2 * 8
    assert forked(tmp_path / "parent", tmp_path / "fork", "last", config, lr=1e-3).step == 3 * 8


@pytest.mark.parametrize(
    "changes", [{"seed": 1}, {"model_flavour": "another"}, {"image_size": 32}, {"val_fraction": 0.5}, {"root": "/else"}]
)
def test_what_a_fork_cannot_change_is_refused(
    make_config: Make, parent: Path, tmp_path: Path, changes: dict[str, Any]
) -> None:
    with pytest.raises(ConfigError) as refused:
        forked(parent, tmp_path / "fork", "epoch-0001", make_config(epochs=3, save_every_epochs=1), **changes)
    assert [problem.field for problem in refused.value.problems] == list(changes)


def test_inside_an_epoch_the_batches_stay(make_config: Make, tmp_path: Path) -> None:
    config = make_config()
    stop, on_event = stop_after(3)
    train(config, tmp_path / "parent", stop=stop, on_event=on_event)
    with pytest.raises(ConfigError, match="between two epochs"):
        forked(tmp_path / "parent", tmp_path / "fork", "last", config, batch_size=8)


def test_changed_images_and_a_damaged_checkpoint_are_said(make_config: Make, digits: Path, tmp_path: Path) -> None:
    config = make_config(root=str(digits), save_every_epochs=1, epochs=3)
    train(config, tmp_path / "parent")
    fork_from(tmp_path / "parent", tmp_path / "damaged", "epoch-0001", config, config)
    inherited = next((tmp_path / "damaged/parent").glob("a000-s*/model.safetensors"))
    inherited.unlink()
    inherited.write_bytes(b"damaged")
    with pytest.raises(ModelError) as damaged:
        train(config, tmp_path / "damaged")
    assert damaged.value.reason == "checkpoint_damaged"
    next((digits / "train/digit-0").iterdir()).unlink()
    with pytest.raises(DataError) as changed:
        forked(tmp_path / "parent", tmp_path / "changed", "epoch-0001", config)
    assert changed.value.reason == "images_changed"

"""Checkpoints are whole or absent, found by their hashes, and complete models."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.checkpointing.state_tree import flatten, unflatten
from imgcls_lab.errors import DiskFullError
from imgcls_lab.events import RunState

from .conftest import events_of, of_type, same_files

Make = Callable[..., TrainConfig]


def write_something(folder: Path) -> None:
    (folder / "model.safetensors").write_bytes(b"weights")


def test_state_comes_back_with_its_strides() -> None:
    weight = torch.randn(4, 3, 2, 2).to(memory_format=torch.channels_last)
    state = {"a": {0: weight, 1: (1, 2.5, None)}, "b": [torch.tensor(3), "x", True]}
    tree, tensors = flatten(state)
    back = unflatten(tree, tensors)
    assert torch.equal(back["a"][0], weight)
    assert back["a"][0].stride() == weight.stride() != weight.contiguous().stride()
    assert back["a"][1] == (1, 2.5, None)
    assert back["b"][1:] == ["x", True]


def test_failed_save_leaves_nothing(tmp_path: Path) -> None:
    def full(folder: Path) -> None:
        write_something(folder)
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, "a001-s00000001", full, {})
    assert list(tmp_path.iterdir()) == []


def test_newest_good_passes_over_damage_and_says_so(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        checkpoint.save(tmp_path, f"a001-s{step:08d}", write_something, {"step": step})
    (tmp_path / "a001-s00000003/model.safetensors").write_bytes(b"weightz")
    (tmp_path / "a001-s00000002/training_state.json").unlink()
    told: list[str] = []
    good = checkpoint.newest_intact(tmp_path, told.append)
    assert good == tmp_path / "a001-s00000001"
    assert checkpoint.load_state(good) == {"step": 1}
    assert ["a001-s00000003" in told[0], "a001-s00000002" in told[1]] == [True, True]


def test_link_is_swapped_and_relative(tmp_path: Path) -> None:
    for step in (1, 2):
        checkpoint.save(tmp_path, f"a001-s{step:08d}", write_something, {})
        checkpoint.link(tmp_path, "last", f"a001-s{step:08d}")
    assert os.readlink(tmp_path / "last") == "a001-s00000002"


def test_prune_keeps_the_last_two_and_what_is_linked(tmp_path: Path) -> None:
    for step in range(1, 6):
        checkpoint.save(tmp_path, f"a001-s{step:08d}", write_something, {})
    checkpoint.link(tmp_path, "best", "a001-s00000002")
    checkpoint.prune(tmp_path, keep=2)
    assert [path.name[-1] for path in checkpoint.saved(tmp_path)] == ["2", "4", "5"]


def test_prune_spares_the_best(tmp_path: Path) -> None:
    for step in range(1, 6):
        checkpoint.save(tmp_path, f"a001-s{step:08d}", write_something, {})
    checkpoint.prune(tmp_path, keep=2, also=["a001-s00000001", "a001-s00000003"])
    assert [path.name[-1] for path in checkpoint.saved(tmp_path)] == ["1", "3", "4", "5"]


def test_as_many_of_the_best_stay_as_asked_for(run: Callable[..., Outcome]) -> None:
    folder = run(epochs=6, keep_best=3, monitor_metric="loss", lr=3e-3).folder
    epochs = [event for event in events_of(folder) if event.type == "epoch"]
    wanted = {event.step for event in sorted(epochs, key=lambda event: event.values["loss/val"])[:3]}
    last_two = {event.step for event in epochs[-2:]}
    kept = {int(path.name.split("-s")[1]) for path in checkpoint.saved(folder / "checkpoints")}
    assert kept == wanted | last_two


def test_files_are_private(run: Callable[..., Outcome]) -> None:
    last = (run(epochs=1).folder / "checkpoints/last").resolve()
    assert last.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in last.iterdir()} == {0o600}
    assert not [path.name for path in last.iterdir() if path.suffix in (".pt", ".bin", ".pkl", ".pth")]


def test_damaged_last_checkpoint_falls_back_and_ends_bit_equal(make_config: Make, tmp_path: Path) -> None:
    train(make_config(epochs=3), tmp_path / "whole")
    train(make_config(epochs=3), tmp_path / "hurt")
    checkpoints = tmp_path / "hurt/checkpoints"
    newest = checkpoint.saved(checkpoints)[-1]
    with (newest / "model.safetensors").open("r+b") as file:
        file.seek(-1, os.SEEK_END)
        file.write(b"\x55")
    train(make_config(epochs=3), tmp_path / "hurt")
    assert any("is damaged" in event.text for event in of_type(tmp_path / "hurt", "notice", attempt=2))
    assert of_type(tmp_path / "hurt", "started", attempt=2)[0].resume_step > 0
    assert same_files(checkpoints / "last", tmp_path / "whole/checkpoints/last", "model.safetensors")
    best = (tmp_path / "whole/checkpoints/best").resolve().name
    assert (checkpoints / "best").resolve().name.split("-")[1] == best.split("-")[1]


def test_full_disk_is_one_sentence_and_resumable(
    make_config: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved = checkpoint.save_file
    calls = []

    def full(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        saved(*arguments)

    monkeypatch.setattr(checkpoint, "save_file", full)
    with pytest.raises(DiskFullError, match="resume"):
        train(make_config(), tmp_path / "run")
    failed = events_of(tmp_path / "run")[-1]
    assert (failed.type, failed.kind) == ("failed", "disk_full")
    assert [path.name for path in (tmp_path / "run/checkpoints").iterdir() if path.name.startswith(".")] == []
    assert checkpoint.damage(tmp_path / "run/checkpoints/last") is None
    assert train(make_config(), tmp_path / "run").state is RunState.SUCCEEDED


def test_checkpoints_and_board_really_lie_where_they_are_told(make_config: Make, tmp_path: Path) -> None:
    config = make_config(epochs=1, ckpt_dir=str(tmp_path / "big"), tb_root=str(tmp_path / "board"))
    train(config, tmp_path / "the-run")
    assert (tmp_path / "the-run/checkpoints").is_symlink()
    assert (tmp_path / "big/the-run/best/model.safetensors").exists()
    assert (tmp_path / "the-run/checkpoints/best/model.safetensors").exists()
    assert any((tmp_path / "board/the-run").iterdir())


def test_every_nth_epoch_is_kept(run: Callable[..., Outcome]) -> None:
    folder = run(epochs=5, save_every_epochs=2).folder / "checkpoints"
    assert sorted(path.name for path in folder.glob("epoch-*")) == ["epoch-0002", "epoch-0004"]
    assert all((folder / name / "model.safetensors").exists() for name in ("epoch-0002", "epoch-0004"))

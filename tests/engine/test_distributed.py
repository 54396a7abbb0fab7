"""Several processes train one model: the same as one process, each image once, and none left behind."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch
from safetensors.torch import load_file

from imgcls_lab import cpu, predictions
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, hardware, train
from imgcls_lab.engine.data.cache_locations import CacheLocations
from imgcls_lab.engine.data.image_set import Reader, pick_num_workers
from imgcls_lab.engine.data.scan import open_caches
from imgcls_lab.engine.data.split import list_splits
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.errors import ConfigError, ProcessLostError
from imgcls_lab.events import Event, Metrics, RunState
from imgcls_lab.planning.steps import batches_per_epoch, epoch_batches
from imgcls_lab.predictions import load_predictions

from .conftest import SIZE, curve, of_type, same_files

Make = Callable[..., TrainConfig]


@pytest.fixture(scope="module")
def still_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ViT without dropout and, as any ViT, without batch norm: what two processes compute as one does."""
    folder = tmp_path_factory.mktemp("models") / "still-vit"
    folder.mkdir()
    config = {
        "model_type": "vit", "architectures": ["ViTForImageClassification"], "hidden_size": 32, "num_hidden_layers": 2,
        "num_attention_heads": 2, "intermediate_size": 64, "image_size": 16, "patch_size": 4,
        "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="module")
def shared(make_config: Make, still_vit: Path) -> Make:
    """Batches of 17 of 120 images: the shares are uneven, and the last batch is small."""

    def make(**changes: Any) -> TrainConfig:
        given = {
            "model_flavour": str(still_vit),
            "batch_size": 17,
            "lr": 1e-3,
            "num_processes": 2,
            "gradient_accumulation_steps": 2,
        }
        return make_config(**{**given, **changes})

    return make


@pytest.fixture(scope="module")
def both(shared: Make, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrainConfig, Outcome, list[Event]]:
    """A run of two processes, in a folder whose config.json says otherwise: the given one counts."""
    heard: list[Event] = []
    config = shared(mixup=0.2, cutmix=0.5, ema_decay=0.9, balance="class_weights", eval_batch_size=7)
    folder = tmp_path_factory.mktemp("both")
    (folder / "config.json").write_text(config.with_changes(epochs=1).model_dump_json())
    return config, train(config, folder, on_event=heard.append), heard


def test_two_processes_train_as_one(both: tuple[TrainConfig, Outcome, list[Event]], tmp_path: Path) -> None:
    config, two, heard = both
    alone = train(config.with_changes(num_processes=1), tmp_path / "alone")
    assert two.state is RunState.SUCCEEDED
    assert two.step == alone.step
    assert [event.seq for event in heard] == list(range(1, len(heard) + 1))
    assert not (two.folder / ".ranks").exists()

    weights = [load_file(run.folder / "checkpoints/last/model.safetensors") for run in (alone, two)]
    furthest = max(float((weights[0][name] - weights[1][name]).abs().max()) for name in weights[0])
    losses = [curve(run.folder) for run in (alone, two)]
    apart = max(abs(a - b) for a, b in zip(*losses, strict=True))
    print(f"\nweights differ by at most {furthest:.1e}, losses by {apart:.1e} (target: float tolerance, 1e-3 and 1e-4)")
    assert furthest < 1e-3
    assert apart < 1e-4
    first, second = of_type(alone.folder, "epoch"), of_type(two.folder, "epoch")
    assert [event.epoch for event in second] == list(range(1, config.epochs + 1))
    for a, b in zip(first, second, strict=True):
        assert a.values.keys() == b.values.keys() >= {"metric/accuracy", "loss/val"}
        for tag in a.values.keys() - {"time/epoch"}:
            assert b.values[tag] == pytest.approx(a.values[tag], abs=0.026), tag  # one image of forty
        assert b.values["loss/val"] == pytest.approx(a.values["loss/val"], abs=1e-4)
    assert alone.values.keys() == two.values.keys()
    kept, merged = (predictions.read_train(run.folder, 1) for run in (alone, two))
    assert np.array_equal(np.isnan(kept.losses), np.isnan(merged.losses))
    assert not np.isnan(kept.losses).all()
    assert merged.losses.astype(float) == pytest.approx(kept.losses.astype(float), abs=5e-3, nan_ok=True)
    best = of_type(two.folder, "finished")[0].best_epoch
    probs = predictions.read_probs(two.folder, predictions.read(two.folder, best), "val")
    assert probs is not None, "the rows of both processes, in the order of the images"


def test_validation_counts_each_image_once(both: tuple[TrainConfig, Outcome, list[Event]]) -> None:
    folder = both[1].folder
    found = load_predictions(folder, 1)
    assert len(found) == 40
    assert found["path"].is_unique
    report = json.loads((folder / "reports" / "epoch-0001.json").read_text())
    assert report["images"] == 40
    assert sum(row["images"] for row in report["classes"]) == 40


def test_a_stopped_run_of_two_goes_on_bit_equal(shared: Make, tiny_vit: Path, tmp_path: Path) -> None:
    config = shared(model_flavour=str(tiny_vit), load_pretrained=True, ema_decay=0.9)  # with dropout
    train(config, tmp_path / "whole")
    stop = threading.Event()

    def after_three(event: Event) -> None:
        if isinstance(event, Metrics) and event.step >= 3:
            stop.set()

    assert train(config, tmp_path / "parts", stop=stop, on_event=after_three).state is RunState.STOPPED
    assert train(config, tmp_path / "parts").state is RunState.SUCCEEDED
    assert same_files(tmp_path / "whole/checkpoints/last", tmp_path / "parts/checkpoints/last", "model.safetensors")
    whole, parts = (predictions.read_train(tmp_path / name, 1).losses for name in ("whole", "parts"))
    assert whole.tobytes() == parts.tobytes()
    assert not np.isnan(whole).any()
    with pytest.raises(ConfigError) as refused:
        train(config.with_changes(num_processes=1, epochs=3), tmp_path / "parts")
    assert [problem.field for problem in refused.value.problems] == ["min_processes"]


def test_a_killed_process_ends_the_run_and_leaves_none(shared: Make, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    killed: list[float] = []

    def kill_the_second(event: Event) -> None:
        if isinstance(event, Metrics) and not killed:
            for child in psutil.Process().children(recursive=True):
                if child.pid not in before and child.environ().get("RANK") == "1":
                    killed.append(time.monotonic())
                    child.send_signal(signal.SIGKILL)

    with pytest.raises(ProcessLostError, match="SIGKILL"):
        train(shared(epochs=500), folder, on_event=kill_the_second)
    assert time.monotonic() - killed[0] < 20
    assert [(event.kind, event.step > 0) for event in of_type(folder, "failed")] == [("lost", True)]
    assert {child.pid for child in psutil.Process().children(recursive=True)} <= before


def test_shares_are_never_empty_and_cover_every_image() -> None:
    from imgcls_lab.engine.distributed.process_group import ProcessGroup

    for images, size, count in ((120, 17, 4), (33, 16, 8), (9, 8, 3)):
        batches = epoch_batches(np.arange(images), size, count)
        assert len(batches) == batches_per_epoch(images, size, count)
        for batch in batches:
            shares = [ProcessGroup(rank, count).shard(batch) for rank in range(count)]
            assert min(map(len, shares)) >= 1
            assert np.concatenate(shares).tolist() == batch.tolist()


def test_processes_share_cores_and_memory(
    shared: Make, digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cpu, "cores", lambda: 17)
    monkeypatch.setattr(hardware, "free_memory", lambda: 4 * 160 * SIZE**2 * 3)  # a quarter holds the images once
    assert [pick_num_workers(None, False, torch.device("cuda"), processes) for processes in (1, 4)] == [8, 4]
    reader = Reader(EvalSpec.default(SIZE))
    for copies, cached in ((1, True), (2, False)):
        splits = list_splits(shared(root=str(digits)), reader, reader)
        found = open_caches([splits.train, splits.val], "auto", CacheLocations.private(tmp_path), copies)
        assert (found is not None) is cached


def test_a_process_without_validation_images_reads_none(shared: Make, digits: Path) -> None:
    reader = Reader(EvalSpec.default(SIZE))
    assert list(list_splits(shared(root=str(digits)), reader, reader).val.batches([], num_workers=2)) == []


def test_what_cannot_be_shared_is_refused(shared: Make, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="batch_size of 8"):
        shared(num_processes=4, batch_size=7)
    with pytest.raises(ConfigError, match="unfreeze_epoch"):
        shared(freeze_backbone=True, unfreeze_epoch=1)
    if not torch.cuda.is_available():
        with pytest.raises(ConfigError, match="on GPUs only"):
            train(shared(num_processes=1, sync_batchnorm=True), tmp_path / "run")

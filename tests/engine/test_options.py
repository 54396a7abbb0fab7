"""Every field of the config that the engine reads changes what it should, and nothing else."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.data import image_set
from imgcls_lab.engine.evaluation.metrics import MetricAccumulator
from imgcls_lab.engine.model.classifier import build, read_flavour
from imgcls_lab.engine.model.freezing import prepare_model
from imgcls_lab.engine.model.structure import head_of
from imgcls_lab.engine.optim import losses
from imgcls_lab.engine.optim.lr_scheduler import learning_rate
from imgcls_lab.engine.optim.optimizers import make_optimizer
from imgcls_lab.events import RunState
from imgcls_lab.planning.steps import StepPlan
from imgcls_lab.schemas import EpochReport

from .conftest import curve, events_of, of_type

Run = Callable[..., Outcome]
Make = Callable[..., TrainConfig]


def weights(outcome: Outcome) -> dict[str, torch.Tensor]:
    return load_file(outcome.folder / "checkpoints/last/model.safetensors")


@pytest.fixture(scope="module")
def plain(make_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run with nothing changed."""
    return train(make_config(), tmp_path_factory.mktemp("plain"))


def test_same_config_gives_the_same_bits(run: Run, plain: Outcome) -> None:
    again = weights(run("again"))
    assert all(torch.equal(value, again[name]) for name, value in weights(plain).items())


@pytest.mark.parametrize(
    "changes",
    [
        {"augmentation": "none"},
        {"augmentation": "standard"},
        {"augmentation": "heavy"},
        {"hflip": True},
        {"seed": 1},
        {"optimizer": "sgd"},
        {"optimizer": "lion"},
        {"optimizer": "muon"},
        {"optimizer": "sgd", "momentum": 0.0},
        {"betas": (0.5, 0.9)},
        {"eps": 1e-3},
        {"weight_decay": 1.0},
        {"clip_grad_norm": 0.01, "optimizer": "sgd"},
        {"gradient_accumulation_steps": 2},
        {"schedule": "linear"},
        {"schedule": "constant"},
        {"warmup_epochs": 1},
        {"min_lr_ratio": 0.5},
        {"schedule": "poly"},
        {"schedule": "step", "decay_epochs": 0.5, "warmup_epochs": 0},
        {"loss": "focal"},
        {"loss": "bce"},
        {"loss": "asl"},
        {"layer_decay": 0.5},
        {"backbone_lr_ratio": 0.1},
        {"clip_grad_norm": 0.01, "clip_mode": "value", "optimizer": "sgd"},
        {"clip_grad_norm": 0.01, "clip_mode": "agc", "optimizer": "sgd"},
        {"lora_rank": 2},
        {"freeze_backbone": True, "unfreeze_epoch": 1},
        {"label_smoothing": 0.2},
        {"mixup": 0.5},
        {"cutmix": 1.0},
        {"ema_decay": 0.5},
        {"precision": "bf16", "image_size": 32},
        {"balance": "sampler"},
        {"freeze_backbone": True},
        {"image_size": 24},
        {"batch_size": 8},
        {"lr": 1e-4},
    ],
    ids=lambda changes: "-".join(f"{name}={value}" for name, value in changes.items()),
)
def test_option_changes_the_weights(run: Run, plain: Outcome, changes: dict[str, Any]) -> None:
    other = weights(run("other", **changes))
    assert any(not torch.equal(value, other[name]) for name, value in weights(plain).items())


@pytest.mark.parametrize(
    "changes", [{"log_every": 5}, {"eval_batch_size": 7}, {"save_every_epochs": 1}, {"keep_last": 3}, {"cache": "off"}]
)
def test_option_that_affects_no_result_affects_none(run: Run, plain: Outcome, changes: dict[str, Any]) -> None:
    assert not any(
        TrainConfig.model_fields[name].json_schema_extra["affects_result"]  # type: ignore[index, call-overload]
        for name in changes
    )
    other = weights(run("other", **changes))
    assert all(torch.equal(value, other[name]) for name, value in weights(plain).items())


def test_loader_processes_are_as_many_as_asked_for_where_nothing_is_cached(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    load = image_set._worker_batches

    def loading(images: image_set.ImageSet, batches: Any, workers: int) -> Any:
        asked.append(workers)
        return load(images, batches, workers)

    monkeypatch.setattr(image_set, "_worker_batches", loading)
    run("cached", cache="ram", num_workers=2, epochs=1)
    run("none", cache="off", num_workers=0, epochs=1)
    assert asked == []
    run("two", cache="off", num_workers=2, epochs=1)
    assert asked == [2, 2]  # training and validation


@pytest.mark.parametrize(("size", "seen"), [(None, [32, 8]), (25, [25, 15])])
def test_validation_takes_as_many_images_at_a_time_as_asked_for(
    run: Run, monkeypatch: pytest.MonkeyPatch, size: int | None, seen: list[int]
) -> None:
    sizes: list[int] = []
    add = MetricAccumulator.add

    def adding(counts: MetricAccumulator, logits: torch.Tensor, *rest: Any) -> None:
        sizes.append(len(logits))
        add(counts, logits, *rest)

    monkeypatch.setattr(MetricAccumulator, "add", adding)
    run(epochs=1, eval_batch_size=size)
    assert sizes == seen


@pytest.mark.parametrize("threads", [1, 2])
def test_threads_are_those_of_the_config(make_config: Make, tmp_path: Path, threads: int) -> None:
    seen: list[int] = []
    config = make_config(threads=threads, epochs=1)
    train(config, tmp_path / "run", on_event=lambda _: seen.append(torch.get_num_threads()))
    assert seen[-1] == threads


@pytest.mark.parametrize("keep", [2, 4])
def test_as_many_of_the_last_checkpoints_stay_as_asked_for(run: Run, keep: int) -> None:
    folder = run(epochs=6, keep_last=keep, monitor_metric="loss", monitor_mode="max").folder
    kept = [int(path.name.split("-s")[1]) for path in checkpoint.saved(folder / "checkpoints")]
    steps = [event.step for event in of_type(folder, "epoch")]
    assert kept[-keep:] == steps[-keep:]
    assert len(kept) <= keep + 1  # the best


def test_every_step_goes_through_the_compiled_model(run: Run, plain: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []

    class Compiled(torch.nn.Module):
        def __init__(self, model: torch.nn.Module) -> None:
            super().__init__()
            self.model = model

        def forward(self, pixel_values: torch.Tensor) -> Any:
            passes.append(len(pixel_values))
            return self.model(pixel_values=pixel_values)

    monkeypatch.setattr(torch, "compile", Compiled)
    other = weights(run("compiled", compile=True))
    assert sum(passes) == 2 * 120
    assert all(torch.equal(value, other[name]) for name, value in weights(plain).items())


def test_log_every_thins_the_curve(run: Run) -> None:
    folder = run(log_every=5).folder
    assert [event.step for event in of_type(folder, "metrics")] == [5, 8, 10, 15, 16]


def test_training_learns(run: Run) -> None:
    outcome = run(epochs=6)
    losses_seen = curve(outcome.folder)
    assert np.mean(losses_seen[-5:]) < 0.5 * np.mean(losses_seen[:5])
    assert outcome.values["metric/accuracy"] > 0.8


def test_learning_rate_is_a_function_of_the_step(make_config: Make) -> None:
    config = make_config(lr=1.0, warmup_epochs=1, epochs=10, min_lr_ratio=0.1)
    steps = StepPlan(batches_per_epoch=10, steps_per_epoch=10, epochs=10)
    rates = [learning_rate(config, step, steps) for step in range(100)]
    assert rates[:10] == sorted(rates[:10])
    assert rates[0] > 0
    assert max(rates) == rates[10] == 1.0
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] == pytest.approx(0.1, abs=0.01)
    linear = learning_rate(config.with_changes(schedule="linear"), 55, steps)
    assert linear == pytest.approx(0.55)
    assert learning_rate(config.with_changes(schedule="constant"), 99, steps) == 1.0


def test_norms_and_biases_do_not_decay(make_config: Make, tiny_model: Path) -> None:
    config = make_config()
    model = build(read_flavour(str(tiny_model), None, 16), ["a", "b"], False, 0, print)
    groups = make_optimizer(model, config).param_groups
    decayed = [p for group in groups if group["weight_decay"] > 0 for p in group["params"]]
    spared = [p for group in groups if group["weight_decay"] == 0 for p in group["params"]]
    assert {p.ndim for p in decayed} == {2, 4}
    assert {p.ndim for p in spared} == {1}
    assert len(decayed) + len(spared) == len(list(model.parameters()))


def test_frozen_backbone_does_not_move_nor_its_norms(run: Run, tiny_model: Path) -> None:
    first, later = (weights(run(name, freeze_backbone=True, epochs=n)) for name, n in (("one", 1), ("three", 3)))
    moved = {name for name in first if not torch.equal(first[name], later[name])}
    assert moved == {"classifier.1.weight", "classifier.1.bias"}


def test_head_of_a_transformer_is_its_classifier(make_config: Make, tiny_vit: Path) -> None:
    model = build(read_flavour(str(tiny_vit), None, None), ["a", "b"], True, 0, print)
    assert head_of(model) == [model.classifier]
    prepare_model(model, make_config(freeze_backbone=True))
    assert {name for name, p in model.named_parameters() if p.requires_grad} == {"classifier.weight", "classifier.bias"}


def test_same_number_of_other_classes_gets_a_new_head_and_says_so(tiny_vit: Path) -> None:
    from transformers import AutoModelForImageClassification

    old = AutoModelForImageClassification.from_pretrained(tiny_vit)
    told: list[str] = []
    other = build(read_flavour(str(tiny_vit), None, None), ["k", "l", "m", "n"], True, 0, told.append)
    same = build(read_flavour(str(tiny_vit), None, None), ["ant", "bee", "cow", "dog"], True, 0, print)
    assert "new head" in told[0]
    assert not torch.equal(other.classifier.weight, old.classifier.weight)
    assert torch.equal(same.classifier.weight, old.classifier.weight)
    body = "vit.embeddings.position_embeddings"
    assert torch.equal(other.state_dict()[body], old.state_dict()[body])


def test_early_stopping_ends_the_run(run: Run) -> None:
    outcome = run(epochs=30, lr=1e-7, early_stopping_patience=2, monitor_metric="accuracy")
    epochs = of_type(outcome.folder, "epoch")
    assert outcome.state is RunState.SUCCEEDED
    assert len(epochs) < 30
    assert not any(event.best for event in epochs[-2:])


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("accuracy", "auto"),
        ("loss", "auto"),
        ("loss", "max"),
        ("top_k", "min"),
        ("auroc", "auto"),
        ("weighted_f1", "auto"),
        ("balanced_accuracy", "min"),
        ("calibration_error", "auto"),
    ],
)
def test_best_is_what_the_config_says(run: Run, metric: str, mode: str) -> None:
    outcome = run(epochs=4, monitor_metric=metric, monitor_mode=mode, top_k=2)
    tag = {"loss": "loss/val", "top_k": "metric/top2"}.get(metric, f"metric/{metric}")
    epochs = of_type(outcome.folder, "epoch")
    values = [event.values[tag] for event in epochs]
    lower = mode == "min" or (mode == "auto" and metric in ("loss", "calibration_error"))
    best = values.index(min(values) if lower else max(values))
    assert outcome.values[tag] == values[best]
    finished = events_of(outcome.folder)[-1]
    assert finished.best_epoch == best + 1
    assert (outcome.folder / "checkpoints/best").resolve().name.endswith(f"{epochs[best].step:08d}")


def test_class_weights_give_every_class_the_same_say(run: Run, digits: Path) -> None:
    assert losses.class_weights(np.array([30, 10])).tolist() == pytest.approx([2 / 3, 2.0])
    for path in sorted((digits / "train/digit-0").iterdir())[:20]:
        path.unlink()
    one, other = (curve(run(name, root=str(digits), balance=name).folder)[0] for name in ("none", "class_weights"))
    assert one != other


def test_held_out_share_is_stratified_and_of_the_seed(run: Run, digits: Path) -> None:
    import shutil

    shutil.rmtree(digits / "val")
    folder = run(root=str(digits), val_fraction=0.3, epochs=1).folder
    started = of_type(folder, "started")[0]
    assert (started.train_images, started.val_images) == (84, 36)
    report = EpochReport.model_validate_json((folder / "reports/epoch-0001.json").read_text())
    assert [figures.images for figures in report.classes] == [9, 9, 9, 9]


def test_manifest_says_what_reproduces_the_run(run: Run) -> None:
    manifest = json.loads((run(epochs=1, seed=5).folder / "manifest.json").read_text())
    assert (manifest["seed"], manifest["precision"], manifest["threads"]) == (5, "fp32", 1)
    assert manifest["packages"]["torch"].split("+")[0] == torch.__version__.split("+")[0]
    assert re.fullmatch("[0-9a-f]{64}", manifest["data"]["fingerprint"])
    assert manifest["classes"] == [f"digit-{i}" for i in range(4)]


def test_fingerprint_is_of_the_content_and_not_of_the_place(run: Run, digits: Path, digits_source: Path) -> None:
    def fingerprint(name: str, root: Path) -> str:
        data = json.loads((run(name, root=str(root), epochs=1).folder / "manifest.json").read_text())["data"]
        return str(data["fingerprint"])

    assert fingerprint("here", digits) == fingerprint("there", digits_source)
    changed = digits / "train/digit-0/000.png"
    changed.write_bytes((digits / "train/digit-1/000.png").read_bytes())
    assert fingerprint("changed", digits) != fingerprint("there-again", digits_source)


@pytest.mark.slow
def test_compiled_model_trains(run: Run) -> None:
    import shutil

    if not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("torch.compile on a CPU needs a C++ compiler")
    torch._dynamo.reset()
    outcome = run(compile=True, epochs=1)
    assert outcome.state is RunState.SUCCEEDED
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > 0
    assert "model.safetensors" in {path.name for path in (outcome.folder / "checkpoints/best/").iterdir()}

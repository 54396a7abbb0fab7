"""What of a model learns, and how fast: blocks, rates, unfreezing, LoRA, clipping, dropout, checkpointing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModelForImageClassification

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.checkpointing import checkpoint
from imgcls_lab.engine.model.classifier import build, read_flavour, with_dropout_rates
from imgcls_lab.engine.model.freezing import begin_epoch, prepare_model
from imgcls_lab.engine.model.lora import add_lora, merged_weights
from imgcls_lab.engine.model.structure import depths
from imgcls_lab.engine.optim.optimizers import make_optimizer, param_groups, set_learning_rate
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import RunState

from .conftest import SIZE, same_files

Make = Callable[..., TrainConfig]
Run = Callable[..., Outcome]
CLASSES = ["a", "b", "c"]


@pytest.fixture
def vit(tiny_vit: Path) -> nn.Module:
    return build(read_flavour(str(tiny_vit), None, None), CLASSES, True, 0, lambda _: None)


@pytest.fixture
def vit_config(make_config: Make, tiny_vit: Path) -> Make:
    return lambda **changes: make_config(**{"model_flavour": str(tiny_vit), "load_pretrained": True} | changes)


def weights(folder: Path, link: str = "last") -> dict[str, torch.Tensor]:
    return load_file(folder / "checkpoints" / link / "model.safetensors")


def resumed(config: TrainConfig, folder: Path, step: int) -> None:
    """Train, stop after a step, and go on."""
    stop = threading.Event()

    def on_event(event: Any) -> None:
        if event.type == "metrics" and event.step == step:
            stop.set()

    assert train(config, folder, stop=stop, on_event=on_event).state is RunState.STOPPED
    assert train(config, folder).state is RunState.SUCCEEDED


# ── blocks and rates ────────────────────────────────────────────────────────────────────────────────────────────
def test_depth_rises_from_the_embeddings_over_the_blocks_to_the_head(vit: nn.Module) -> None:
    levels = depths(vit)
    of = {name.split(".")[1] + "".join(c for c in name if c.isdigit()): level for name, level in levels.items()}
    assert {level for name, level in levels.items() if "embeddings" in name} == {0}
    assert {level for name, level in levels.items() if name.startswith("classifier")} == {max(of.values())} == {3}
    assert levels["vit.layernorm.weight"] == 2


def test_layer_decay_and_the_backbones_share_scale_the_rates(make_config: Make, vit: nn.Module) -> None:
    config = make_config(layer_decay=0.5, backbone_lr_ratio=0.1, optimizer="sgd")
    optimizer = make_optimizer(vit, config)
    set_learning_rate(optimizer, 2.0)
    levels = {id(parameter): depths(vit)[name] for name, parameter in vit.named_parameters()}
    rates = {levels[id(p)]: group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert rates == pytest.approx({3: 2.0, 2: 0.1, 1: 0.05, 0: 0.025})


def test_what_timm_spares_does_not_decay(make_config: Make, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps(TIMM_VIT))
    model = build(read_flavour(str(tmp_path), None, SIZE), CLASSES, False, 0, lambda _: None)
    spared = {
        id(p) for group in param_groups(model, make_config()) if not group["weight_decay"] for p in group["params"]
    }
    assert id(model.timm_model.pos_embed) in spared
    assert id(model.timm_model.blocks[0].mlp.fc1.weight) not in spared
    assert (
        depths(model)["timm_model.blocks.1.mlp.fc1.weight"] == depths(model)["timm_model.blocks.0.mlp.fc1.weight"] + 1
    )


TIMM_VIT = {
    "model_type": "timm_wrapper",
    "architectures": ["TimmWrapperForImageClassification"],
    "architecture": "vit_tiny_patch16_224",
    "model_args": {"img_size": SIZE, "patch_size": 4, "embed_dim": 16, "depth": 2, "num_heads": 2},
    "num_classes": 3,
}


# ── unfreezing ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_backbone_rests_until_it_is_unfrozen(run: Run) -> None:
    outcome = run(freeze_backbone=True, unfreeze_epoch=1, epochs=2, save_every_epochs=1, keep_last=5)
    untrained = run("untrained", freeze_backbone=True, epochs=1).folder
    first, second = (weights(outcome.folder, f"epoch-000{number}") for number in (1, 2))
    body = {name for name in first if not name.startswith("classifier") and "num_batches" not in name}
    assert all(torch.equal(first[name], weights(untrained)[name]) for name in body)
    assert {name for name in body if not torch.equal(first[name], second[name])} == body


def test_blocks_are_unfrozen_from_the_head_down(make_config: Make, vit: nn.Module) -> None:
    config = make_config(freeze_backbone=True, unfreeze_epoch=2, unfreeze_blocks=1, epochs=9)
    prepare_model(vit, config)
    lowest = []
    for epoch in range(6):
        begin_epoch(vit, config, epoch)
        learning = {depths(vit)[name] for name, p in vit.named_parameters() if p.requires_grad}
        assert learning == set(range(min(learning), 4))
        lowest.append(min(learning))
        assert vit.vit.embeddings.training is (min(learning) == 0)
    assert lowest == [3, 3, 2, 1, 0, 0]


def test_unfreezing_goes_on_bit_equal_after_a_stop(make_config: Make, tmp_path: Path) -> None:
    config = make_config(
        freeze_backbone=True, unfreeze_epoch=1, unfreeze_blocks=2, epochs=4, layer_decay=0.8, backbone_lr_ratio=0.5
    )
    train(config, tmp_path / "whole")
    resumed(config, tmp_path / "parts", 21)
    assert same_files(*(tmp_path / name / "checkpoints/last" for name in ("whole", "parts")), "model.safetensors")


# ── LoRA ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_lora_trains_updates_and_the_head_alone(make_config: Make, vit: nn.Module) -> None:
    add_lora(vit, make_config(lora_rank=2))
    learning = {name for name, parameter in vit.named_parameters() if parameter.requires_grad}
    assert {"classifier.weight", "classifier.bias"} <= learning
    assert all(".lora_" in name or name.startswith("classifier") for name in learning)
    assert sum(".lora_A." in name for name in learning) == 2 * 6


def test_lora_targets_alpha_and_rank_are_heeded(make_config: Make, vit: nn.Module) -> None:
    names = sorted({n.rpartition(".")[2] for n, m in vit.named_modules() if isinstance(m, nn.Linear)} - {"classifier"})
    add_lora(vit, make_config(lora_rank=3, lora_alpha=6, lora_targets=names[0]))
    adapted = {name: module for name, module in vit.named_modules() if hasattr(module, "lora_A")}
    assert {name.rpartition(".")[2] for name in adapted} == {names[0]}
    assert {module.scaling["default"] for module in adapted.values()} == {2.0}
    assert {module.lora_A["default"].weight.shape[0] for module in adapted.values()} == {3}


def test_lora_targets_that_no_layer_has_are_refused(make_config: Make, vit: nn.Module) -> None:
    with pytest.raises(ConfigError, match="qeury; there are"):
        add_lora(vit, make_config(lora_rank=2, lora_targets=("qeury",)))


def test_a_net_of_convolutions_gets_updates_beside_them(make_config: Make, tiny_model: Path) -> None:
    model = build(read_flavour(str(tiny_model), None, SIZE), CLASSES, False, 0, lambda _: None)
    add_lora(model, make_config(lora_rank=2))
    assert any(".lora_A." in name for name, _ in model.named_parameters())


def test_merged_weights_compute_what_the_updates_do_and_come_off_again(make_config: Make, vit: nn.Module) -> None:
    plain = set(vit.state_dict())
    add_lora(vit, make_config(lora_rank=2))
    for name, parameter in vit.named_parameters():
        if ".lora_B." in name:
            nn.init.normal_(parameter, std=0.1)
    images = torch.randn(2, 3, SIZE, SIZE)
    vit.eval()
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    expected = vit(pixel_values=images).logits
    with merged_weights(vit) as exported:
        assert set(exported) == plain
        assert torch.allclose(vit(pixel_values=images).logits, expected, atol=1e-5)
    assert all(torch.equal(value, before[name]) for name, value in vit.state_dict().items())
    assert torch.equal(vit(pixel_values=images).logits, expected)
    assert {n for n, p in vit.named_parameters() if p.requires_grad and "classifier" not in n} == {
        n for n in before if ".lora_" in n
    }


@pytest.mark.parametrize("changes", [{}, {"ema_decay": 0.9}], ids=["plain", "ema"])
def test_lora_leaves_a_plain_model_and_goes_on_bit_equal(
    vit_config: Make, tmp_path: Path, tiny_vit: Path, changes: dict[str, Any]
) -> None:
    config = vit_config(lora_rank=2, lora_alpha=8, **changes)
    outcome = train(config, tmp_path / "whole")
    resumed(config, tmp_path / "parts", 5)
    best = outcome.folder / "checkpoints/best"
    model, info = AutoModelForImageClassification.from_pretrained(best, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert model.config.id2label == {i: f"digit-{i}" for i in range(4)}
    base = AutoModelForImageClassification.from_pretrained(tiny_vit).state_dict()
    moved = {name for name, value in model.state_dict().items() if not torch.equal(value, base[name])}
    assert {name.rpartition(".")[2] for name in moved if "classifier" not in name} == {"weight"}
    assert len(moved) > 2 * 6
    assert same_files(*(tmp_path / name / "checkpoints/last" for name in ("whole", "parts")), "model.safetensors")


# ── dropout, stochastic depth, recomputed activations ───────────────────────────────────────────────────────────
def test_dropout_and_drop_path_are_those_of_the_config(make_config: Make, tiny_vit: Path, tmp_path: Path) -> None:
    flavour = read_flavour(str(tiny_vit), None, None)
    model = build(with_dropout_rates(flavour, make_config(dropout=0.4)), CLASSES, True, 0, lambda _: None)
    assert {module.p for module in model.modules() if isinstance(module, nn.Dropout)} >= {0.4}
    (tmp_path / "config.json").write_text(json.dumps(TIMM_VIT))
    timm = with_dropout_rates(read_flavour(str(tmp_path), None, SIZE), make_config(dropout=0.3, drop_path=0.2))
    inner = build(timm, CLASSES, False, 0, lambda _: None).timm_model
    assert inner.head_drop.p == 0.3
    assert inner.blocks[-1].drop_path1.drop_prob == pytest.approx(0.2)


def test_an_architecture_without_drop_path_says_so(make_config: Make, tiny_model: Path) -> None:
    with pytest.raises(ConfigError, match="resnet has no drop path") as caught:
        with_dropout_rates(read_flavour(str(tiny_model), None, None), make_config(drop_path=0.1))
    assert caught.value.problems[0].field == "drop_path"


def test_dropout_and_drop_path_draw_on_exactly_after_a_stop(make_config: Make, tmp_path: Path) -> None:
    model = tmp_path / "swin"
    model.mkdir()
    swin = {"model_type": "swin", "architectures": ["SwinForImageClassification"], "embed_dim": 8, "image_size": SIZE}
    (model / "config.json").write_text(
        json.dumps(swin | {"depths": [1, 1], "num_heads": [2, 2], "window_size": 2, "patch_size": 2})
    )
    config = make_config(model_flavour=str(model), dropout=0.2, drop_path=0.3)
    outcome = train(config, tmp_path / "whole")
    resumed(config, tmp_path / "parts", 6)
    assert same_files(*(tmp_path / name / "checkpoints/last" for name in ("whole", "parts")), "model.safetensors")
    other = train(config.with_changes(drop_path=0.0), tmp_path / "other")
    assert not same_files(outcome.folder / "checkpoints/last", other.folder / "checkpoints/last", "model.safetensors")


def test_recomputed_activations_take_less_memory_and_give_the_same(make_config: Make, tiny_vit: Path) -> None:
    def gradients(**changes: Any) -> tuple[int, list[torch.Tensor]]:
        model = build(read_flavour(str(tiny_vit), None, None), CLASSES, True, 0, lambda _: None)
        prepare_model(model, make_config(**changes))
        begin_epoch(model, make_config(**changes), 0)
        kept: list[int] = []
        torch.manual_seed(0)
        with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t.nbytes) or t, lambda t: t):
            loss = model(pixel_values=torch.ones(8, 3, SIZE, SIZE)).logits.square().sum()
        loss.backward()
        return sum(kept), [parameter.grad for parameter in model.parameters() if parameter.grad is not None]

    (plain, expected), (less, got) = gradients(), gradients(gradient_checkpointing=True)
    assert less < plain / 2
    assert all(torch.equal(a, b) for a, b in zip(expected, got, strict=True))


def test_an_architecture_that_cannot_recompute_says_so(make_config: Make, tiny_model: Path) -> None:
    model = build(read_flavour(str(tiny_model), None, SIZE), CLASSES, False, 0, lambda _: None)
    with pytest.raises(ConfigError, match="resnet cannot recompute"):
        prepare_model(model, make_config(gradient_checkpointing=True))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"lora_rank": 4, "freeze_backbone": True}, "turn freeze_backbone off"),
        ({"unfreeze_epoch": 1}, "turn freeze_backbone on"),
        ({"unfreeze_epoch": 2, "freeze_backbone": True}, "must be less than epochs"),
        ({"unfreeze_blocks": 1}, "set unfreeze_epoch"),
        ({"lora_alpha": 4.0}, "set lora_rank"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(make_config: Make, changes: Any, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        make_config(**changes)


def test_lists_of_names_may_come_as_one_text(make_config: Make) -> None:
    config = make_config(lora_rank=1, lora_targets="query, value,", plugins="")
    assert (config.lora_targets, config.plugins) == (("query", "value"), ())
    assert TrainConfig.parse(config.model_dump_json()) == config


def test_state_of_a_lora_run_holds_the_updates(vit_config: Make, tmp_path: Path) -> None:
    outcome = train(vit_config(lora_rank=2, epochs=1), tmp_path / "run")
    state = checkpoint.load_state((outcome.folder / "checkpoints/last").resolve())
    assert any(".lora_A." in name for name in state["model"])

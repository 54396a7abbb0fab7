"""Under a frozen backbone its features are computed once, and training is the same as through the whole model."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, hardware, train
from imgcls_lab.engine.model.classifier import build, load_exported, read_flavour
from imgcls_lab.engine.model.head_model import HeadModel
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training.inputs import FeatureInputs
from imgcls_lab.engine.training.replay import replay
from imgcls_lab.errors import DivergedError, OutOfMemoryError
from imgcls_lab.events import RunState

from .conftest import curve, of_type, same_files
from .test_resume import stop_after

Make = Callable[..., TrainConfig]
Run = Callable[..., Outcome]
FROZEN: dict[str, Any] = {"freeze_backbone": True, "load_pretrained": True}


@pytest.fixture
def vit(tiny_vit: Path) -> dict[str, Any]:
    return FROZEN | {"model_flavour": str(tiny_vit)}


def views(outcome: Outcome) -> int:
    facts = manifest.read(outcome.folder)
    assert facts is not None
    return int(facts["feature_views"])


def test_features_train_the_head_that_pixels_train(run: Run, vit: dict[str, Any]) -> None:
    kept = run("kept", **vit, augmentation="none", epochs=3)
    anew = run("anew", **vit, augmentation="none", epochs=3, feature_views=0)
    assert (views(kept), views(anew)) == (1, 0)
    torch.testing.assert_close(curve(kept.folder), curve(anew.folder), atol=1e-5, rtol=1e-5)
    assert kept.values == pytest.approx(anew.values, abs=1e-5)
    one, other = (load_file(o.folder / "checkpoints/last/model.safetensors") for o in (kept, anew))
    assert one.keys() == other.keys()
    for name in one:
        torch.testing.assert_close(one[name], other[name], atol=1e-5, rtol=1e-4)


def test_each_epoch_sees_its_view_and_then_the_first_again(run: Run, vit: dict[str, Any]) -> None:
    """With as many views as epochs nothing is repeated, so the curve is that of pixels."""
    anew = run("anew", **vit, augmentation="standard", epochs=4, feature_views=0)
    four = run("four", **vit, augmentation="standard", epochs=4, feature_views=9)
    two = run("two", **vit, augmentation="standard", epochs=4, feature_views=2)
    assert (views(four), views(two)) == (4, 2)
    torch.testing.assert_close(curve(four.folder), curve(anew.folder), atol=1e-5, rtol=1e-5)
    half = len(curve(anew.folder)) // 2
    torch.testing.assert_close(curve(two.folder)[:half], curve(anew.folder)[:half], atol=1e-5, rtol=1e-5)
    assert curve(two.folder)[half:] != pytest.approx(curve(anew.folder)[half:], abs=1e-5)


def test_backbone_is_asked_once_for_each_image_and_view(run: Run, vit: dict[str, Any]) -> None:
    outcome = run(**vit, augmentation="standard", epochs=5, feature_views=2)
    phases = [event.name for event in of_type(outcome.folder, "phase") if "features" in event.name]
    assert list(dict.fromkeys(phases)) == [
        "computing features of validation images",
        "computing features of view 1 of 2",
        "computing features of view 2 of 2",
    ]


@pytest.mark.parametrize("stop_at", [3, 8, 20])
def test_resumed_run_computes_the_same_features(make_config: Make, tmp_path: Path, vit: Any, stop_at: int) -> None:
    config = make_config(**vit, augmentation="heavy", epochs=4, feature_views=3, ema_decay=0.9)
    train(config, tmp_path / "whole")
    stop, on_event = stop_after(stop_at)
    part = train(config, tmp_path / "parts", stop=stop, on_event=on_event)
    assert part.state is RunState.STOPPED
    assert train(config, tmp_path / "parts").state is RunState.SUCCEEDED
    for name in ("model.safetensors", "training_state.safetensors"):
        assert same_files(tmp_path / "whole/checkpoints/last", tmp_path / "parts/checkpoints/last", name)


def test_stop_is_heard_while_features_are_computed(make_config: Make, tmp_path: Path, vit: dict[str, Any]) -> None:
    config, stop = make_config(**vit), threading.Event()

    def on_event(event: Any) -> None:
        if event.type == "phase" and "features of view" in event.name:
            stop.set()

    assert train(config, tmp_path / "run", stop=stop, on_event=on_event).state is RunState.STOPPED
    assert train(config, tmp_path / "run").state is RunState.SUCCEEDED


@pytest.mark.parametrize("changes", [{"mixup": 0.2}, {"unfreeze_epoch": 1}, {"freeze_backbone": False}])
def test_pixels_are_fed_where_features_would_not_do(run: Run, vit: dict[str, Any], changes: dict[str, Any]) -> None:
    assert views(run(**{**vit, **changes})) == 0


def test_what_other_programs_leave_free_does_not_change_what_is_learned(
    make_config: Make, run: Run, vit: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Features of a view are seen again, pixels are augmented anew: the choice is the machine's and not the day's."""
    vit |= {"augmentation": "standard", "epochs": 4, "feature_views": 2, "cache": "off"}
    needed = 4 * 32 * (2 * 120 + 40)
    monkeypatch.setattr(hardware, "free_memory", lambda: 2 * needed)
    assert views(run("little", **vit)) == 2
    monkeypatch.setattr(hardware, "free_memory", lambda: needed)
    with pytest.raises(OutOfMemoryError, match="lower feature_views"):
        train(make_config(**vit), tmp_path / "none")
    monkeypatch.setattr(hardware, "memory", lambda: 8 * needed - 1)
    assert views(run("small", **vit)) == 0


def test_head_alone_gives_the_exported_models_logits(run: Run) -> None:
    outcome = run(**FROZEN | {"load_pretrained": False})
    model, _ = load_exported(outcome.folder / "checkpoints/best")
    values = torch.rand(3, 3, 16, 16)
    head = HeadModel(model.eval()).eval()
    with torch.no_grad():
        assert torch.equal(head(head.features(model, values)).logits, model(pixel_values=values).logits)


def test_dropout_before_the_head_still_drops(tiny_vit: Path, tmp_path: Path) -> None:
    from transformers import MobileNetV2Config, MobileNetV2ForImageClassification

    config = MobileNetV2Config(depth_multiplier=0.35, image_size=32, num_labels=4, classifier_dropout_prob=0.5)
    model = MobileNetV2ForImageClassification(config)
    head = HeadModel(model).train()
    features = torch.ones(2, model.classifier.in_features)
    assert not torch.equal(head(features).logits, head(features).logits)


def test_step_that_broke_on_features_is_replayed(
    make_config: Make, tmp_path: Path, vit: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FeatureInputs, "model_input", lambda _self, stored, _epoch, _images: stored * math.inf)
    with pytest.raises(DivergedError):
        train(make_config(**vit), tmp_path / "run")
    assert replay(tmp_path / "run").output == "classifier"


def test_a_model_with_two_heads_is_fed_pixels(tiny_vit: Path) -> None:
    model = build(read_flavour(str(tiny_vit), None, None), ["a", "b"], True, 0, print)
    model.second_classifier = torch.nn.Linear(2, 2)
    with pytest.raises(ValueError, match="not one module"):
        HeadModel(model)

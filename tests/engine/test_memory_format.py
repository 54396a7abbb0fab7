"""The memory layout of a run: told by the model, recorded, and the one in which images and weights really lie."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import train
from imgcls_lab.engine.model.classifier import build, read_flavour
from imgcls_lab.engine.model.memory_format import pick_memory_format
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training.finders import Trial
from imgcls_lab.engine.training.inputs import PixelInputs
from imgcls_lab.events import RunState
from tests.acceptance import families

from .test_resume import stop_after

Make = Callable[..., TrainConfig]
TRANSFORMERS = {"vit", "deit", "beit", "swin", "dinov2", "timm vit"}
NARROW = {"resnet", "regnet"}  # as small as these are, with strided 1 x 1 convolutions of fewer than 16 channels


@pytest.fixture(scope="module")
def make_wide(make_config: Make, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Makes configs of a ResNet that is wide enough for channels last: 16 channels."""
    config = {
        "model_type": "resnet", "architectures": ["ResNetForImageClassification"], "embedding_size": 16,
        "hidden_sizes": [16, 16, 16, 16], "depths": [1, 1, 1, 1], "layer_type": "basic", "num_channels": 3,
    }  # fmt: skip
    folder = tmp_path_factory.mktemp("wide-resnet")
    (folder / "config.json").write_text(json.dumps(config))
    return functools.partial(make_config, model_flavour=str(folder))


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bool, bool]]:
    """For each batch of a run: whether its images, and whether the weights lie in channels-last memory."""
    found: list[tuple[bool, bool]] = []
    plain = PixelInputs.forward

    def forward(inputs: PixelInputs, values: torch.Tensor) -> torch.Tensor:
        model = inputs.wrapped_model
        weight = next(m.weight for m in model.modules() if isinstance(m, nn.Conv2d) and m.weight.shape[1] > 1)
        found.append(tuple(_last(t) for t in (values, weight)))  # type: ignore[arg-type]
        return plain(inputs, values)

    monkeypatch.setattr(PixelInputs, "forward", forward)
    return found


def _last(tensor: torch.Tensor) -> bool:
    return tensor.is_contiguous(memory_format=torch.channels_last) and not tensor.is_contiguous()


@pytest.mark.parametrize(("said", "last"), [("auto", True), ("on", True), ("off", False)])
def test_images_and_weights_lie_as_the_config_says(
    make_wide: Make, tmp_path: Path, seen: list[tuple[bool, bool]], said: str, last: bool
) -> None:
    train(make_wide(channels_last=said, epochs=1), tmp_path / "run")
    assert set(seen) == {(last, last)}
    assert (manifest.read(tmp_path / "run") or {})["channels_last"] is last


def test_a_resumed_run_keeps_the_layout_that_it_began_with(
    make_wide: Make, tmp_path: Path, seen: list[tuple[bool, bool]], monkeypatch: pytest.MonkeyPatch
) -> None:
    stop, on_event = stop_after(2)
    train(make_wide(channels_last="auto"), tmp_path / "run", stop=stop, on_event=on_event)
    monkeypatch.setattr("imgcls_lab.engine.training.resolve.pick_memory_format", lambda *_: torch.contiguous_format)
    assert train(make_wide(channels_last="auto"), tmp_path / "run").state is RunState.SUCCEEDED
    assert set(seen) == {(True, True)}


@pytest.mark.parametrize("family", families.FAMILIES)
def test_convolutional_nets_train_channels_last_and_transformers_do_not(
    make_config: Make, tmp_path: Path, family: str
) -> None:
    flavour = read_flavour(str(families.write(family, tmp_path / "model")), None, families.image_size(family))
    model = build(flavour, ["a", "b"], False, 0, lambda _: None)
    assert (pick_memory_format(make_config(), model) is torch.channels_last) == (family not in TRANSFORMERS | NARROW)


def test_a_layer_that_would_corrupt_memory_keeps_a_net_from_channels_last(make_config: Make) -> None:
    unsafe, safe = (nn.Sequential(nn.Conv2d(3, n, 3), nn.Conv2d(n, 32, 1, stride=2)) for n in (8, 16))
    assert pick_memory_format(make_config(), unsafe) is torch.contiguous_format
    assert pick_memory_format(make_config(), safe) is torch.channels_last


def test_the_finders_measure_in_the_same_layout(make_wide: Make) -> None:
    for said, last in (("auto", True), ("off", False)):
        trial = Trial(make_wide(channels_last=said), ["a", "b"])
        assert trial.memory_format is (torch.channels_last if last else torch.contiguous_format)
        weight = next(m.weight for m in trial.model.modules() if isinstance(m, nn.Conv2d) and m.kernel_size == (7, 7))
        assert _last(weight) is last

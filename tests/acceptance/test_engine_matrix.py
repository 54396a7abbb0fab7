"""One tiny epoch over every optimizer, schedule, loss, recipe, precision and a dozen model families.

Each run trains, stops in the middle, goes on bit for bit, and what it saved is loaded by plain transformers. A few of
each kind run always; all of them with the slow tests.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import families
import numpy as np
import pytest
import timm.optim
import torch
from PIL import Image
from transformers import AutoModelForImageClassification

from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import Outcome, train
from imgcls_lab.engine.optim.losses import LOSSES
from imgcls_lab.engine.optim.lr_scheduler import SCHEDULES
from imgcls_lab.engine.optim.optimizers import OPTIMIZERS
from imgcls_lab.engine.transforms.augment_recipes import RECIPES
from imgcls_lab.errors import ConfigError
from imgcls_lab.events import Metrics, RunState, read_events

CLASSES = ["blue", "green", "red"]
# always tried; the others with the slow tests
USUAL = {"adamw", "sgd", "lion", "lamb", "muon", "adafactorbv", "adahessian", "cosine", "plateau", "wsd"}


def marked(names: list[str]) -> list[Any]:
    return [pytest.param(name, marks=() if name in USUAL else pytest.mark.slow) for name in names]


@pytest.fixture(scope="module")
def colours(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy squares of three colours, 32 px: 12 of each to train, 4 to validate."""
    root = tmp_path_factory.mktemp("colours")
    random = np.random.default_rng(0)
    for channel, name in enumerate(reversed(CLASSES)):
        for number in range(16):
            pixels = random.integers(0, 120, (32, 32, 3), np.uint8)
            pixels[..., channel] += 120
            folder = root / ("train" if number < 12 else "val") / name
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(folder / f"{number:02d}.png")
    return root


@pytest.fixture(scope="module")
def resnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return families.write("resnet", tmp_path_factory.mktemp("models") / "resnet")


def config_of(root: Path, model: Path, **changes: Any) -> TrainConfig:
    values: dict[str, Any] = {
        "root": str(root),
        "model_flavour": str(model),
        "load_pretrained": False,
        "image_size": 32,
        "augmentation": "light",
        "epochs": 1,
        "batch_size": 6,
        "lr": 1e-3,
        "warmup_epochs": 0.2,
        "device": "cpu",
        "threads": 1,
        "precision": "fp32",
        "cache": "ram",
    }
    return TrainConfig.parse(values | changes)


def trained_and_resumed(config: TrainConfig, folder: Path) -> Outcome:
    """Train it, train it again with a stop in the middle, and hold the ends against each other."""
    whole = train(config, folder / "whole")
    assert whole.state is RunState.SUCCEEDED
    stop = threading.Event()

    def on_event(event: Any) -> None:
        if isinstance(event, Metrics) and event.step == 3:
            stop.set()

    assert train(config, folder / "parts", stop=stop, on_event=on_event).state is RunState.STOPPED
    assert train(config, folder / "parts").state is RunState.SUCCEEDED
    one, other = ((folder / name / "checkpoints/last/model.safetensors").read_bytes() for name in ("whole", "parts"))
    assert one == other, "the resumed run ends with other weights"
    losses = [
        event.values["loss/train"]
        for event in read_events(whole.folder / "events-001.jsonl")[0]
        if isinstance(event, Metrics)
    ]
    assert len(losses) == 6
    assert np.isfinite(losses).all()
    return whole


def show(what: str, reached: str, target: str) -> None:
    print(f"\n{what}: {reached} (target {target})")


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_trains_resumes_and_loads_with_its_labels(family: str, colours: Path, tmp_path: Path) -> None:
    model = families.write(family, tmp_path / "model")
    config = config_of(colours, model, image_size=families.image_size(family))
    outcome = trained_and_resumed(config, tmp_path)
    best = outcome.folder / "checkpoints/best"
    loaded, info = AutoModelForImageClassification.from_pretrained(best, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert loaded.config.id2label == dict(enumerate(CLASSES))
    size = families.image_size(family)
    logits = loaded.eval()(pixel_values=torch.zeros(2, 3, size, size)).logits
    assert logits.shape == (2, 3)
    again = train(config_of(colours, best, image_size=size, load_pretrained=True), tmp_path / "again")
    assert again.state is RunState.SUCCEEDED
    show(family, "trained, resumed bit-equal, loaded with its labels, trained on", "the same")


@pytest.mark.parametrize("name", marked(OPTIMIZERS.names()))
def test_every_optimizer_trains_and_resumes_or_says_why_not(
    name: str, colours: Path, resnet: Path, tmp_path: Path
) -> None:
    config = config_of(colours, resnet, optimizer=name)
    try:
        trained_and_resumed(config, tmp_path)
        said = "trains and resumes"
    except ConfigError as error:
        said = str(error)
        assert f"The optimizer “{name}” cannot be used here (" in said
        assert said.endswith("Try adamw or sgd.")
        assert name.startswith(("bnb", "fused")) or name == "adahessian", said
    show(name, said, "trains and resumes, or a sentence")


def test_the_table_of_optimizers_is_timms() -> None:
    known = timm.optim.list_optimizers()
    show("optimizers by name", f"{len(OPTIMIZERS.names())}", f"{len(known)}, all that timm lists")
    assert OPTIMIZERS.names() == known


@pytest.mark.parametrize("name", marked(SCHEDULES.names()))
def test_every_schedule_trains_and_resumes(name: str, colours: Path, resnet: Path, tmp_path: Path) -> None:
    trained_and_resumed(config_of(colours, resnet, schedule=name), tmp_path)
    show(name, "trains and resumes", "the same")


@pytest.mark.parametrize("mixing", [{}, {"mixup": 0.4, "cutmix": 1.0, "label_smoothing": 0.1}], ids=["plain", "mixed"])
@pytest.mark.parametrize("name", LOSSES.names())
def test_every_loss_trains_and_resumes(
    name: str, mixing: dict[str, float], colours: Path, resnet: Path, tmp_path: Path
) -> None:
    config = config_of(colours, resnet, loss=name, **mixing)
    if name == "asl" and mixing:
        with pytest.raises(ConfigError, match="does not take mixed images"):
            train(config, tmp_path / "run")
    else:
        trained_and_resumed(config, tmp_path)
    show(f"{name}, {'mixed' if mixing else 'plain'}", "trains and resumes", "the same, or a sentence")


@pytest.mark.parametrize("name", RECIPES.names())
def test_every_recipe_trains_and_resumes(name: str, colours: Path, resnet: Path, tmp_path: Path) -> None:
    trained_and_resumed(config_of(colours, resnet, augmentation=name), tmp_path)
    show(name, "trains and resumes", "the same")


@pytest.mark.parametrize("name", ["auto", "fp32", "bf16", "fp16"])
def test_every_precision_trains_and_resumes(name: str, colours: Path, tmp_path: Path) -> None:
    model = families.write("vit", tmp_path / "model")
    config = config_of(colours, model, precision=name)
    if name == "fp16":
        with pytest.raises(ConfigError, match="fp16 needs a GPU"):
            train(config, tmp_path / "run")
    else:
        trained_and_resumed(config, tmp_path)
    show(name, "trains and resumes", "the same, or a sentence")

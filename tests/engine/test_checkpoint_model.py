"""`checkpoints/best` is a model of plain transformers that gives the accuracy the run reported."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

from imgcls_lab.engine import Outcome
from imgcls_lab.engine.inference.predict import evaluate, load, predict
from imgcls_lab.engine.model.classifier import load_exported, read_flavour
from imgcls_lab.engine.transforms import export_processor
from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.geometry import Place, Resize, ShortEdge
from imgcls_lab.engine.transforms.image_processors import spec_of
from imgcls_lab.engine.transforms.preprocessing import EvalSpec
from imgcls_lab.images import decode

SPECS = [
    EvalSpec.default(32),
    EvalSpec((ShortEdge(40), Place(32, 32)), "bicubic", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
    EvalSpec((Resize(36, 36), Place(32, 32)), "bilinear", (0.1, 0.2, 0.3), (0.3, 0.2, 0.1)),
    EvalSpec((ShortEdge(32), Place(32, 32)), "lanczos", (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    EvalSpec((Resize(24, 40),), "nearest", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
]


def accuracy(folder: Path, root: Path) -> float:
    """What a stranger measures: a pipeline on the files."""
    classify = pipeline("image-classification", model=str(folder), device="cpu")
    files = sorted((root / "val").rglob("*.png"))
    answers = classify([str(file) for file in files], top_k=1)
    return float(np.mean([answer[0]["label"] == file.parent.name for answer, file in zip(answers, files, strict=True)]))


@pytest.mark.parametrize(
    "changes", [{}, {"ema_decay": 0.9}, {"precision": "bf16", "image_size": 32}, {"augmentation": "standard"}]
)
def test_pipeline_gives_the_reported_accuracy(
    run: Callable[..., Outcome], digits_source: Path, changes: dict[str, Any]
) -> None:
    outcome = run(epochs=4, **changes)
    best = outcome.folder / "checkpoints/best"
    assert outcome.values["metric/accuracy"] > 0.3
    assert accuracy(best, digits_source) == pytest.approx(outcome.values["metric/accuracy"])
    report = evaluate(best, digits_source, "val")
    assert report.values["metric/accuracy"] == pytest.approx(outcome.values["metric/accuracy"])
    assert report.values["loss/val"] == pytest.approx(outcome.values["loss/val"], rel=1e-4)


def test_exported_model_knows_its_classes(run: Callable[..., Outcome], digits_source: Path) -> None:
    best = run(epochs=3).folder / "checkpoints/best"
    model = AutoModelForImageClassification.from_pretrained(best)
    assert model.config.id2label == {i: f"digit-{i}" for i in range(4)}
    assert model.config.label2id == {f"digit-{i}": i for i in range(4)}
    paths = sorted((digits_source / "val").rglob("*.png"))[:3]
    labels = {answer.classes[0].name for answer in predict(load(best), paths)}
    assert labels <= {f"digit-{i}" for i in range(4)}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.steps[0]}-{spec.interpolation}")
@pytest.mark.parametrize("shape", [(50, 70), (90, 41), (20, 20), (32, 32)])
def test_spec_and_exported_processor_agree_to_the_bit(spec: EvalSpec, shape: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "image.png")
    export_processor.save(spec, tmp_path)
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    theirs = processor(images=Image.open(tmp_path / "image.png"), return_tensors="pt")["pixel_values"]
    ours = normalise(spec.pixels(decode(tmp_path / "image.png"))[None], spec)
    assert torch.equal(ours, theirs)
    assert spec_of(processor) == spec
    assert EvalSpec.from_json(spec.to_json()) == spec


def test_timm_model_is_exported_with_the_spec(run: Callable[..., Outcome], digits_source: Path, tmp_path: Path) -> None:
    from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

    config = TimmWrapperConfig(
        architecture="resnet10t",
        pretrained_cfg={
            "input_size": [3, 64, 64],
            "crop_pct": 0.9,
            "interpolation": "bicubic",
            "mean": [0.4, 0.4, 0.4],
            "std": [0.2, 0.2, 0.2],
        },
        num_labels=7,
    )
    TimmWrapperForImageClassification(config).save_pretrained(tmp_path / "timm")
    spec = read_flavour(str(tmp_path / "timm"), None, None).spec
    assert spec.steps == (ShortEdge(71), Place(64, 64, "centre-even"))
    assert (spec.interpolation, spec.resampler) == ("bicubic", "pillow")
    outcome = run(model_flavour=str(tmp_path / "timm"), load_pretrained=True, image_size=32)
    best = outcome.folder / "checkpoints/best"
    assert load_exported(best)[1] == spec.resized(32)
    assert accuracy(best, digits_source) == pytest.approx(outcome.values["metric/accuracy"])


def test_another_image_size_is_built_into_a_transformer(
    run: Callable[..., Outcome], tiny_vit: Path, digits_source: Path
) -> None:
    outcome = run(model_flavour=str(tiny_vit), load_pretrained=True, image_size=24)
    best = outcome.folder / "checkpoints/best"
    assert AutoModelForImageClassification.from_pretrained(best).config.image_size == 24
    assert accuracy(best, digits_source) == pytest.approx(outcome.values["metric/accuracy"])

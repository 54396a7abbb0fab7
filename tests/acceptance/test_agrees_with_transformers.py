"""Classes and probabilities of two dozen models, each with a processor of its own kind, against plain transformers.

The models are tiny and have random weights; their heads are given some weight, so that a wrong pixel changes a class.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as t
from PIL import Image

from imgcls_lab.cli import main

CLASSES = ("ant", "bee", "cat", "dog", "eel")
SHAPES = [(150, 100), (97, 131), (61, 240), (40, 44), (300, 200)]  # width, height: odd, long, small, large
TRANSFORMER = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32}
STAGES = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
SQUARE_64 = {"size": {"height": 64, "width": 64}}
EDGE_72_CROP_64 = {"size": {"shortest_edge": 72}, "crop_size": {"height": 64, "width": 64}}
PYRAMID = {
    "num_channels": 3,
    "depths": [1, 1, 1, 1],
    "sr_ratios": [8, 4, 2, 1],
    "hidden_sizes": [8, 8, 16, 16],
    "num_attention_heads": [1, 1, 2, 2],
}

# architecture -> (config class, its sizes, processor class, its sizes): what is not named stays at its own default
MODELS: dict[str, tuple[str, dict[str, Any], str, dict[str, Any]]] = {
    "vit": ("ViT", {**TRANSFORMER, "image_size": 64, "patch_size": 16}, "ViT", SQUARE_64),
    "deit": ("DeiT", {**TRANSFORMER, "image_size": 64, "patch_size": 16}, "DeiT", EDGE_72_CROP_64),
    "beit": ("Beit", {**TRANSFORMER, "image_size": 64, "patch_size": 16}, "Beit", SQUARE_64),
    "dinov2": ("Dinov2", {**TRANSFORMER, "image_size": 64, "patch_size": 16}, "Bit", EDGE_72_CROP_64),
    "swin": (
        "Swin",
        {"embed_dim": 8, "depths": [1, 1], "num_heads": [2, 2], "window_size": 4, "image_size": 64, "patch_size": 4},
        "ViT",
        SQUARE_64,
    ),
    "convnextv2": ("ConvNextV2", {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}, "ConvNext", {}),
    "resnet": ("ResNet", {**STAGES, "layer_type": "basic"}, "ConvNext", {"size": {"shortest_edge": 384}}),
    "regnet": ("RegNet", {**STAGES, "groups_width": 8}, "ConvNext", {"size": {"shortest_edge": 96}, "crop_pct": 0.8}),
    "mobilenet_v1": ("MobileNetV1", {"depth_multiplier": 0.25}, "MobileNetV1", {}),
    "mobilenet_v2": ("MobileNetV2", {"depth_multiplier": 0.25}, "MobileNetV2", {}),
    "mobilevit": (
        "MobileViT",
        {"hidden_sizes": [16, 24, 32], "neck_hidden_sizes": [8, 8, 16, 16, 24, 32, 40]},
        "MobileViT",
        {},
    ),
    "mobilevitv2": ("MobileViTV2", {"width_multiplier": 0.25}, "MobileViT", {"do_flip_channel_order": False}),
    "efficientnet": (
        "EfficientNet",
        {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320},
        "EfficientNet",
        {"size": {"height": 96, "width": 96}},
    ),
    "efficientnet with offset": (
        "EfficientNet",
        {"width_coefficient": 0.25, "depth_coefficient": 0.2, "hidden_dim": 320},
        "EfficientNet",
        {"size": {"height": 64, "width": 96}, "rescale_factor": 1 / 127.5, "rescale_offset": True},
    ),
    "levit": (
        "Levit",
        {
            "hidden_sizes": [16, 24, 32],
            "num_attention_heads": [2, 2, 2],
            "depths": [1, 1, 1],
            "key_dim": [8, 8, 8],
        },
        "Levit",
        {},
    ),
    "poolformer": (
        "PoolFormer",
        {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16]},
        "PoolFormer",
        {},
    ),
    "pvt": ("Pvt", {**PYRAMID, "image_size": 64, "num_labels": len(CLASSES)}, "Pvt", SQUARE_64),
    "segformer": (
        "Segformer",
        {**PYRAMID, "decoder_hidden_size": 16},
        "Segformer",
        {"size": {"height": 64, "width": 96}},
    ),
    "clip": ("CLIP", {}, "CLIP", {"size": {"shortest_edge": 64}, "crop_size": {"height": 64, "width": 64}}),
    "siglip": ("Siglip", {}, "Siglip", SQUARE_64),
    "textnet": ("TextNet", {}, "TextNet", {**EDGE_72_CROP_64, "do_center_crop": True}),
    "focalnet": (
        "FocalNet",
        {"embed_dim": 8, "depths": [1, 1], "focal_levels": [1, 1], "focal_windows": [3, 3], "image_size": 64},
        "Bit",
        EDGE_72_CROP_64,
    ),
    "perceiver": (
        "Perceiver",
        {"num_latents": 8, "d_latents": 32, "num_self_attends_per_block": 1, "num_blocks": 1, "image_size": 64},
        "Perceiver",
        {"size": {"height": 64, "width": 64}, "crop_size": {"height": 72, "width": 72}},
    ),
}
VISION = {**TRANSFORMER, "image_size": 64, "patch_size": 16}


def config_of(name: str, sizes: dict[str, Any]) -> Any:
    labels = {"id2label": dict(enumerate(CLASSES)), "label2id": {name: i for i, name in enumerate(CLASSES)}}
    if name in ("CLIP", "Siglip"):
        return getattr(t, f"{name}Config")(vision_config=VISION, text_config=TRANSFORMER, **labels)
    return getattr(t, f"{name}Config")(**sizes, **labels)


def save(architecture: str, folder: Path) -> None:
    """A model with random weights that tells the test's images apart, beside its processor."""
    config_name, sizes, processor_name, fields = MODELS[architecture]
    torch.manual_seed(0)
    model = model_class(config_name)(config_of(config_name, sizes))
    processor = getattr(t, f"{processor_name}ImageProcessor")(**fields)
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d | torch.nn.BatchNorm1d):
            module.momentum = 1.0
        if isinstance(module, torch.nn.Conv2d | torch.nn.Linear):
            torch.nn.init.kaiming_normal_(module.weight)
    with torch.no_grad():
        images = [picture(seed, shape) for seed, shape in enumerate(SHAPES)]
        values = torch.cat([processor(image, return_tensors="pt")["pixel_values"] for image in images])
        model.train()(values)  # the statistics of batch norm
        logits = model.eval()(values).logits
        head = [layer for layer in model.modules() if getattr(layer, "out_features", 0) == len(CLASSES)][-1]
        steepness = 2 / logits.std(dim=0)
        head.weight.mul_(steepness.reshape(-1, *[1] * (head.weight.ndim - 1)))
        head.bias.copy_((head.bias - logits.mean(dim=0)) * steepness)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def model_class(name: str) -> Any:
    kind = "ForImageClassificationLearned" if name == "Perceiver" else "ForImageClassification"
    return getattr(t, name + kind)


def picture(seed: int, shape: tuple[int, int]) -> Image.Image:
    """Smooth blobs of all colours, as a photograph has them."""
    width, height = shape
    blobs = np.random.default_rng(seed).integers(0, 256, (max(2, height // 12), max(2, width // 12), 3), np.uint8)
    return Image.fromarray(blobs).resize(shape, Image.Resampling.BICUBIC)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("photos")
    for number, shape in enumerate(SHAPES * 2):
        folder = root / "val" / CLASSES[number % len(CLASSES)]
        folder.mkdir(parents=True, exist_ok=True)
        picture(number, shape).save(folder / f"{number}.png")
    for name in CLASSES:
        (root / "train" / name).mkdir(parents=True)
        picture(100, (40, 40)).save(root / "train" / name / "0.png")
    return root


@pytest.fixture
def imgcls(capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Run a command with --json and return what it printed."""

    def run(*words: object) -> Any:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main([*(str(word) for word in words), "--json"])
        said = capsys.readouterr()
        assert exit_.value.code in (0, None), said.err
        return json.loads(said.out)

    return run


@pytest.mark.parametrize("architecture", MODELS)
def test_every_image_gets_the_class_and_probability_of_the_pipeline(
    architecture: str, photos: Path, tmp_path: Path, imgcls: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "model"
    save(architecture, model)
    files = sorted((photos / "val").rglob("*.png"))
    pipeline: Any = t.pipeline("image-classification", model=str(model), device="cpu")
    theirs = [
        {answer["label"]: answer["score"] for answer in answers}
        for answers in pipeline([str(file) for file in files], top_k=len(CLASSES), function_to_apply="softmax")
    ]
    rows = imgcls("predict", model, *files, "--top", len(CLASSES))
    ours = [{answer["name"]: answer["prob"] for answer in row["classes"]} for row in rows]
    apart = max(abs(a[name] - b[name]) for a, b in zip(theirs, ours, strict=True) for name in CLASSES)
    flips = sum(max(a, key=a.__getitem__) != max(b, key=b.__getitem__) for a, b in zip(theirs, ours, strict=True))

    right = np.array([answer[file.parent.name] for answer, file in zip(theirs, files, strict=True)])
    best = [max(answer, key=answer.__getitem__) == file.parent.name for answer, file in zip(theirs, files, strict=True)]
    report = imgcls("evaluate", model, "--root", photos, "--split", "val")["values"]
    with capsys.disabled():
        print(f"\n{architecture}: probabilities apart {apart:.1e} (target 1e-4), other classes {flips} (target 0)")
    assert len({max(answer, key=answer.__getitem__) for answer in theirs}) > 1, "the random model tells nothing apart"
    assert flips == 0
    assert apart <= 1e-4
    assert report["metric/accuracy"] == pytest.approx(np.mean(best))
    assert report["loss/val"] == pytest.approx(-np.log(np.maximum(right, 1e-12)).mean(), abs=1e-3, rel=1e-4)

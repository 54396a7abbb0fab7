"""Tiny models of many families, as the config.json that each is built from: a few thousand weights, 32 or 64 px."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

_TRANSFORMER = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 32,
    "patch_size": 8,
}
_STAGES = {"embedding_size": 8, "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
_TIMM = {"model_type": "timm_wrapper", "num_classes": 3}
_TIMM_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 16, "depth": 2, "num_heads": 2}

FAMILIES: dict[str, dict[str, Any]] = {
    "vit": {"model_type": "vit", **_TRANSFORMER},
    "deit": {"model_type": "deit", **_TRANSFORMER},
    "beit": {"model_type": "beit", **_TRANSFORMER},
    "dinov2": {"model_type": "dinov2", **_TRANSFORMER, "mlp_ratio": 2},
    "swin": {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [1, 1],
        "num_heads": [2, 2],
        "window_size": 4,
        "image_size": 32,
        "patch_size": 4,
    },
    "convnextv2": {"model_type": "convnextv2", "hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]},
    "resnet": {"model_type": "resnet", **_STAGES, "layer_type": "basic"},
    "regnet": {"model_type": "regnet", **_STAGES, "groups_width": 8},
    "mobilenet_v2": {"model_type": "mobilenet_v2", "depth_multiplier": 0.25, "image_size": 32},
    "efficientnet": {
        "model_type": "efficientnet",
        "image_size": 32,
        "width_coefficient": 0.25,
        "depth_coefficient": 0.2,
        "hidden_dim": 320,
    },
    "levit": {
        "model_type": "levit",
        "image_size": 64,
        "hidden_sizes": [16, 24, 32],
        "num_attention_heads": [2, 2, 2],
        "depths": [1, 1, 1],
        "key_dim": [8, 8, 8],
    },
    "timm vit": {
        "model_type": "timm_wrapper",
        "architecture": "vit_tiny_patch16_224",
        "model_args": _TIMM_VIT,
        "num_classes": 3,
    },
    "timm resnet": {"model_type": "timm_wrapper", "architecture": "test_resnet", "num_classes": 3},
    "timm efficientnet": {"model_type": "timm_wrapper", "architecture": "test_efficientnet", "num_classes": 3},
}


def image_size(family: str) -> int:
    return int(FAMILIES[family].get("image_size", 32))


def write(family: str, folder: Path) -> Path:
    """A folder with the family's config.json and no weights."""
    config = dict(FAMILIES[family])
    names = MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES[config["model_type"]]
    config["architectures"] = [names if isinstance(names, str) else names[0]]
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    return folder

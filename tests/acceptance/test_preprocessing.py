"""Every image processor that transformers pairs with an image classifier: read right, or refused by its name."""

from __future__ import annotations

from typing import Any

import numpy as np
import transformers
from PIL import Image
from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from imgcls_lab.engine.transforms.augment import normalise
from imgcls_lab.engine.transforms.processor_parity import verified_spec, verify_export
from imgcls_lab.errors import ModelError

NO_PICTURES = ("ImageGPT", "Siglip2")  # they make no picture of an image, so they are none of the 39
SHAPES = [(90, 71), (211, 199), (333, 501), (61, 300), (480, 37)]
WANTED = 33


def processors() -> dict[str, Any]:
    """At their own defaults, both the class with torchvision and its twin with Pillow; timm's needs a model."""
    paired = [IMAGE_PROCESSOR_MAPPING_NAMES.get(kind) or {} for kind in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES]
    names = {name for classes in paired for name in classes.values() if name and not name.startswith("Timm")}
    return {name: getattr(transformers, name)() for name in sorted(names)}


def test_no_processor_of_transformers_is_read_wrong() -> None:
    right, wrong, refused = [], [], {}
    for name, processor in processors().items():
        try:
            spec = verified_spec(processor)
            verify_export(spec)
        except ModelError as error:
            refused[name] = str(error)
            continue
        worst = 0.0
        huge = spec.shape[0] * spec.shape[1] > 1_000_000  # a page's; an image takes a second
        for number, shape in enumerate(SHAPES[: 1 if huge else None]):
            image = np.random.default_rng(number).integers(0, 256, (*shape, 3), np.uint8)
            theirs = processor(images=Image.fromarray(image), return_tensors="pt")["pixel_values"]
            ours = normalise(spec.pixels(image)[None], spec)
            worst = max(worst, float((ours - theirs).abs().max()) if ours.shape == theirs.shape else np.inf)
        (right if worst < 1e-5 else wrong).append(name)
    pictures = {name: why for name, why in refused.items() if not name.startswith(NO_PICTURES)}
    total = len(right) + len(wrong) + len(pictures)
    print(f"\nprocessors: read right {len(right)} of {total} (target: {WANTED} of 39), silently wrong {len(wrong)}")
    for name, why in refused.items():
        print(f"  refused: {why[:150]} ...")
        assert name in why
    assert not wrong
    assert total >= 39
    assert len(right) >= WANTED
    assert all(name.startswith(("TextNet", *NO_PICTURES)) for name in refused)

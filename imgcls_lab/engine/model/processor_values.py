"""What of a processor's file transformers may read: numbers under any name, and texts under a few.

A processor is a class of transformers and the numbers of its fields. A text could name code, a program's arguments or a
device, so a text that is not known to be harmless is refused. Called where a model's files are read.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from transformers.models.auto import image_processing_auto
from transformers.models.auto.modeling_auto import MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES

from imgcls_lab.engine.model.load_errors import needs_own_code
from imgcls_lab.model_folder import NESTED_PROCESSOR, ModelFileError

MAX_EDGE = 4096  # px, as of TrainConfig.image_size
_KINDS = ("image_processor_type", "feature_extractor_type")
_PASSED_ON = frozenset({"data_format", "input_data_format", "interpolation", "resample"})  # texts that choose an option
_LEFT_OUT = frozenset(  # texts and mappings of other programs, which no image needs
    {"auto_map", "device", "name_or_path", "processor_class", "return_tensors", "transformers_version"}
)
_SIZES = frozenset({"size", "crop_size", "pad_size", "resize_short", "size_divisor"})
_MAPPING: dict[str, dict[str, str | None]] = vars(image_processing_auto)["IMAGE_PROCESSOR_MAPPING_NAMES"]
CLASSES = frozenset(
    name.removesuffix("Pil")
    for kind in MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING_NAMES
    for name in _MAPPING.get(kind, {}).values()
    if name
)


def allowed_processor(model: str, file: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values of preprocessor_config.json or processor_config.json that transformers may read.

    Raises ModelFileError for a value that no processor needs, ModelError for a processor that is code of the model's.
    """
    if file == NESTED_PROCESSOR:
        nested = values.get("image_processor")
        return {"image_processor": _allowed(model, file, nested)} if isinstance(nested, dict) else {}
    return _allowed(model, file, values)


def _allowed(model: str, file: str, values: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in values.items():
        if name in _KINDS:
            if value is not None:
                found[name] = _known_kind(model, file, value, values)
        elif name in _LEFT_OUT or name.startswith("_"):
            continue
        elif _are_numbers(value) or (name in _PASSED_ON and isinstance(value, str)):
            _check_size(file, name, value)
            found[name] = value
        else:
            raise ModelFileError(file, f"has a {name[:60]} that is no number and no size ({str(value)[:60]})")
    return found


def _known_kind(model: str, file: str, kind: Any, values: Mapping[str, Any]) -> str:
    """The name of a processor. Raises ModelFileError, ModelError unless an image classifier has it."""
    text = str(kind).replace("FeatureExtractor", "ImageProcessor")
    if text.removesuffix("Fast").removesuffix("Pil") in CLASSES:
        return str(kind)
    if "auto_map" in values:
        raise needs_own_code(model)
    raise ModelFileError(file, f"names no image processor of transformers that image classifiers have ({text[:60]})")


def _are_numbers(value: Any) -> bool:
    if isinstance(value, dict | list):
        return all(map(_are_numbers, value.values() if isinstance(value, dict) else value))
    return value is None or isinstance(value, bool | int | float)


def _check_size(file: str, name: str, value: Any) -> None:
    """Raises ModelFileError for an image that nobody trains on: a processor is tried on images of its size."""
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else (value,)
    for part in parts if name in _SIZES else ():
        if isinstance(part, int | float) and part > MAX_EDGE:
            raise ModelFileError(file, f"has a {name} of {part:,} px, and at most {MAX_EDGE:,} px are taken")

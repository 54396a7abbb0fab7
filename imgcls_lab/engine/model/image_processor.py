"""The image processor that comes with a model: loaded, or certainly missing, or an error that names its file.

Called by `classifier.read_flavour`. Never runs code from a model's folder, and hides no error.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from transformers import AutoImageProcessor, PreTrainedConfig
from transformers.utils.hub import cached_file

from imgcls_lab.engine.model.load_errors import first_sentence, needs_code, unloadable
from imgcls_lab.errors import ModelError


def processor_of_model(name: str, where: dict[str, Any], config: PreTrainedConfig) -> Any:
    """The image processor that comes with a model; None if none does. Raises ModelError for one that cannot load."""
    try:
        return AutoImageProcessor.from_pretrained(name, **where)  # type: ignore[no-untyped-call]
    except Exception as error:  # OSError for none, and whatever a class meets in a file
        if isinstance(error, MemoryError) or needs_code(str(error)):
            raise unloadable(name, error) from error
        file = _processor_file(name, where, config)
        if file is None:
            return None
        raise ModelError(
            f"The {file} of the model “{name}”, which says how its images are prepared, {_reason(error)}. Correct it, "
            "or take that of the model from which this one was made."
        ) from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "valid JSON" in text:
        return "is not valid JSON"
    if "Unrecognized image processor" in text:
        return "names no image processor of transformers"
    return f"cannot be used: {type(error).__name__}: {first_sentence(text).removesuffix('.')}"


def _processor_file(name: str, where: dict[str, Any], config: PreTrainedConfig) -> str | None:
    """The file of a model that describes its image processor; None if there is none. Raises ModelError."""
    try:
        found = {
            file: cached_file(name, file, **_without_trust(where), _raise_exceptions_for_missing_entries=False)
            for file in ("processor_config.json", "preprocessor_config.json")
        }
        nested = found["processor_config.json"]
        if nested and "image_processor" in Path(nested).read_text(encoding="utf-8", errors="replace"):
            return "processor_config.json"
    except OSError as error:  # whether there is one is unknown without the hub
        raise unloadable(name, error) from error
    if found["preprocessor_config.json"]:
        return "preprocessor_config.json"
    return "config.json" if getattr(config, "pretrained_cfg", None) else None


def _without_trust(where: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in where.items() if key != "trust_remote_code"}

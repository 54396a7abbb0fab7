"""The image processor that comes with a model: loaded, or certainly missing, or an error that names its file.

Called by `classifier.read_flavour` and by the check of an export. Runs no code of a model's folder and hides no error.
"""

from __future__ import annotations

from typing import Any

from imgcls_lab import model_folder
from imgcls_lab.engine.model.load_errors import first_sentence
from imgcls_lab.engine.model.loading import ModelFiles, load_processor, refused
from imgcls_lab.model_folder import ModelFileError


def processor_of_model(files: ModelFiles) -> Any:
    """The image processor that comes with a model; None if none does. Raises ModelError for one that cannot load."""
    try:
        return load_processor(files)
    except MemoryError:
        raise
    except Exception as error:  # OSError for none, and whatever a class meets in a file
        file = _processor_file(files)
        if file is None:
            return None
        raise refused(files.name, ModelFileError(file, _reason(error))) from error


def _reason(error: Exception) -> str:
    text = str(error)
    if "Unrecognized image processor" in text:
        return "names no image processor of transformers"
    return f"cannot be used: {type(error).__name__}: {first_sentence(text).removesuffix('.')}"


def _processor_file(files: ModelFiles) -> str | None:
    """The file of a model that describes its image processor; None if there is none."""
    if files.processors.get(model_folder.NESTED_PROCESSOR):
        return model_folder.NESTED_PROCESSOR
    if model_folder.PROCESSOR in files.processors:
        return model_folder.PROCESSOR
    return model_folder.CONFIG if files.config.get("pretrained_cfg") else None

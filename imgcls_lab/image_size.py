"""What an empty image_size costs if the images are much smaller than the model's input.

Asked before a run starts by the form, `lab.launch`, `lab.train` and the command line. Reads JSON files of the model and
the headers of a few images; imports no torch, asks no hub, decides nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median
from typing import Any

from imgcls_lab import model_folder
from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import DataError
from imgcls_lab.imagefolder import FolderSummary
from imgcls_lab.images import size_of
from imgcls_lab.model_folder import ModelFileError
from imgcls_lab.plurals import size_text

DEFAULT_SIZE = 224  # px, of a model that says none
MUCH = 2.0  # times smaller
STEP = 32  # px; the suggestion is a multiple, which patches and strides of most models divide


def advice(config: TrainConfig, found: FolderSummary) -> str | None:
    """A sentence with the cost in time and cache, and the field; None where there is nothing to say."""
    if config.image_size is not None:
        return None
    return enlarging(found, native_size(config.model_flavour, config.revision), typical_edge(found.sample))


def enlarging(found: FolderSummary, native: tuple[int, int] | None, edge: int | None) -> str | None:
    """As `advice`, for an empty image_size, of what was read already: the model's size, the images' typical edge."""
    if native is None or edge is None or min(native) < MUCH * edge:
        return None
    height, width = native
    large = f"{height}" if height == width else f"{width} x {height}"
    smaller = STEP * -(-edge // STEP)
    images = found.images("train") + found.images("val")
    return (
        f"The images are about {edge} px and the model was made for {large} px. With image_size empty they are "
        f"enlarged to {large} px: a step takes about {height * width / edge**2:.0f} times as long as at {edge} px, and "
        f"cached images take about {size_text(images * height * width * 3)} instead of "
        f"{size_text(images * edge**2 * 3)}. Set image_size, such as {smaller}, unless that is meant."
    )


def typical_edge(paths: list[str]) -> int | None:
    """The median of the shorter edges, in pixels; None where no image can be read."""
    edges = []
    for path in paths:
        try:
            edges.append(min(size_of(path)))
        except DataError:
            continue  # the scan names it
    return max(1, round(median(edges))) if edges else None


def native_size(flavour: str, revision: str | None) -> tuple[int, int] | None:
    """Height and width of the images that a model was made for, as far as this machine's files say; None: they do not.

    What leads there, such as a crop after a resize, only the engine knows: this is an estimate for a sentence.
    """
    config = _json(flavour, revision, "config.json")
    if config is None:
        return None
    processor = _json(flavour, revision, "preprocessor_config.json")
    if processor is None:
        processor = (_json(flavour, revision, "processor_config.json") or {}).get("image_processor")
    found = None
    if isinstance(processor, dict):
        crop = _shape(processor.get("crop_size")) if processor.get("do_center_crop") else None
        found = crop or _shape(processor.get("size"))
    of_timm = config.get("pretrained_cfg")
    if found is None and isinstance(of_timm, dict):
        found = _shape(of_timm.get("input_size"))
    return found or _shape(config.get("image_size")) or (DEFAULT_SIZE, DEFAULT_SIZE)


def _shape(size: Any) -> tuple[int, int] | None:
    """Height and width of a size as processors and configs write it: 224, [3, 224, 224], {"height": 224, ...}."""
    if isinstance(size, dict):
        short = size.get("shortest_edge")
        size = [size.get("height", short), size.get("width", short)]
    height, width = size[-2:] if isinstance(size, list) and len(size) > 1 else (size, size)
    return (height, width) if isinstance(height, int) and isinstance(width, int) and min(height, width) > 0 else None


def _json(flavour: str, revision: str | None, name: str) -> dict[str, Any] | None:
    """A JSON file of a model's folder, or of the hub's cache; None where there is none that can be read."""
    folder = Path(os.path.expanduser(flavour))
    if not folder.is_dir():
        known = path_in_cache(flavour, revision, name)
        if known is None:
            return None
        folder = Path(known).parent
    try:
        return model_folder.read_json(folder, name)
    except ModelFileError:
        return None  # the run says what is wrong with its model


def path_in_cache(flavour: str, revision: str | None, name: str) -> str | None:
    """The path of a file of a hub's model in the cache on this machine; None where it is not there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(flavour, name, revision=revision)
    except HFValidationError:
        return None
    return found if isinstance(found, str) else None

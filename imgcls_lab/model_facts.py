"""What a model's files on this machine say of it: architecture, parameters, input size, licence, size.

Read for registries from JSON, the headers of safetensors files and the head of the model card. No hub is asked, no
weight is read and nothing is executed. What a file does not say stays empty: a run says what is wrong with it.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from imgcls_lab import image_size, model_folder
from imgcls_lab.config.model import WEIGHTS, is_revision
from imgcls_lab.model_folder import ModelFileError
from imgcls_lab.run_paths import open_plain
from imgcls_lab.schemas import ModelFacts, ModelPlace

CARD = "README.md"
MAX_CARD = 64_000  # bytes of a card, whose head has the licence
MAX_HEADER = 16_000_000  # bytes of the header of a safetensors file
MAX_ENTRIES = 2_000  # of a model's folder that are looked at
MAX_CACHED = 500  # repositories of the hub's cache that are looked at
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")  # of batch norm: kept beside the parameters
_LICENCE = re.compile(r"^license(?:_name)?:\s*[\"']?([A-Za-z0-9][\w.+ -]{0,60}?)[\"']?\s*$", re.MULTILINE)
_REPOSITORY = re.compile(r"models--([\w.-]+?)(?:--([\w.-]+))?")
Stamp = tuple[tuple[str, int, int], ...]


def facts_of(flavour: str, revision: str | None = None) -> ModelFacts:
    """What the files of a model say; of one that is not on this machine only that."""
    folder = folder_of(flavour, revision)
    if folder is None:
        return ModelFacts(place="hub")
    place: ModelPlace = "folder" if os.path.isdir(os.path.expanduser(flavour)) else "cache"
    try:
        found = _read(folder, flavour, revision, _stamp(folder))
    except OSError:  # a folder that may not be read, or went away meanwhile
        return ModelFacts(place=place)
    return found.model_copy(update={"place": place})


def folder_of(flavour: str, revision: str | None = None) -> Path | None:
    """The folder of a model on this machine; None where its config is not here."""
    own = os.path.expanduser(flavour)
    if os.path.isdir(own):
        return Path(own)
    if revision and not is_revision(revision):  # the hub's client would make a path of it
        return None
    known = image_size.path_in_cache(flavour, revision, model_folder.CONFIG)
    return Path(known).parent if known is not None else None


def hub_cache() -> Path:
    """The folder in which the hub's own library keeps what it downloads, for all programs."""
    from huggingface_hub import constants

    return Path(constants.HF_HUB_CACHE)


def cached() -> Iterator[tuple[str, ModelFacts]]:
    """The models for images in the hub's cache on this machine, by their ids, with what their files say."""
    for flavour, _ in _for_images():
        yield flavour, facts_of(flavour)


def cached_repositories() -> list[Path]:
    """The folders of these models, with all of their revisions."""
    return [folder for _, folder in _for_images()]


def _for_images() -> Iterator[tuple[str, Path]]:
    place = hub_cache()
    try:
        with os.scandir(place) as entries:
            names = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError:  # there is no cache yet
        return
    for name in [name for name in names if name.startswith("models--")][:MAX_CACHED]:
        match = _REPOSITORY.fullmatch(name)
        flavour = "/".join(filter(None, match.groups())) if match else ""
        folder = folder_of(flavour) if flavour else None
        if folder is not None and _is_for_images(folder):
            yield flavour, place / name


def _is_for_images(folder: Path) -> bool:
    """Whether a model's folder says how images are prepared: one for texts does not."""
    try:
        config = model_folder.read_json(folder, model_folder.CONFIG) or {}
        return "pretrained_cfg" in config or any(
            model_folder.file_of(folder, name) is not None for name in model_folder.PROCESSORS
        )
    except ModelFileError:
        return False


def _stamp(folder: Path) -> Stamp:
    """Names, times and sizes of the files in a folder: what was read of it holds as long as they stay.

    Raises OSError for a folder that cannot be read.
    """
    found = []
    with os.scandir(folder) as entries:
        for entry in islice(entries, MAX_ENTRIES):
            try:
                facts = entry.stat()
            except OSError:  # a link that leads nowhere
                continue
            found.append((entry.name, facts.st_mtime_ns, facts.st_size))
    return tuple(sorted(found))


@lru_cache(maxsize=512)
def _read(folder: Path, flavour: str, revision: str | None, stamp: Stamp) -> ModelFacts:
    config = _json(folder, model_folder.CONFIG)
    weights, needs = _weights(folder)
    native = image_size.native_size(flavour, revision) if config else None
    return ModelFacts(
        place="folder",
        architecture=_architecture(config),
        parameters=_parameters(weights),
        input_size=list(native) if native else None,
        classes=_classes(config),
        licence=_licence(folder, config),
        size=sum(size for _, _, size in stamp),
        needs=needs,
    )


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        return model_folder.read_json(folder, name) or {}
    except ModelFileError:
        return {}  # the run says what is wrong with its model


def _architecture(config: Mapping[str, Any]) -> str:
    named = config.get("architectures")
    names = [config.get("architecture"), *(named if isinstance(named, list) else ()), config.get("model_type")]
    return next((str(name)[:100] for name in names if isinstance(name, str) and name), "")


def _classes(config: Mapping[str, Any]) -> int | None:
    labels, number = config.get("id2label"), config.get("num_classes")
    if isinstance(labels, dict) and labels:
        return len(labels)
    return number if isinstance(number, int) and number > 0 else None


def _weights(folder: Path) -> tuple[list[Path], int | None]:
    """The files of the weights that are here, and the bytes of those that are not, as far as an index says it."""
    try:
        found = model_folder.weights_of(folder)
        return [path for name, path in found.items() if name not in WEIGHTS[1:]], None
    except ModelFileError:
        total = _json(folder, WEIGHTS[1]).get("metadata", {})
        needed = total.get("total_size") if isinstance(total, dict) else None
        return [], needed if isinstance(needed, int) else None


def _parameters(weights: list[Path]) -> int | None:
    """How many numbers training can change; None where a header cannot be read."""
    if not weights:
        return None
    counts = [_parameters_of(path) for path in weights]
    return sum(count or 0 for count in counts) if all(count is not None for count in counts) else None


def _parameters_of(path: Path) -> int | None:
    try:
        with open_plain(path.parent, path.name) as file:
            length = int.from_bytes(file.read(8), "little")
            tensors = json.loads(file.read(length)) if length <= MAX_HEADER else None
        if not isinstance(tensors, dict):
            return None
        shapes = [
            item["shape"]
            for name, item in tensors.items()
            if name != "__metadata__" and name.rpartition(".")[2] not in _STATISTICS
        ]
        count = sum(math.prod(int(edge) for edge in shape) for shape in shapes)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return count if 0 <= count <= model_folder.MAX_BYTES else None


def _licence(folder: Path, config: Mapping[str, Any]) -> str:
    """As the head of the card names it, else the config: timm's have it."""
    try:
        card = model_folder.file_of(folder, CARD)
        if card is not None:
            with open_plain(card.parent, card.name) as file:
                text = file.read(MAX_CARD).decode(errors="replace")
            found = _LICENCE.findall(text.split("---")[1]) if text.startswith("---") else []
            if found:
                return str(next((name for name in found if name != "other"), found[0]))
    except (ModelFileError, OSError):
        return ""
    images = config.get("pretrained_cfg")
    named = images.get("license") if isinstance(images, dict) else None
    return named[:60] if isinstance(named, str) else ""

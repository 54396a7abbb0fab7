"""Files of the Hugging Face hub's models: found, counted and downloaded into the hub's cache.

Called by `loading`, and by the start of a run, which says how much it downloads. Reads nothing of the files but the
names of the weights' parts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from huggingface_hub import hf_hub_download, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError
from transformers.utils.hub import cached_file, extract_commit_hash

from imgcls_lab import model_folder
from imgcls_lab.config.model import WEIGHTS
from imgcls_lab.engine.model.load_errors import unloadable

_SILENT: dict[str, Any] = {"_raise_exceptions_for_missing_entries": False}


def find(name: str, revision: str | None) -> tuple[Path, str | None]:
    """The folder of a model in the cache, and its commit: all but the weights. Everything comes from one commit.

    Raises ModelError.
    """
    try:
        found = cached_file(name, model_folder.CONFIG, revision=revision)
        commit = extract_commit_hash(found, None) or revision
        for file in model_folder.PROCESSORS:
            cached_file(name, file, revision=commit, **_SILENT)
        cached_file(
            name, model_folder.ADAPTER, revision=commit, _raise_exceptions_for_connection_errors=False, **_SILENT
        )
    except Exception as error:  # the hub's and transformers' own
        raise unloadable(name, error) from error
    assert found is not None  # noqa: S101 - a missing config.json raises
    return Path(found).parent, commit


def missing_bytes(name: str, commit: str | None, folder: Path) -> int:
    """How many bytes of the weights the cache lacks; 0 without a connection. Raises ModelError, ModelFileError."""
    whole, several = WEIGHTS
    try:
        if (size := _missing(name, whole, commit)) is not None:
            return size
        if cached_file(name, several, revision=commit, **_SILENT) is None:
            return 0
        return sum(_missing(name, part, commit) or 0 for part in model_folder.shards_of(folder))
    except OSError as error:
        raise unloadable(name, error) from error


def fetch_weights(name: str, commit: str | None, folder: Path) -> None:
    """Download the weights that the cache lacks. Raises ModelError, ModelFileError."""
    try:
        found = [cached_file(name, file, revision=commit, **_SILENT) for file in WEIGHTS]
        if found[0] is None and found[1] is not None:
            for part in model_folder.shards_of(folder):
                cached_file(name, part, revision=commit)
    except OSError as error:
        raise unloadable(name, error) from error


def _missing(name: str, file: str, commit: str | None) -> int | None:
    """Bytes of a file that the cache lacks; None where the model has no such file, or the hub cannot be asked."""
    known = try_to_load_from_cache(name, file, revision=commit)
    if known is not None:  # its path, or that the model has none
        return 0 if isinstance(known, str) else None
    try:
        found = hf_hub_download(name, file, revision=commit, dry_run=True)
    except EntryNotFoundError:
        return None
    return (found.file_size or 0) if found.will_download else 0

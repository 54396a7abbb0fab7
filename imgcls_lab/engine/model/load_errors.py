"""What transformers and the hub raise where a model cannot be loaded, as one sentence with the remedy.

Called by whatever loads a model, its config or its processor.
"""

from __future__ import annotations

import os

import torch

from imgcls_lab.errors import ModelError


def unloadable(name: str, error: Exception, copy: str | None = None) -> ModelError:
    """What transformers and the hub raise, as one sentence with the remedy. copy: the folder that they read."""
    text = str(error).replace(copy, name) if copy else str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        raise error
    if os.path.isdir(name):
        if "Unrecognized configuration class" in text:
            return ModelError(f"The model “{name}” is no image classifier of transformers. Take another model.")
        return ModelError(f"The model folder “{name}” cannot be loaded: {first_sentence(text)}")
    if "Unrecognized configuration class" in text:
        return ModelError(f"The model “{name}” is no image classifier of transformers. Take another model.")
    if "gated" in text or "401" in text or "403" in text:
        return ModelError(f"The model “{name}” needs a login to the Hugging Face hub: accept its terms and log in.")
    if "is not a local folder and is not a valid model identifier" in text or "Repository Not Found" in text:
        return ModelError(f"There is no model “{name}” on the Hugging Face hub, and no folder of that name. Check it.")
    return ModelError(
        f"The model “{name}” is not on this machine and the Hugging Face hub cannot be reached. Connect to the "
        "network once to download it, or give the folder of a saved model."
        if _no_network(text)
        else f"The model “{name}” cannot be loaded: {first_sentence(text)}"
    )


def needs_own_code(name: str) -> ModelError:
    sentence = f"The model “{name}” needs code of its own, which is not run here. Take another model."
    return ModelError(sentence, reason="code_of_its_own", model=name)


def _no_network(text: str) -> bool:
    signs = ("connect to", "Connection", "offline", "Max retries", "resolve host", "Name or service", "timed out")
    return any(sign in text for sign in signs)


def first_sentence(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else "unknown reason"
    return line if line.endswith(".") else line + "."

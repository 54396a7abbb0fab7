"""Whether a notebook may run its HTML and JavaScript when it opens: Jupyter's own signatures decide.

The notebook runner and a sweep's report sign what they write, by the key in Jupyter's data directory. The server asks
its notary for the signature. What a file says of itself (`metadata.trusted`) counts nowhere.
"""

from __future__ import annotations

import json
import logging
import sqlite3
from pathlib import Path
from typing import Any

import nbformat
from jupyter_core.paths import jupyter_data_dir
from nbformat.sign import NotebookNotary

log = logging.getLogger(__name__)


class NotebookSigner:
    """Signs a notebook each time it is written, and withdraws the signature of the text before: one a notebook.

    A file without a signature opens untrusted, so a signature that cannot be stored is logged and stops nothing.
    """

    def __init__(self, notary: Any = None) -> None:
        """notary: by default that of this user's Jupyter, made at the first signature."""
        self._notary = notary
        self._last: str | None = None

    def sign(self, text: str) -> None:
        """Sign this text of the notebook. Call it before the file is written."""
        try:
            notary = self._notary = self._notary or _notary_of_user()
            digest = notary.compute_signature(read(text))
            if digest != self._last:
                notary.store.store_signature(digest, notary.algorithm)
                if self._last is not None:
                    notary.store.remove_signature(self._last, notary.algorithm)
                self._last = digest
        except (OSError, sqlite3.Error) as error:
            log.warning("The executed notebook could not be signed, so it opens as one that is not trusted: %s", error)


def read(text: str | bytes) -> Any:
    """A NotebookNode of version 4, made from any, without what the file says of its trust. Raises ValueError."""
    try:
        notebook = nbformat.reader.reads(text)  # type: ignore[no-untyped-call]
        if notebook.nbformat != 4:
            notebook = nbformat.convert(notebook, 4)  # type: ignore[no-untyped-call]
        parts = [notebook]
        for cell in notebook.cells:
            parts += [cell, *(cell["outputs"] if cell["cell_type"] == "code" else [])]
        for part in parts:
            part.get("metadata", {}).pop("trusted", None)
        notebook.metadata.pop("signature", None)
        return notebook
    except (AttributeError, KeyError, TypeError, RecursionError, nbformat.ValidationError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def is_signed(notary: Any, digest: str) -> bool:
    """Whether the notary knows this signature. Call it in the thread in which the notary was made."""
    try:
        return bool(notary.store.check_signature(digest, notary.algorithm))
    except sqlite3.Error as error:
        log.warning("The signatures of notebooks cannot be read, so none is trusted: %s", error)
        return False


def marked(notary: Any, notebook: Any, *, trusted: bool) -> str:
    """The notebook's JSON text for JupyterLab, each code cell marked. Untrusted, it also loses its widgets' state.

    A front end may make widgets of that state, and their JavaScript, when the notebook opens.
    """
    if not trusted:
        notebook.metadata.pop("widgets", None)
    notary.mark_cells(notebook, trusted)
    return json.dumps(notebook, ensure_ascii=False)


def _notary_of_user() -> Any:
    """The notary of this user's Jupyter servers, as Jupyter sets it up."""
    folder = Path(jupyter_data_dir())
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return NotebookNotary(data_dir=str(folder))  # type: ignore[no-untyped-call]

"""Training, evaluation and prediction. Knows torch; knows no database, server or notebook.

Importing this package is light: torch comes with the first call.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgcls_lab.engine.outcome import Outcome
    from imgcls_lab.engine.outdir import standalone
    from imgcls_lab.engine.run import train

_HOMES = {
    "Outcome": "imgcls_lab.engine.outcome",
    "train": "imgcls_lab.engine.run",
    "standalone": "imgcls_lab.engine.outdir",
}

__all__ = ["Outcome", "standalone", "train"]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'imgcls_lab.engine' has no attribute '{name}'")

"""Training, evaluation and prediction. Knows torch; knows no database, server or notebook.

Importing this package is light: torch comes with the first call.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from imgcls_lab.engine.data.cache_locations import CacheLocations
    from imgcls_lab.engine.reporting.outcome import Outcome
    from imgcls_lab.engine.training.run import train
    from imgcls_lab.engine.training.standalone import standalone

# Read once, when torch loads its OpenMP library. By default its threads spin for milliseconds while they wait for each
# other, and where another program takes a core, they spin on the one that the awaited thread needs. A short spin is
# as fast on an idle machine (two threads: 3,250 images/s against 3,230) and gives the core away on a busy one.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

_MODULES = {
    "Outcome": "imgcls_lab.engine.reporting.outcome",
    "train": "imgcls_lab.engine.training.run",
    "CacheLocations": "imgcls_lab.engine.data.cache_locations",
    "standalone": "imgcls_lab.engine.training.standalone",
}

__all__ = ["CacheLocations", "Outcome", "standalone", "train"]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'imgcls_lab.engine' has no attribute '{name}'")

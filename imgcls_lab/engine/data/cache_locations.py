"""Where the caches of a home lie: the scan indexes of data sets, decoded images, and compiled models.

Passed to `train` by its caller.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from imgcls_lab.settings import Settings

SCANS = ".scans"  # in the folder of a run that shares no caches
CACHE = ".cache"
COMPILED = ".compiled"


@dataclass(frozen=True)
class CacheLocations:
    """scans, cache, compiled: folders; cache_bytes: most that the second may hold; alone: used by one run only."""

    scans: Path
    cache: Path
    compiled: Path
    cache_bytes: int
    alone: bool = False

    @classmethod
    def of_home(cls, settings: Settings) -> Self:
        return cls(settings.scans_dir, settings.cache_path, settings.compiled_dir, int(settings.cache_gb * 1e9))

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        return cls(**data | {name: Path(data[name]) for name in ("scans", "cache", "compiled")})

    @classmethod
    def private(cls, folder: Path) -> Self:
        """In the run's own folder, for it alone."""
        return cls(folder / SCANS, folder / CACHE, folder / COMPILED, 2**62, alone=True)

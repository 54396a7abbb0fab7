"""What the runs of a home share: the indexes of data sets, and decoded images. Given to `train` by who starts a run."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from imgcls_lab.settings import Settings

SCANS = ".scans"  # in the folder of a run that shares nothing
CACHE = ".cache"


@dataclass(frozen=True)
class Shared:
    """scans, cache: folders; cache_bytes: most that the second may hold; alone: for one run, nobody else reads it."""

    scans: Path
    cache: Path
    cache_bytes: int
    alone: bool = False

    @classmethod
    def of(cls, settings: Settings) -> Self:
        return cls(settings.scans_dir, settings.cache_path, int(settings.cache_gb * 1e9))

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Self:
        data = json.loads(text)
        return cls(**data | {"scans": Path(data["scans"]), "cache": Path(data["cache"])})

    @classmethod
    def nothing(cls, folder: Path) -> Self:
        """A run's own folder in their place."""
        return cls(folder / SCANS, folder / CACHE, 2**62, alone=True)

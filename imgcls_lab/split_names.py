"""Other names of split folders, and the names that they need here: Train/, Validation/, testing/.

Called by `imagefolder`. Renames nothing.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

_WORDS = {
    "train": ("train", "training", "trn"),
    "val": ("val", "valid", "validation", "validate", "dev", "eval", "evaluation"),
    "test": ("test", "testing", "tst"),
}
_SPLIT_OF = {word: split for split, words in _WORDS.items() for word in words}
_NAME = re.compile(rf"({'|'.join(_SPLIT_OF)})[ _-]?(set|data|dataset|images|imgs|split)?")


def split_of(name: str) -> str | None:
    """The split that a folder of this name is meant to be: train, val or test; None: it is none."""
    found = _NAME.fullmatch(name.strip().casefold())
    return _SPLIT_OF[found[1]] if found else None


def renames(there: list[str]) -> dict[str, str]:
    """Folders that are meant to be a split which is not there -> what they must be called."""
    meant = {name: split for name in there if (split := split_of(name)) is not None}
    return {name: split for name, split in meant.items() if split not in there}


def said(renamed: dict[str, str]) -> str:
    """“There is Train/: rename it to train/, and Validation/ to val/.”"""
    first, *others = sorted(renamed, key=lambda name: (list(_WORDS).index(renamed[name]), name))
    rest = "".join(f", and {name}/ to {renamed[name]}/" for name in others)
    return f"There is {first}/: rename it to {renamed[first]}/{rest}."


def unused(root: Path, there: list[str]) -> list[str]:
    """Sentences about folders that are meant to be a split and are none."""
    notes = []
    for name in there:
        split = split_of(name)
        if split is None or name == split:
            continue
        if not (root / split).is_dir():
            notes.append(f"The folder {name}/ is not used; rename it to {split}/ if it should be.")
        elif not os.path.samefile(root / name, root / split):  # one folder, where the system knows no case
            notes.append(f"The folder {name}/ is not used, since there is {split}/.")
    return notes

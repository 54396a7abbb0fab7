"""Where corrected images lie in an exported folder, and so the order in which a run takes them.

Called by the engine, which orders corrected images like this, and by the export: a run on the exported folder then sees
the same images in the same order. Torch-free; opens no file.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from itertools import chain, count


def export_names(paths: Sequence[str], moved: Mapping[int, tuple[str, str]]) -> list[str]:
    """The path inside its class folder of each file of a split, in the same order as `paths`.

    paths: inside the class folders, as CLASS/rest; moved: number of a file -> its new class and the id of the image.
    A file that would lie where another does gets a part of its id into its name.
    """
    names = list(paths)
    taken = {path for number, path in enumerate(paths) if number not in moved}
    for number in sorted(moved):
        label, image = moved[number]
        rest = paths[number].partition(os.sep)[2]
        stem, suffix = os.path.splitext(rest)
        marks = chain(("", f"-{image[:8]}", f"-{image}"), (f"-{image}-{number}" for number in count(2)))
        names[number] = next(
            name for mark in marks if (name := os.path.join(label, f"{stem}{mark}{suffix}")) not in taken
        )
        taken.add(names[number])
    return names

"""Images on which an export is checked: some that a run validated, or some of a data set."""

from __future__ import annotations

import os
from pathlib import Path

from imgcls_lab.engine.inference.export import IMAGES, Known
from imgcls_lab.errors import NotFoundError
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.predictions import read


def of_run(run_folder: Path, root: str, epoch: int | None, *, reported: bool = True) -> list[Known]:
    """Some of the images that a run validated, spread over all, with what it predicted for them at an epoch.

    root: of the images; never the folder that the run's files name. reported: whether that is what the model predicts.
    """
    if epoch is None:
        return []
    try:
        held = read(run_folder, epoch)
    except NotFoundError:
        return []
    root, images = os.path.expanduser(root), held.images
    named = [(i, images.name(i)) for i in range(0, len(images), max(1, len(images) // IMAGES))]
    found = [
        Known(path, images.classes[held.top[i, 0]], float(held.probs[i, 0])) if reported else Known(path)
        for i, path in ((i, os.path.join(root, name)) for i, name in named if _is_inside(name))
    ]
    return [image for image in found if os.path.isfile(image.path)][:IMAGES]


def of_dataset(root: str) -> list[Known]:
    return [Known(path) for path in inspect_folder(Path(root)).sample[:IMAGES]]


def _is_inside(name: str) -> bool:
    return ".." not in name.split("/") and not os.path.isabs(name)

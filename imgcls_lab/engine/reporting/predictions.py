"""The predictions for each image of a split, kept in a run's folder for later analysis. Torch-free.

Written once an epoch by the recorder, read by `Run.predictions` and by export. The format, in docs/evaluation.md:
predictions/val-images.npz names the images once, predictions/epoch-0003.npz holds the five likeliest classes of each
and, under the name `shares`, their probabilities.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab import run_layout, run_paths
from imgcls_lab.errors import DataError, NotFoundError

if TYPE_CHECKING:
    import pandas as pd

    from imgcls_lab.engine.data.image_set import ImageSet
    from imgcls_lab.engine.evaluation.metrics import MetricAccumulator


class StoredPredictions(NamedTuple):
    """The predictions of one evaluation.

    root: folder that the paths are relative to, as it was; paths: str (n,); classes: names in the order of the
    model's outputs; labels: int32 (n,); top: int32 (n, k), the likeliest classes; probs: float16 (n, k).
    """

    root: str
    paths: list[str]
    classes: list[str]
    labels: npt.NDArray[np.int32]
    top: npt.NDArray[np.int32]
    probs: npt.NDArray[np.float16]


def write(folder: Path, name: str, images: ImageSet, classes: list[str], metrics: MetricAccumulator) -> None:
    """Write the predictions for `images` as predictions/NAME.npz, and the list of the images if it is not there."""
    target = folder / run_layout.PREDICTIONS
    target.mkdir(mode=0o700, exist_ok=True)
    digest = _digest(images.paths, classes)
    listing = target / f"{images.split}-images.npz"
    if not listing.exists():
        root = np.asarray(os.fsencode(images.root))
        _save(listing, root=root, paths=images.paths, classes=np.asarray([n.encode() for n in classes]))
    labels, top, probs = metrics.predictions()
    _save(target / f"{name}.npz", images=np.asarray(digest), labels=labels, classes=top, shares=probs)


def read(folder: Path, evaluation: int | str) -> StoredPredictions:
    """The predictions of an epoch, or of "test", in a run's folder. Raises NotFoundError, and DataError if damaged."""
    where, inside = folder / run_layout.PREDICTIONS, f"{run_layout.PREDICTIONS}/{{}}.npz"
    name, split = (evaluation, evaluation) if isinstance(evaluation, str) else (f"epoch-{evaluation:04d}", "val")
    try:
        held, listed = _load(folder, inside.format(name)), _load(folder, inside.format(f"{split}-images"))
        paths, classes = listed["paths"], [bytes(n).decode() for n in listed["classes"]]
        if str(held["images"]) != _digest(paths, classes) or len(paths) != len(held["labels"]):
            raise DataError(f"The predictions “{where / name}.npz” do not belong to the images of {split}-images.npz.")
        root = os.fsdecode(bytes(listed["root"][()]))
        names = [os.fsdecode(bytes(path)) for path in paths]
        return StoredPredictions(root, names, classes, held["labels"], held["classes"], held["shares"])
    except FileNotFoundError:
        raise NotFoundError(f"There are no predictions “{name}” under “{where}”.") from None
    except (OSError, ValueError, KeyError) as error:
        raise DataError(f"The predictions “{name}” under “{where}” cannot be read: {error}") from error


def load_predictions(folder: Path, evaluation: int | str) -> pd.DataFrame:
    """A row for each image: path, label, correct, class_1, prob_1 and so on, the likeliest first. Raises as `read`."""
    import pandas as pd

    held = read(folder, evaluation)
    names = np.asarray(held.classes, dtype=object)
    columns: dict[str, Any] = {
        "path": held.paths,
        "label": names[held.labels],
        "correct": held.top[:, 0] == held.labels,
    }
    for rank in range(held.top.shape[1]):
        columns[f"class_{rank + 1}"] = names[held.top[:, rank]]
        columns[f"prob_{rank + 1}"] = held.probs[:, rank].astype(np.float32)
    return pd.DataFrame(columns)


def _digest(paths: npt.NDArray[np.bytes_], classes: list[str]) -> str:
    """SHA-256 of the images' paths and the classes' names in their order."""
    return hashlib.sha256(b"\0".join([*paths.tolist(), b"", *(name.encode() for name in classes)])).hexdigest()


def _save(path: Path, **arrays: npt.NDArray[Any]) -> None:
    temporary = path.with_name(f".{path.name}")
    np.savez_compressed(temporary, allow_pickle=False, **arrays)
    os.chmod(temporary, 0o600)
    os.replace(temporary, path)


def _load(folder: Path, name: str) -> dict[str, npt.NDArray[Any]]:
    with run_paths.open_plain(folder, name) as file, np.load(file, allow_pickle=False) as stored:
        return dict(stored)

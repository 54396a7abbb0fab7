"""What a data set knows of an image that a run evaluated: its size, its file's state, neighbours, corrections.

Called by `store.evaluations`. Opens the file by `image_lookup` alone, and decodes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from sqlmodel import Session, select

from imgcls_lab import image_lookup
from imgcls_lab.analysis.cache import stored_images
from imgcls_lab.audits.feature_file import FeatureFile, nearest_images
from imgcls_lab.data_files import open_image
from imgcls_lab.data_revision import Change, in_force
from imgcls_lab.errors import ConflictError, DataError, NotFoundError, StoreError
from imgcls_lab.image_files import printable
from imgcls_lab.image_table import ImageTable
from imgcls_lab.predictions import StoredImages
from imgcls_lab.run_paths import read_json
from imgcls_lab.schemas import ImageDetail, Neighbour
from imgcls_lab.settings import Settings
from imgcls_lab.store.revision_rows import newest_number, overlay_of
from imgcls_lab.store.tables import Dataset, Run

NEAREST = 5
MOST_FEATURES = 8  # models whose features are looked into


def file_facts(settings: Settings, folder: Path, root: str, image: str) -> dict[str, Any]:
    """Width, height and size as the newest scan read them, and `problem`: what is wrong with the file now, if anything.

    folder: the run's; root: of its data. Empty for an image without an id.
    """
    if not image:
        return {}
    table = ImageTable.read(settings, root)
    rows = [] if table is None else table.find(image)
    facts: dict[str, Any] = {}
    if table is not None and rows:
        row = table[rows[0]]
        facts = {"width": row.width, "height": row.height, "size": row.size, "problem": row.problem}
    try:
        found = image_lookup.in_run(settings, folder, root, image)
        with open_image(root, found.path) as file:
            facts["size"] = os.fstat(file.fileno()).st_size
    except (NotFoundError, ConflictError, DataError) as error:
        return facts | {"problem": str(error)}
    return facts


def corrected(session: Session, run: Run, detail: ImageDetail) -> tuple[dict[str, Any] | None, str | None]:
    """What the newest revision of the run's data set says of an image, where it is not what the run trained on.

    Returns `ImageDetail.revision`, and a note where the revisions cannot be read.
    """
    image = detail.image.image
    dataset = _dataset(session, run)
    if dataset is None or dataset.id is None or not image:
        return None, None
    newest = newest_number(session, dataset.id)
    trained = run.data_revision or 0
    if newest <= trained:
        return None, None
    try:
        change = _change(session, dataset.id, newest, detail)
        before = _change(session, dataset.id, trained, detail) if trained else None
    except (NotFoundError, StoreError) as error:
        return None, str(error)
    if change is not None and change.excluded:
        return {"number": newest, "excluded": True}, None
    label = change.state if change is not None else before.folder_label if before is not None else None
    if label is None or label == detail.image.label:
        return None, None
    return {"number": newest, "label": label}, None


def nearest(settings: Settings, folder: Path, image: str) -> tuple[list[Neighbour], str]:
    """The images of the run's train/ that are most like an image, by features that an audit kept, and whose these are.

    folder: the run's. The newest features that have this image are taken; none where no audit has computed any.
    """
    try:
        images = stored_images(folder, "train")
    except (NotFoundError, DataError):  # an older run kept no list
        return [], ""
    if images.digests is None or images.labels is None or not image:
        return [], ""
    _, places = np.unique(np.ascontiguousarray(images.digests).view("S32")[:, 0], return_index=True)  # of copies one
    digests = images.digests[places]
    wanted = np.frombuffer(bytes.fromhex(image), np.uint8)[None]
    for name in _feature_files(settings.cache_path):
        try:
            file = FeatureFile(settings.cache_path, name)
            model = str(read_json(settings.cache_path, f"{name}.json")["model"])
            index, similarity = nearest_images(file, digests, wanted, NEAREST)
        except (OSError, ValueError, KeyError, TypeError):  # it was removed meanwhile, or is damaged: as if never kept
            continue
        if len(index) and np.isfinite(similarity).all():
            pairs = zip(places[index].tolist(), similarity.tolist(), strict=True)
            return [_neighbour(images, place, cosine) for place, cosine in pairs], model
    return [], ""


def _feature_files(cache: Path) -> list[str]:
    """The newest of them first."""
    found = [path for path in cache.glob("features-*.json") if path.is_file()]
    found.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return [path.stem for path in found[:MOST_FEATURES]]


def _neighbour(images: StoredImages, place: int, similarity: float) -> Neighbour:
    label = -1 if images.labels is None else int(images.labels[place])
    return Neighbour(
        image=images.image_id(place),
        name=printable(images.name(place)),
        split="train",
        label=images.classes[label],
        similarity=min(1.0, similarity),
    )


def _change(session: Session, dataset_id: int, number: int, detail: ImageDetail) -> Change | None:
    """What a revision says of the image in its split."""
    changes = overlay_of(session, dataset_id, number).by_key
    return in_force(changes, (detail.image.image, detail.image.split))


def _dataset(session: Session, run: Run) -> Dataset | None:
    """The registered data set of a run, else the one that has its folder."""
    if run.dataset_id is not None:
        return session.get(Dataset, run.dataset_id)
    return session.exec(select(Dataset).where(Dataset.root == run.root)).first() if run.root else None

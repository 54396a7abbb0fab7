from __future__ import annotations

import numpy as np

from imgcls_lab.audits.map_json import map_json
from imgcls_lab.schemas.audits import MapView


def test_the_text_of_the_map_has_each_image_in_its_place() -> None:
    count, rng = 5000, np.random.default_rng(0)  # more than a block
    found = {name: rng.integers(0, 1000, count).astype(np.uint16) for name in ("x", "y", "label", "split")}
    found |= {"digest": rng.integers(0, 256, (count, 32)).astype(np.uint8), "method": np.asarray("pca")}
    found |= {"mark_copy": np.array([1, 4999]), "mark_outlier": np.zeros(0, np.int64)}
    view = MapView.model_validate_json(map_json(found, model="m", classes=["“a”"], splits=["train"]))
    assert (view.method, view.model, view.classes, view.splits) == ("pca", "m", ["“a”"], ["train"])
    assert view.marked == {"copy": [1, 4999], "outlier": []}
    assert view.image == [row.tobytes().hex() for row in found["digest"]]
    for name in ("x", "y", "label", "split"):
        assert getattr(view, name) == found[name].tolist()


def test_a_map_of_no_image_is_one() -> None:
    found = {name: np.zeros(0, np.uint16) for name in ("x", "y", "label", "split")}
    found |= {"digest": np.zeros((0, 32), np.uint8), "method": np.asarray("pca")}
    view = MapView.model_validate_json(map_json(found, model="", classes=[], splits=[]))
    assert (view.image, view.marked) == ([], {})

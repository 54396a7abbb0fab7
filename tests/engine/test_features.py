"""Features of images: of any architecture, kept, resumed; of a changed data set those of the new images alone."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForImageClassification, DeiTForImageClassificationWithTeacher

from imgcls_lab import cache_eviction
from imgcls_lab.audits.feature_file import FeatureFile, nearest_images
from imgcls_lab.engine.data.image_set import Reader
from imgcls_lab.engine.inference import features as module
from imgcls_lab.engine.inference.features import (
    FeatureCache,
    ImageFeatures,
    ImageFiles,
    Penultimate,
    Watch,
    compute_features,
    model_digest,
)
from imgcls_lab.engine.inference.predict import Classifier, load
from imgcls_lab.engine.model.structure import head_of

NONE: Watch = Watch(lambda *_: None, lambda: False, lambda _: None)
VIT = {
    "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32, "image_size": 32,
    "patch_size": 16,
}  # fmt: skip
FAMILIES: dict[str, dict[str, Any]] = {
    "vit": VIT,
    "deit": VIT,
    "swin": {"embed_dim": 16, "depths": [1, 1], "num_heads": [1, 2], "window_size": 4, "image_size": 32},
    "convnextv2": {"hidden_sizes": [8, 16, 24, 32], "depths": [1, 1, 1, 1]},
    "resnet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "mobilenet_v2": {"depth_multiplier": 0.25},
    "dinov2": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 28, "patch_size": 14},
    "timm_wrapper": {"architecture": "test_efficientnet"},
}  # fmt: skip


@pytest.mark.parametrize("family", FAMILIES)
def test_features_are_what_gives_the_logits(family: str) -> None:
    """One vector an image, of the width that the head takes; without the head's own layers."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(family, num_labels=3, **FAMILIES[family])
    auto: Any = DeiTForImageClassificationWithTeacher if family == "deit" else AutoModelForImageClassification
    model = (auto(config) if family == "deit" else auto.from_config(config)).eval()
    edge = FAMILIES[family].get("image_size", 32)
    images = torch.randn(3, 3, edge, edge)
    with torch.no_grad():
        found = Penultimate(model)(images)
        heads = head_of(model)
        logits = model(pixel_values=images).logits
        if len(heads) == 1:
            torch.testing.assert_close(heads[0](found), logits, atol=1e-4, rtol=1e-3)
        else:  # DeiT has two heads, each with a token of its own
            means = sum(head(part) for head, part in zip(heads, found.chunk(2, 1), strict=True)) / 2
            torch.testing.assert_close(means, logits, atol=1e-4, rtol=1e-3)
    assert found.ndim == 2
    assert len(found) == 3
    assert not torch.equal(found[0], found[1])


@pytest.fixture
def files(digits: Path) -> ImageFiles:
    return listed(digits)


def listed(root: Path) -> ImageFiles:
    paths = sorted(str(path.relative_to(root)) for path in root.rglob("*.png"))
    digests = [np.frombuffer(hashlib.sha256((root / path).read_bytes()).digest(), np.uint8) for path in paths]
    return ImageFiles(root, np.array([path.encode() for path in paths]), np.stack(digests))


@pytest.fixture
def loaded(tiny_vit: Path) -> Classifier:
    return load(tiny_vit, "cpu")


@pytest.fixture
def compute(loaded: Classifier, tmp_path: Path) -> Callable[..., ImageFeatures | None]:
    def go(files: ImageFiles, watch: Watch = NONE, limit: int = 10**9) -> ImageFeatures | None:
        return compute_features(loaded, files, FeatureCache(tmp_path / "cache", limit, "tiny"), watch)

    return go


@pytest.fixture
def passed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images pass the model, batch by batch."""
    counts: list[int] = []
    encode = module._encoded

    def counting(*arguments: Any) -> Any:
        for rows, features in encode(*arguments):
            counts.append(len(rows))
            yield rows, features

    monkeypatch.setattr(module, "_encoded", counting)
    return counts


def test_features_are_those_of_the_model_and_computed_once(
    compute: Any, files: ImageFiles, loaded: Classifier, passed: list[int], tmp_path: Path
) -> None:
    found = compute(files)
    pixels = Reader(loaded.spec).read(str(files.root / files.paths[7].decode()))[0]
    expected = Penultimate(loaded.model)(module.ImageSet.model_input(None, pixels[None], loaded.spec))  # type: ignore[arg-type]
    np.testing.assert_allclose(found.values[7], expected[0].numpy(), atol=5e-3)
    assert sum(passed) == len(np.unique(files.digests, axis=0)) == 160
    assert np.array_equal(compute(files).values, found.values)
    assert sum(passed) == 160
    assert [(e.kind, e.source, e.images) for e in cache_eviction.entries(tmp_path / "cache")] == [
        ("features", "tiny", 160)
    ]


def test_a_changed_data_set_computes_only_its_new_images(compute: Any, files: ImageFiles, passed: list[int]) -> None:
    before = compute(files)
    target = files.root / files.paths[3].decode()
    target.write_bytes((files.root / files.paths[50].decode()).read_bytes() + b"0")  # bytes after the image
    (files.root / "train/digit-0/new.png").write_bytes((files.root / files.paths[9].decode()).read_bytes())  # a copy
    changed = listed(files.root)
    passed.clear()
    after = compute(changed)
    assert sum(passed) == 1
    assert np.array_equal(after.values[3], before.values[50])
    row = [bytes(path) for path in changed.paths].index(b"train/digit-0/new.png")
    assert np.array_equal(after.values[row], before.values[9])


def test_a_stopped_computation_goes_on_where_it_was(compute: Any, files: ImageFiles, passed: list[int]) -> None:
    assert compute(files, Watch(lambda *_: None, lambda: len(passed) > 1, lambda _: None)) is None
    kept = passed[0]
    passed.clear()
    progress: list[tuple[int, int]] = []
    compute(files, Watch(lambda *seen: progress.append(seen), lambda: False, lambda _: None))
    assert sum(passed) == 160 - kept
    assert progress[0] == (kept, 160)
    assert progress[-1] == (160, 160)


def test_files_that_cannot_be_read_or_were_replaced_have_no_features(compute: Any, files: ImageFiles) -> None:
    (files.root / files.paths[4].decode()).write_bytes(b"nothing")
    (files.root / files.paths[5].decode()).unlink()
    (files.root / files.paths[6].decode()).write_bytes((files.root / files.paths[80].decode()).read_bytes())
    found = compute(files)
    assert sorted(found.errors) == [4, 5, 6]
    assert not found.values[[4, 5, 6]].any()
    assert np.abs(found.values[7:]).sum(1).all()


def test_features_that_find_no_space_are_computed_all_the_same(compute: Any, files: ImageFiles) -> None:
    said: list[str] = []
    found = compute(files, Watch(lambda *_: None, lambda: False, said.append), limit=100)
    assert found.name == ""
    assert len(said) == 1
    assert np.array_equal(found.values, compute(files).values)


def test_kept_features_are_read_without_torch_and_name_the_nearest(
    compute: Any, files: ImageFiles, tmp_path: Path
) -> None:
    found = compute(files)
    file = FeatureFile(tmp_path / "cache", found.name)
    assert np.array_equal(file.rows(file.places(files.digests)), found.values)
    assert file.places(np.zeros((1, 32), np.uint8)).tolist() == [-1]
    index, similarity = nearest_images(file, files.digests, files.digests[:1], 3)
    rows = found.values.astype(np.float32) - found.values.astype(np.float32).mean(0)
    cosines = rows @ rows[0] / np.linalg.norm(rows, axis=1) / np.linalg.norm(rows[0])
    assert 0 not in index
    assert index[0] == np.argsort(-cosines)[1]
    assert (np.diff(similarity) <= 0).all()


def test_a_model_is_known_by_its_weights_without_the_head(loaded: Classifier) -> None:
    before = model_digest(loaded.model)
    weights = loaded.model.state_dict()
    weights["classifier.weight"] += 1
    assert model_digest(loaded.model) == before
    weights["vit.layernorm.weight"] += 1
    assert model_digest(loaded.model) != before

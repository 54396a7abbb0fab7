"""Faults planted into real images, and how well the audit finds them: for the acceptance tests of the audit."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image
from skimage import data as photographs

from imgcls_lab.audits.label_errors import LabelErrors, find_label_errors
from imgcls_lab.audits.linear_heads import OutOfSample
from imgcls_lab.audits.neighbours import nearest, unit_rows
from imgcls_lab.engine.inference.features import FeatureCache, ImageFiles, Watch, compute_features
from imgcls_lab.engine.inference.predict import load
from imgcls_lab.engine.model.pretrained_packages import efficientnet_lite0

RATE = 0.05
FOUND, PRECISION = 0.8, 0.5  # targets
Noise = Literal["symmetric", "in pairs"]
NAMES = (
    "astronaut", "cat", "coffee", "rocket", "brick", "grass", "gravel", "coins", "hubble_deep_field", "moon", "page",
    "camera", "text", "clock", "retina",
)  # fmt: skip


def wrong_labels(truth: np.ndarray, classes: int, noise: Noise, seed: int = 0) -> np.ndarray:
    """The labels with a twentieth of them wrong: any other class, or always the next one."""
    rng = np.random.default_rng(seed)
    labels = truth.copy()
    chosen = rng.permutation(len(truth))[: round(RATE * len(truth))]
    labels[chosen] = (truth[chosen] + (rng.integers(1, classes, len(chosen)) if noise == "symmetric" else 1)) % classes
    return labels


def label_errors(features: np.ndarray, labels: np.ndarray, classes: int) -> LabelErrors:
    rows = unit_rows(features)
    heads = OutOfSample(rows, labels, classes, nearest(rows, 20), groups=np.arange(len(rows)))
    return find_label_errors(heads.blocks, labels, classes)


def judge(what: str, features: np.ndarray, labels: np.ndarray, truth: np.ndarray, classes: int) -> None:
    """Print and assert which part of the planted errors is found, and which part of what is listed was planted."""
    listed = label_errors(features, labels, classes)
    planted = np.flatnonzero(labels != truth)
    hit = np.isin(listed.rows, planted)
    found, precision = hit.sum() / len(planted), hit.mean()
    right = (listed.suggested == truth[listed.rows])[hit].mean()
    print(
        f"\n{what}: {found:.1%} found (target {FOUND:.0%}) at a precision of {precision:.1%} (target {PRECISION:.0%}); "
        f"the true class suggested for {right:.1%}"
    )
    assert found >= FOUND
    assert precision >= PRECISION


def count_alarms(what: str, features: np.ndarray, truth: np.ndarray, classes: int) -> None:
    alarms = len(label_errors(features, truth, classes).rows) / len(truth)
    print(f"\n{what}: {alarms:.2%} of the images listed where nothing is planted")


def pretrained_features(images: Sequence[Image.Image], folder: Path, edge: int) -> np.ndarray:
    """Features by EfficientNet-Lite0 with ImageNet's weights, for images of `edge` px."""
    paths = []
    (folder / "images").mkdir(parents=True)
    for number, image in enumerate(images):
        paths.append(f"images/{number:06d}.png")
        image.save(folder / paths[-1], compress_level=1)
    return features_of(folder, paths, efficientnet_lite0(folder / "efficientnet-lite0"), edge)


def features_of(root: Path, paths: Sequence[str], model: Path, edge: int | None = None) -> np.ndarray:
    loaded = load(model, "cpu")
    if edge is not None:
        loaded = type(loaded)(**{**loaded.__dict__, "spec": loaded.spec.resized(edge)})
    digests = [np.frombuffer(hashlib.sha256((root / path).read_bytes()).digest(), np.uint8) for path in paths]
    files = ImageFiles(root, np.array([path.encode() for path in paths]), np.stack(digests))
    watch = Watch(lambda *_: None, lambda: False, lambda _: None)
    found = compute_features(loaded, files, FeatureCache(root / ".features", 10**10, "model"), watch)
    assert found is not None
    assert not found.errors
    return found.values


def crops(each: int, seed: int = 0) -> tuple[list[Image.Image], np.ndarray]:
    """Crops of scikit-image's photographs, 224 px, and which photograph each comes from."""
    rng = np.random.default_rng(seed)
    found, labels = [], []
    for label, name in enumerate(NAMES):
        pixels = getattr(photographs, name)()
        whole = Image.fromarray(pixels if pixels.dtype == np.uint8 else (pixels * 255).astype(np.uint8)).convert("RGB")
        for _ in range(each):
            edge = int(min(whole.size) * rng.uniform(0.3, 0.6))
            left, top = (int(rng.integers(0, size - edge + 1)) for size in whole.size)
            found.append(whole.crop((left, top, left + edge, top + edge)).resize((224, 224), Image.Resampling.BILINEAR))
            labels.append(label)
    return found, np.array(labels)

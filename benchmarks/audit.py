"""The audit after the features: 100,000 images in 1,000 classes, 512 features each, through every learned stage.

Made-up features, a twentieth of the labels wrong. Everything is computed in this process, and nothing is written.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.frame import Line, reported
from imgcls_lab.audits.label_errors import find_label_errors
from imgcls_lab.audits.linear_heads import OutOfSample
from imgcls_lab.audits.near_duplicates import find_near_duplicates
from imgcls_lab.audits.neighbours import nearest, unit_rows
from imgcls_lab.audits.outliers import find_outliers
from imgcls_lab.audits.projection import project

WIDTH = 512
SIZES = {False: (100_000, 1000), True: (10_000, 100)}  # images and classes, quick or not
MOST_SECONDS = 60.0


def measure(folder: Path, quick: bool) -> list[Line]:  # noqa: ARG001 - nothing is written
    count, classes = SIZES[quick]
    features, labels, planted = _made(count, classes)
    took: dict[str, float] = {}
    began = last = time.monotonic()
    cpu_before = time.process_time()

    def done(stage: str) -> None:
        nonlocal last
        took[stage], last = time.monotonic() - last, time.monotonic()

    rows = unit_rows(features)
    neighbours = nearest(rows, 20)
    done("neighbours")
    heads = OutOfSample(rows, labels, classes, neighbours, groups=np.arange(count))
    done("heads")
    errors = find_label_errors(heads.blocks, labels, classes)
    done("label errors")
    find_outliers(heads.distances(), neighbours)
    find_near_duplicates(neighbours, labels)
    done("outliers and near-duplicates")
    method = project(rows, neighbours).method
    done(f"map by {method}")
    total, cpu_time = time.monotonic() - began, time.process_time() - cpu_before
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    hit = np.isin(errors.rows, planted)
    return [
        Line(
            f"{count:,} images in {classes:,} classes, after the features", None if quick else MOST_SECONDS, total, "s"
        ),
        reported("CPU time of it, all cores together", cpu_time, "s"),
        *(reported(stage, seconds, "s") for stage, seconds in took.items()),
        reported(
            "memory at most", peak / 2**20, "MB", note=f"{features.nbytes / 2**20:,.0f} MB of it are the features"
        ),
        Line("neighbours that are the true ones", 0.9, neighbours.recall, "", "at least"),
        Line("planted label errors found", 0.8, float(hit.sum() / len(planted)), "", "at least"),
        Line("precision of the label errors", 0.5, float(hit.mean()), "", "at least"),
    ]


def _made(count: int, classes: int) -> tuple[npt.NDArray[np.float16], npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Features around a centre a class, labels, and the positions of those that are wrong."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, classes, count)
    centres = rng.normal(size=(classes, WIDTH)).astype(np.float32)
    features = np.empty((count, WIDTH), np.float16)
    for start in range(0, count, 10_000):
        part = slice(start, min(start + 10_000, count))
        noise = rng.normal(size=(part.stop - start, WIDTH)).astype(np.float32) * 1.2
        features[part] = np.maximum(centres[truth[part]] + noise, 0)
    labels, wrong = truth.copy(), np.sort(rng.permutation(count)[: count // 20])
    labels[wrong] = (truth[wrong] + rng.integers(1, classes, len(wrong))) % classes
    return features, labels, wrong

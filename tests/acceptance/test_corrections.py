"""Wrong labels are planted in the digits, corrected as a revision, and the run is trained again from its best.

The child learns from the corrected labels alone, its validation images are the parent's, no file of the data set has
changed, and the exported folder holds what the child saw.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from api.conftest import few, own
from safetensors.numpy import load_file

import imgcls_lab as lab
from imgcls_lab import TrainConfig, predictions
from imgcls_lab.api import context, revisions
from imgcls_lab.imagefolder import inspect_folder
from imgcls_lab.schemas import DatasetEdit

__all__ = ["few", "own"]
pytestmark = pytest.mark.slow
PLANTED = {"train": 2, "val": 1}  # images of each class that lie in the folder of the next one


def plant(root: Path) -> dict[str, str]:
    """Path after -> the right class."""
    found: dict[str, str] = {}
    for split, count in PLANTED.items():
        right = {digit: sorted((root / split / digit).iterdir())[:count] for digit in map(str, range(10))}
        for digit, paths in right.items():
            for path in paths:
                wrong = root / split / str((int(digit) + 1) % 10) / f"planted-{digit}-{path.name}"
                found[str(path.rename(wrong).relative_to(root))] = digit
    return found


def labels_of(run: lab.Run) -> dict[str, str]:
    frame = run.predictions()
    return dict(zip(frame["path"], frame["label"], strict=True))


def test_planted_labels_are_corrected_and_the_child_learns_the_right_ones(
    own: object, few: TrainConfig, tmp_path: Path
) -> None:
    root = Path(shutil.copytree(few.root, tmp_path / "digits"))
    wrong = plant(root)
    files = {path: path.read_bytes() for path in root.rglob("*.png")}
    context.store().datasets.add(DatasetEdit(name="digits", root=str(root)))
    parent = lab.launch(few.with_changes(root=str(root), epochs=6)).wait()
    for digit in map(str, range(10)):
        named = [path for path, right in wrong.items() if right == digit]
        made = revisions.relabel("digits", named, digit)
        assert (made.relabelled, made.files) == (len(named), len(named))
    assert made.total == len(wrong) == 30

    child = parent.retrain().wait()
    assert (child.view.parent_id, child.view.data_revision, child.view.later_revisions) == (parent.id, 10, [])
    assert parent.refresh().view.later_revisions[0].number == 10
    assert child.config.epochs == 3

    before, after = labels_of(parent), labels_of(child)
    assert before.keys() == after.keys()  # the same validation images
    changed = {path for path in after if after[path] != before[path]}
    assert changed == {path for path in wrong if path.startswith("val/")}
    assert all(after[path] == right for path, right in wrong.items() if path in after)
    counts = child.view.manifest["data"]["counts"]  # type: ignore[index]
    classes = sorted(set(after.values()))
    assert (counts["train"], counts["val"]) == (dict.fromkeys(classes, 16), dict.fromkeys(classes, 6))
    assert {path: path.read_bytes() for path in root.rglob("*.png")} == files

    one, other = (load_file(run.best_checkpoint / "model.safetensors") for run in (parent, child))
    assert any(not np.array_equal(one[name], other[name]) for name in one)
    report = child.evaluate("val")
    best = child.report(child.view.best.epoch)  # type: ignore[union-attr]
    assert report.values["metric/accuracy"] == best.values["metric/accuracy"]  # an evaluation sees the corrections, too

    out = tmp_path / "exported"
    assert revisions.export("digits", out).relabelled == 30
    assert inspect_folder(out).splits["train"] == counts["train"]

    images = predictions.read_images(parent.folder, "val")
    right_class = {**before, **{path: right for path, right in wrong.items() if path in before}}
    truth = np.array([right_class[images.name(number)] for number in range(len(images))])
    was, now = (
        predictions.load_predictions(run.folder, run.view.best.epoch)["class_1"].to_numpy()  # type: ignore[union-attr]
        for run in (parent, child)
    )
    fixed, broken = int(((was != truth) & (now == truth)).sum()), int(((was == truth) & (now != truth)).sum())
    values = [run.view.best.value for run in (parent, child)]  # type: ignore[union-attr]
    print(
        f"{len(wrong)} of 220 labels were wrong. Accuracy by the labels of each: {values[0]:.3f}, then {values[1]:.3f} "
        f"(target: higher). By the right labels, {fixed} images fixed and {broken} broken."
    )
    assert values[1] > values[0]

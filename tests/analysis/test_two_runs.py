"""Two runs image by image: fixed, broken, relabelled; and one image through epochs, ancestors and other runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binomtest

from imgcls_lab.analysis.flips import compare, interval, mcnemar
from imgcls_lab.analysis.one_image import MAX_TABLE, RelatedRun, Wanted, detail
from imgcls_lab.errors import ConflictError, NotFoundError

from .made import MadeRun, image_id, made, names_of

CLASSES = ["cat", "dog", "eel"]


def predicting(classes: list[int]) -> np.ndarray:
    probs = np.full((len(classes), 3), 0.1)
    probs[np.arange(len(classes)), classes] = 0.8
    return probs


@pytest.fixture
def parent(tmp_path: Path) -> MadeRun:
    return MadeRun(tmp_path / "parent", CLASSES).write([0, 1, 2, 0, 1], predicting([0, 0, 2, 1, 1]))


def test_what_was_fixed_and_broken_is_judged_by_the_new_labels_whatever_order_files_and_classes_have(
    tmp_path: Path, parent: MadeRun
) -> None:
    names = [*names_of(5)[::-1], "val/new.png"]
    child = MadeRun(tmp_path / "child", ["dog", "eel", "cat"])
    # in the parent's order: dog was corrected to cat for image 4; predictions cat, dog, cat, cat, dog
    labels, predicted = [2, 0, 1, 2, 2], [2, 0, 2, 2, 0]
    child.write([*labels[::-1], 0], predicting([*predicted[::-1], 0]), names=names)
    shown = compare(child.files, parent.files)
    assert (shown.images, shown.relabelled) == (5, 1)
    assert [(flip.name, flip.before, flip.after, flip.label) for flip in shown.broke] == [
        (names_of(5)[2], "eel", "cat", "eel")
    ]
    assert {flip.name for flip in shown.fixed} == {names_of(5)[1], names_of(5)[3]}
    assert (shown.both_right, shown.both_wrong) == (1, 1)  # the corrected image is wrong in both
    assert {flip.image for flip in shown.fixed} == {image_id(names_of(5)[n]) for n in (1, 3)}
    for number in ("2", "1", "5"):
        assert number in shown.sentence


def test_an_older_run_is_matched_by_name(tmp_path: Path) -> None:
    old = MadeRun(tmp_path / "old", CLASSES, old=True).write([0, 1], predicting([1, 1]))
    new = MadeRun(tmp_path / "new", CLASSES).write([0, 1, 2], predicting([0, 1, 2]))
    shown = compare(new.files, old.files)
    assert (shown.images, shown.fixed_total, shown.broke_total) == (2, 1, 0)


def test_runs_without_a_common_image_cannot_be_compared(tmp_path: Path, parent: MadeRun) -> None:
    other = MadeRun(tmp_path / "other", CLASSES).write([0], predicting([0]), names=["val/elsewhere.png"])
    with pytest.raises(ConflictError):
        compare(other.files, parent.files)


@pytest.mark.parametrize(("fixed", "broke"), [(12, 3), (3, 12), (1, 0), (5, 5), (700, 640), (20_000, 20_300)])
def test_the_p_value_is_that_of_the_exact_test(fixed: int, broke: int) -> None:
    assert mcnemar(fixed, broke) == pytest.approx(binomtest(fixed, fixed + broke).pvalue, rel=1e-6)


@pytest.mark.parametrize(("gained", "lost", "images"), [(0.03, 0.01, 200), (0.3, 0.2, 60), (0.02, 0.02, 1000)])
def test_the_interval_of_the_difference_holds_the_truth_so_often_as_it_says(
    gained: float, lost: float, images: int
) -> None:
    rng = np.random.default_rng(0)
    drawn = rng.multinomial(images, [gained, lost, 1 - gained - lost], size=4000)
    ends = np.array([interval(fixed, broke, images) for fixed, broke, _ in drawn.tolist()])
    held = ((ends[:, 0] <= gained - lost) & (gained - lost <= ends[:, 1])).mean()
    assert 0.94 <= held <= 0.99


def test_difference_interval_and_p_value_belong_to_one_table(tmp_path: Path) -> None:
    """21 fixed and 7 broken of 1,000, as drawn: 1.4 points, 0.3 to 2.5, p = 0.013; Wald's formula alone says 0.4."""
    before, after = np.zeros(1000, int), np.zeros(1000, int)
    before[:52], after[:52] = 1, 1  # wrong in both
    before[52:73], after[73:80] = 1, 1
    one = MadeRun(tmp_path / "a", CLASSES).write(np.zeros(1000, int), predicting(before.tolist()))
    two = MadeRun(tmp_path / "b", CLASSES).write(np.zeros(1000, int), predicting(after.tolist()))
    shown = compare(two.files, one.files)
    assert (shown.fixed_total, shown.broke_total, shown.both_right, shown.both_wrong) == (21, 7, 920, 52)
    assert shown.difference == pytest.approx(0.014)
    assert [round(100 * end, 1) for end in (shown.difference_low, shown.difference_high)] == [0.3, 2.5]
    assert round(shown.p_value or 0, 3) == 0.013
    back = compare(one.files, two.files)
    assert (back.difference_low, back.difference_high) == pytest.approx((-shown.difference_high, -shown.difference_low))


def test_no_flip_has_no_p_value(parent: MadeRun) -> None:
    shown = compare(parent.files, parent.files)
    assert (mcnemar(0, 0), shown.p_value, shown.fixed_total, shown.broke_total) == (None, None, 0, 0)


# ── one image ───────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_story_of_an_image_goes_through_the_run_before_and_both_epochs(tmp_path: Path, parent: MadeRun) -> None:
    child = MadeRun(tmp_path / "child", ["dog", "cat", "eel"], best=2)
    names = names_of(5)[::-1]
    child.write([0, 1, 2, 0, 1], predicting([0, 1, 2, 1, 1]), epoch=1, names=names)
    child.write([0, 1, 2, 0, 1], predicting([0, 1, 2, 0, 1]), epoch=2, names=names)
    found = detail(child.files, Wanted(image_id(names[3]), "val"), [parent.files], [])
    assert (found.image.name, found.image.label, found.image.correct) == (names[3], "dog", True)
    assert [(each.run_id, each.epoch, each.predicted, each.correct) for each in found.biography] == [
        ("parent", 1, "cat", False), ("child", 1, "cat", False), ("child", 2, "dog", True)
    ]  # fmt: skip
    assert [each.label_prob for each in found.biography] == pytest.approx([0.1, 0.1, 0.8], abs=1e-3)
    assert found.top[0].name == "dog"
    by_name = detail(child.files, Wanted(names[3], "val", 1), [], [])
    assert (by_name.image.image, by_name.image.correct) == (image_id(names[3]), False)


def test_a_corrected_image_tells_the_label_that_it_had(tmp_path: Path, parent: MadeRun) -> None:
    child = MadeRun(tmp_path / "child", CLASSES).write([1, 1, 2, 0, 1], predicting([1, 1, 2, 0, 1]))
    found = detail(child.files, Wanted(image_id(names_of(5)[0]), "val"), [parent.files], [])
    before, after = found.biography
    assert (before.label_prob, before.predicted, before.correct) == (None, "cat", False)
    assert after.correct
    assert any("cat" in note for note in found.notes)


def test_other_runs_say_what_they_predict_of_the_same_file(tmp_path: Path, parent: MadeRun) -> None:
    run = MadeRun(tmp_path / "run", CLASSES).write(*made(5, 3))
    strange = MadeRun(tmp_path / "strange", CLASSES).write([0], predicting([0]), names=["val/other.png"])
    empty, damaged = MadeRun(tmp_path / "empty", CLASSES), MadeRun(tmp_path / "damaged", CLASSES)
    damaged.write([0], predicting([0])).folder.joinpath("predictions/epoch-0001.npz").write_bytes(b"?")
    others = [
        RelatedRun(each.files, relation)
        for each, relation in ((parent, "parent"), (strange, ""), (empty, ""), (damaged, "child"))
    ]
    (other,) = detail(run.files, Wanted(image_id(names_of(5)[3]), "val"), [], others).others
    assert (other.run_id, other.relation, other.predicted, other.label) == ("parent", "parent", "dog", "cat")


def test_a_training_image_has_its_epochs_and_an_image_of_test_none(tmp_path: Path) -> None:
    run = MadeRun(tmp_path / "run", CLASSES).write(*made(4, 3), epoch=None)
    for epoch, prob in enumerate((0.25, np.nan, 0.5), start=1):
        run.write_train(epoch, [0, 1], [prob, 0.5])
    found = detail(run.files, Wanted(image_id(names_of(2, "train")[0]), "train"), [], [])
    assert [each.label_prob for each in found.biography] == [0.25, None, 0.5]
    assert (found.image.group, found.top) == ("suspicious", [])
    tested = detail(run.files, Wanted(image_id(names_of(4, "test")[0]), "test"), [], [])
    assert (tested.biography, len(tested.notes)) == ([], 1)
    with pytest.raises(NotFoundError):
        detail(run.files, Wanted("0" * 64, "train"), [], [])


def test_of_many_epochs_some_are_shown_evenly_and_a_damaged_one_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = MadeRun(tmp_path / "run", CLASSES)
    for epoch in range(1, 12):
        run.write(*made(4, 3), epoch=epoch)
    (run.folder / "predictions/epoch-0006.npz").write_bytes(b"?")
    assert MAX_TABLE > 100_000
    monkeypatch.setattr("imgcls_lab.analysis.one_image.MAX_TABLE", 12)
    found = detail(run.files, Wanted(image_id(names_of(4)[0]), "val"), [], [])
    assert [each.epoch for each in found.biography] == [1, 11]
    assert len(found.notes) == 2

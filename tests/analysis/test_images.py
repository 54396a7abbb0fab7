"""Which images of an evaluation a page shows: filters, orders, older runs, the training set."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imgcls_lab.analysis.image_pages import page
from imgcls_lab.errors import DataError, InputError, NotFoundError
from imgcls_lab.schemas import EvaluatedPage, EvaluatedQuery

from .made import MadeRun, image_id, made, names_of

CLASSES = ["cat", "dog", "eel", "fox", "gnu", "hen"]


@pytest.fixture
def run(tmp_path: Path) -> MadeRun:
    return MadeRun(tmp_path / "run", CLASSES, best=1).write(*made(60, 6))


def ask(run: MadeRun, **query: Any) -> EvaluatedPage:
    return page(run.files, EvaluatedQuery(**query))


def test_a_page_is_filtered_by_classes_rightness_and_confidence(run: MadeRun) -> None:
    labels, probs = made(60, 6)
    predicted = probs.argmax(1)
    confidence = probs.max(1).astype(np.float16)
    for query, expected in (
        ({}, np.ones(60, bool)),
        ({"label": "dog"}, labels == 1),
        ({"predicted": "eel"}, predicted == 2),
        ({"show": "mistakes"}, predicted != labels),
        ({"show": "confident_mistakes"}, (predicted != labels) & (confidence >= 0.5)),
        ({"show": "unsure"}, confidence < 0.5),
        ({"show": "right", "label": "dog"}, (predicted == labels) & (labels == 1)),
        ({"low": 0.4, "high": 0.6}, (confidence >= 0.4) & (confidence <= 0.6)),
    ):
        found = ask(run, limit=1000, **query)  # type: ignore[arg-type]
        assert {item.name for item in found.items} == {names_of(60)[n] for n in np.flatnonzero(expected)}, query
        assert found.total == expected.sum()
    assert found.counts["all"] == 60
    assert found.counts["mistakes"] == (predicted != labels).sum()
    assert found.counts["unsure"] == (confidence < 0.5).sum()
    assert found.counts["confident_mistakes"] == ((predicted != labels) & (confidence >= 0.5)).sum()


def test_a_page_is_sorted_and_cut(run: MadeRun) -> None:
    by_loss = ask(run, limit=1000).items
    losses = [item.loss for item in by_loss]
    assert losses == sorted(losses, reverse=True)  # type: ignore[type-var]
    assert ask(run, offset=10, limit=5).items == by_loss[10:15]
    confidences = [item.confidence for item in ask(run, sort="confidence", order="asc", limit=1000).items]
    assert confidences == sorted(confidences)  # type: ignore[type-var]
    assert [item.name for item in ask(run, sort="name", order="desc", limit=2).items] == names_of(60)[:-3:-1]
    beyond = ask(run, offset=10**6)
    assert (beyond.items, beyond.total) == ([], 60)


def test_an_image_has_its_id_loss_and_probability_of_its_label(run: MadeRun) -> None:
    labels, probs = made(60, 6)
    first = ask(run, sort="name", order="asc").items[0]
    assert first.image == image_id(names_of(60)[0])
    assert first.loss == pytest.approx(-math.log(probs[0, labels[0]]), rel=1e-6)
    assert first.label_prob == pytest.approx(probs[0, labels[0]], abs=1e-3)


def test_an_older_run_lists_its_images_with_the_losses_that_it_can_tell(tmp_path: Path) -> None:
    labels, probs = made(60, 6, sure=-3)
    run = MadeRun(tmp_path / "old", CLASSES, old=True).write(labels, probs)
    unknown = labels == probs.argmin(1)  # of six classes five are kept
    assert 0 < unknown.sum() < 60
    for order in ("asc", "desc"):
        items = ask(run, limit=1000, order=order).items
        assert all(item.image == "" for item in items)
        assert [item.loss is None for item in items] == [False] * int((~unknown).sum()) + [True] * int(unknown.sum())
    shown = ask(run, sort="name", order="asc", limit=1000).items
    known = int(np.flatnonzero(~unknown)[0])
    assert shown[known].loss == pytest.approx(-math.log(probs[known, labels[known]]), abs=2e-3)


def test_an_image_without_a_finite_output_comes_last_and_is_no_json_nan(tmp_path: Path) -> None:
    labels, probs = made(10, 3)
    probs[4] = np.nan
    run = MadeRun(tmp_path / "run", CLASSES[:3]).write(labels, probs)
    for order in ("asc", "desc"):
        last = ask(run, order=order, sort="confidence").items[-1]
        assert (last.name, last.confidence, last.loss) == (names_of(10)[4], None, None)
    assert ask(run, low=0.0).total == 9
    assert "NaN" not in ask(run).model_dump_json()


def test_training_images_are_grouped_by_what_the_epochs_said(tmp_path: Path) -> None:
    run = MadeRun(tmp_path / "run", CLASSES[:2])
    story = {"easy": (0.8, 0.9, 0.95), "ambiguous": (0.1, 0.9, 0.3), "suspicious": (0.1, 0.05, 0.1)}
    table = np.asarray([*story.values(), (0.5, math.nan, math.nan)]).T
    for epoch, row in enumerate(table, start=1):
        run.write_train(epoch, [0, 1, 0, 1], row)
    found = ask(run, split="train", sort="name", order="asc")
    assert [item.group for item in found.items] == [*story, None]
    assert found.counts == {"all": 4, "easy": 1, "ambiguous": 1, "suspicious": 1}
    for item, probs in zip(found.items, story.values(), strict=False):
        assert item.mean == pytest.approx(np.mean(probs), abs=1e-3)
        assert item.spread == pytest.approx(np.std(probs), abs=1e-3)
        assert item.label_prob == pytest.approx(probs[-1], abs=1e-3)
    (wrong,) = ask(run, split="train", group="suspicious").items
    assert wrong.name == names_of(4, "train")[2]
    assert ask(run, split="train", sort="spread").items[0].name == names_of(4, "train")[1]
    assert ask(run, split="train", epoch=1, sort="name", order="asc").items[0].label_prob == pytest.approx(
        0.8, abs=1e-3
    )
    assert ask(run, split="train", label="dog", low=0.5).total == 0


def test_what_cannot_be_asked_is_refused(run: MadeRun, tmp_path: Path) -> None:
    run.write_train(1, [0], [0.5])
    for query in (
        {"label": "unicorn"}, {"sort": "mean"}, {"group": "easy"}, {"split": "train", "show": "mistakes"},
        {"split": "train", "predicted": "cat"}, {"split": "test", "epoch": 1},
    ):  # fmt: skip
        with pytest.raises(InputError):
            ask(run, **query)
    for query in ({"epoch": 7}, {"split": "test"}, {"split": "train", "epoch": 9}):  # type: ignore[assignment]
        with pytest.raises(NotFoundError):
            ask(run, **query)
    with pytest.raises(NotFoundError):
        ask(MadeRun(tmp_path / "none", CLASSES))


def test_test_and_val_are_never_mixed(run: MadeRun) -> None:
    run.write(*made(7, 6, seed=1), epoch=None)
    assert ask(run).total == 60
    found = ask(run, split="test")
    assert found.total == 7
    assert {item.split for item in found.items} == {"test"}


def test_a_file_that_was_written_again_is_read_again(run: MadeRun) -> None:
    assert ask(run).total == 60
    run.write(*made(8, 6, seed=1))
    assert ask(run).total == 8
    (run.folder / "predictions/epoch-0001.npz").write_bytes(b"PK damaged")
    with pytest.raises(DataError):
        ask(run)

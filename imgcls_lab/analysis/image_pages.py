"""A page of images of an evaluation or of the training set: filtered, sorted, cut out. 100,000 images take some 10 ms.

`page` serves the route, the live cell and Python.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from imgcls_lab.analysis.evaluation import Bools, Evaluation, Numbers, RunFiles, load, number_or_none
from imgcls_lab.analysis.training_images import GROUPS, TrainingImages, load_training
from imgcls_lab.errors import InputError
from imgcls_lab.schemas import EvaluatedImage, EvaluatedPage, EvaluatedQuery


def page(run: RunFiles, query: EvaluatedQuery) -> EvaluatedPage:
    """The images that a query asks for. Raises NotFoundError, DataError; InputError for what a split does not have."""
    if query.split == "train":
        found = load_training(run, query.epoch)
        places, items = select_training(found, query), training_image
        return _page(places, query, found.counts, [items(found, place) for place in _cut(places, query)])
    if query.group is not None or query.sort in ("mean", "spread"):
        raise InputError("mean, spread and group are of split=train: they sum up its epochs.", reason="only_train")
    evaluation = load(run, query.split, query.epoch)
    chosen = select(evaluation, query)
    items_of = [evaluated_image(evaluation, place) for place in _cut(chosen, query)]
    return _page(chosen, query, evaluation.counts, items_of)


def _cut(places: Numbers, query: EvaluatedQuery) -> list[int]:
    cut: list[int] = places[query.offset : query.offset + query.limit].tolist()
    return cut


def _page(places: Numbers, query: EvaluatedQuery, counts: dict[str, int], items: list[EvaluatedImage]) -> EvaluatedPage:
    return EvaluatedPage(items=items, offset=query.offset, total=len(places), counts=counts)


# ── val and test ────────────────────────────────────────────────────────────────────────────────────────────────
def select(evaluation: Evaluation, query: EvaluatedQuery) -> Numbers:
    """Places of all images of the filter, sorted; equal ones as the run listed them. Raises InputError."""
    chosen = _in_range(evaluation.confidence, query)
    if query.label is not None:
        chosen &= evaluation.labels == evaluation.class_number(query.label)
    if query.predicted is not None:
        chosen &= evaluation.predicted == evaluation.class_number(query.predicted)
    if query.show != "all":
        chosen &= evaluation.shown(query.show)
    if query.sort == "name":
        return _by_name(evaluation.by_name, chosen, query)
    keys = evaluation.losses if query.sort == "loss" else evaluation.confidence
    return _sorted(keys, chosen, query)


def evaluated_image(evaluation: Evaluation, place: int) -> EvaluatedImage:
    """One image as a page shows it."""
    classes = evaluation.classes
    values: dict[str, Any] = {
        "image": evaluation.images.image_id(place),
        "name": evaluation.name(place),
        "split": evaluation.split,
        "label": classes[evaluation.labels[place]],
        "predicted": classes[evaluation.predicted[place]],
        "confidence": number_or_none(evaluation.confidence[place]),
        "label_prob": number_or_none(evaluation.label_probs[place]),
        "loss": number_or_none(evaluation.losses[place]),
        "correct": bool(evaluation.correct[place]),
    }
    return EvaluatedImage.model_construct(**values)


# ── train ───────────────────────────────────────────────────────────────────────────────────────────────────────
def select_training(found: TrainingImages, query: EvaluatedQuery) -> Numbers:
    """Places of the training images of the filter, sorted. Raises InputError."""
    if query.show != "all" or query.predicted is not None:
        raise InputError(
            "Of training images a run keeps the loss and the probability of their label, and no predicted class. "
            "Use show=all, and low and high for the probability.",
            reason="only_evaluated",
        )
    chosen = _in_range(found.label_probs, query)
    if query.label is not None:
        chosen &= found.labels == found.class_number(query.label)
    if query.group is not None:
        chosen &= found.groups == GROUPS.index(query.group)
    if query.sort == "name":
        return _by_name(found.by_name, chosen, query)
    keys = {"loss": found.losses, "confidence": found.label_probs, "mean": found.mean, "spread": found.spread}
    return _sorted(keys[query.sort], chosen, query)


def training_image(found: TrainingImages, place: int) -> EvaluatedImage:
    group = int(found.groups[place])
    values: dict[str, Any] = {
        "image": found.images.image_id(place),
        "name": found.name(place),
        "split": "train",
        "label": found.images.classes[found.labels[place]],
        "predicted": None,
        "confidence": None,
        "label_prob": number_or_none(found.label_probs[place]),
        "loss": number_or_none(found.losses[place]),
        "correct": None,
        "mean": number_or_none(found.mean[place]),
        "spread": number_or_none(found.spread[place]),
        "group": GROUPS[group] if group >= 0 else None,
    }
    return EvaluatedImage.model_construct(**values)


# ── both ────────────────────────────────────────────────────────────────────────────────────────────────────────
def _in_range(values: np.ndarray[Any, Any], query: EvaluatedQuery) -> Bools:
    chosen = np.ones(len(values), bool)
    if query.low is not None:
        chosen &= values >= query.low
    if query.high is not None:
        chosen &= values <= query.high
    return chosen


def _sorted(keys: np.ndarray[Any, Any], chosen: Bools, query: EvaluatedQuery) -> Numbers:
    """NaN comes last in either order."""
    places = np.flatnonzero(chosen)
    values = keys[places]
    return places[np.argsort(values if query.order == "asc" else -values, kind="stable")]


def _by_name(by_name: np.ndarray[Any, Any], chosen: Bools, query: EvaluatedQuery) -> Numbers:
    order: Numbers = by_name[chosen[by_name]]
    return order if query.order == "asc" else order[::-1]

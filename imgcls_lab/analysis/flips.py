"""Two runs compared image by image: what one fixed and what it broke, judged by its own labels.

Images are matched by their content; where a run is of an older version and kept no ids, by their names.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from imgcls_lab.analysis.evaluation import Bools, Evaluation, Numbers, RunFiles, load, number_or_none
from imgcls_lab.errors import ConflictError
from imgcls_lab.plurals import counted, percent
from imgcls_lab.schemas import Flip, FlipsView

MAX_LISTED = 200  # images of each list
LIKELY = 0.05  # p-value below which a difference is hardly chance
Z_95 = 1.959964  # standard errors to each side that hold 95 % of a normal distribution


class Pairs(NamedTuple):
    """The images that both evaluated: places in the evaluation of the run and in that of the other, (n,) each."""

    after: Numbers
    before: Numbers


class Judged(NamedTuple):
    """Of each pair, (n,): whether it is right by the run's labels, before and after; whether its label differs."""

    before: Bools
    after: Bools
    relabelled: Bools


def compare(run: RunFiles, other: RunFiles, split: str = "val") -> FlipsView:
    """What `run` fixed and broke against `other`, each at its best epoch. Raises NotFoundError, DataError, InputError.

    ConflictError where no image was evaluated by both.
    """
    after, before = load(run, split), load(other, split)
    pairs = match(after, before)
    if not len(pairs.after):
        raise ConflictError(
            f"“{run.name}” and “{other.name}” have no image of {split}/ in common, so there is nothing to compare.",
            reason="no_common_images",
        )
    judged = judge(after, before, pairs)
    fixed, broke = np.flatnonzero(~judged.before & judged.after), np.flatnonzero(judged.before & ~judged.after)
    p_value = mcnemar(len(fixed), len(broke))
    low, high = interval(len(fixed), len(broke), len(pairs.after))
    resampled = bootstrap(len(fixed), len(broke), len(pairs.after))
    found: dict[str, Any] = {
        "run_id": run.run_id,
        "against": other.run_id,
        "against_name": other.name,
        "split": split,
        "images": len(pairs.after),
        "relabelled": int(judged.relabelled.sum()),
        "both_right": int((judged.before & judged.after).sum()),
        "both_wrong": int((~judged.before & ~judged.after).sum()),
        "fixed": _listed(after, before, pairs, fixed),
        "broke": _listed(after, before, pairs, broke),
        "fixed_total": len(fixed),
        "broke_total": len(broke),
        "p_value": p_value,
        "difference": (len(fixed) - len(broke)) / len(pairs.after),
        "difference_low": low,
        "difference_high": high,
        "bootstrap_low": resampled[0],
        "bootstrap_high": resampled[1],
    }
    return FlipsView(**found, sentence=_sentence(run, other, split, judged, p_value))


def match(after: Evaluation, before: Evaluation) -> Pairs:
    """The images that two evaluations share; of copies each finds the first."""
    mine, theirs = after.images.digests, before.images.digests
    if mine is not None and theirs is not None:
        keys, other_keys = (np.ascontiguousarray(each).view("S32")[:, 0] for each in (mine, theirs))
    else:
        width = max(after.images.paths.itemsize, before.images.paths.itemsize)
        keys, other_keys = (each.images.paths.astype(f"S{width}") for each in (after, before))
    _, first, place = np.unique(np.concatenate([other_keys, keys]), return_index=True, return_inverse=True)
    found = first[place[len(other_keys) :]]
    shared = np.flatnonzero(found < len(other_keys))
    return Pairs(shared, found[shared])


def judge(after: Evaluation, before: Evaluation, pairs: Pairs) -> Judged:
    """Classes are matched by name: the order of the outputs may differ."""
    numbers = {name: number for number, name in enumerate(after.classes)}
    renumbered = np.asarray([numbers.get(name, -1) for name in before.classes], np.int64)
    labels = after.labels[pairs.after]
    return Judged(
        before=renumbered[before.predicted[pairs.before]] == labels,
        after=after.correct[pairs.after],
        relabelled=renumbered[before.labels[pairs.before]] != labels,
    )


def mcnemar(fixed: int, broke: int) -> float | None:
    """Exact two-sided p-value of McNemar's test (McNemar, 1947): of so uneven counts if each flip were a coin's toss.

    None without a flip.
    """
    flips = fixed + broke
    if flips == 0:
        return None
    place = np.arange(1, flips + 1, dtype=np.float64)
    log_choose = np.concatenate([[0], np.cumsum(np.log((flips - place + 1) / place))])
    tail = np.exp(log_choose[: min(fixed, broke) + 1] - flips * np.log(2)).sum()
    return min(1.0, 2 * float(tail))


def interval(fixed: int, broke: int, images: int) -> tuple[float, float]:
    """95 % interval of the difference of two accuracies on the same images, each image counted once in both.

    Wald's interval with one image more that was fixed and one more that was broken (Bonett and Price, 2012): it holds
    its level with few flips, and without one it is not empty.
    """
    total = images + 2
    gained, lost = (fixed + 1) / total, (broke + 1) / total
    half = Z_95 * ((gained + lost - (gained - lost) ** 2) / total) ** 0.5
    middle = gained - lost
    return max(-1.0, middle - half), min(1.0, middle + half)


def bootstrap(fixed: int, broke: int, images: int, draws: int = 10_000) -> tuple[float, float]:
    """95 % interval of the same difference by drawing the images anew with replacement (Efron, 1979): its percentiles.

    Only the numbers of fixed and broken images count, so a draw is one of a multinomial distribution. Always the same.
    """
    parts = np.asarray([fixed, broke, images - fixed - broke]) / images
    drawn = np.random.default_rng(0).multinomial(images, parts, size=draws)
    low, high = np.percentile((drawn[:, 0] - drawn[:, 1]) / images, [2.5, 97.5])
    return float(low), float(high)


def _listed(after: Evaluation, before: Evaluation, pairs: Pairs, flips: npt.NDArray[np.intp]) -> list[Flip]:
    """The flips of which the run is surest."""
    confidence = after.confidence[pairs.after[flips]]
    order = flips[np.argsort(-confidence, kind="stable")][:MAX_LISTED]
    return [_flip(after, before, int(pairs.after[each]), int(pairs.before[each])) for each in order]


def _flip(after: Evaluation, before: Evaluation, place: int, other: int) -> Flip:
    return Flip(
        image=after.images.image_id(place),
        name=after.name(place),
        label=after.classes[after.labels[place]],
        before=before.classes[before.predicted[other]],
        after=after.classes[after.predicted[place]],
        before_confidence=number_or_none(before.confidence[other]),
        after_confidence=number_or_none(after.confidence[place]),
    )


def _sentence(run: RunFiles, other: RunFiles, split: str, judged: Judged, p_value: float | None) -> str:
    images = len(judged.after)
    fixed, broke = int((~judged.before & judged.after).sum()), int((judged.before & ~judged.after).sum())
    text = (
        f"Of {counted(images, 'image')} of {split}/, “{run.name}” fixed {fixed:,} and broke {broke:,} compared with "
        f"“{other.name}”: {percent(judged.before.sum() / images, 1)} to "
        f"{percent(judged.after.sum() / images, 1)} right."
    )
    if p_value is not None:
        chance = "is hardly chance" if p_value < LIKELY else "may be chance"
        shown = "p < 0.0001" if p_value < 0.0001 else f"p = {p_value:.2g}"
        text += f" The difference {chance} (exact McNemar test, {shown})."
    relabelled = int(judged.relabelled.sum())
    if relabelled:
        text += f" {counted(relabelled, 'image has', 'images have')} another label than before; the new one counts."
    return text

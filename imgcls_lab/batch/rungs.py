"""Successive halving as arithmetic: how many trials reach which rung, at how many epochs, and who goes on. No run here.

`halving` is one bracket (Jamieson and Talwalkar, AISTATS 2016), `hyperband` several with different numbers of trials
(Li et al., JMLR 2018). With R epochs, at least r of them until the first rung, and eta: a bracket of n trials has
s rungs above its first one, s the largest whole number with eta^s <= R / r and eta^s <= n. To its rung k = 0 ... s
come at most n / eta^k trials, and they are compared after R / eta^(s - k) epochs, both rounded down.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from imgcls_lab.config import TrainConfig
from imgcls_lab.errors import Problem
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import BracketView, CurvePoint, RungView, SweepRequest
from imgcls_lab.schemas.limits import MAX_TRIALS

ETA, MIN_EPOCHS = 3, 1  # where the request names none
USUAL = (9, 81)  # trials of a halving at least and at most, where the request names no number
HALVES = frozenset({"halving", "hyperband"})


def halves(request: SweepRequest) -> bool:
    """Whether a sweep compares its trials at rungs."""
    return request.strategy in HALVES


def eta_of(request: SweepRequest) -> int:
    return request.eta or ETA


def epochs_of(request: SweepRequest) -> int:
    """The epochs of a trial that is never left behind. What is no number of epochs the check of the config says."""
    epochs = request.base.get("epochs")
    if isinstance(epochs, int) and not isinstance(epochs, bool) and epochs > 0:
        return epochs
    return int(TrainConfig.model_fields["epochs"].default)


# ── the plan ────────────────────────────────────────────────────────────────────────────────────────────────────
def brackets(request: SweepRequest, most: float = math.inf) -> list[BracketView]:
    """The brackets of a sweep, in the order in which trials are drawn for them. most: points that its space has."""
    eta, epochs = eta_of(request), epochs_of(request)
    deepest = _whole_log(eta, epochs // (request.min_epochs or MIN_EPOCHS))
    if request.strategy == "halving":
        usual = max(eta, min(max(eta**deepest, USUAL[0]), USUAL[1]))
        wanted = request.trials or int(min(usual, most))
        return [_bracket(wanted, deepest, eta, epochs)]
    # n = ceil((s_max + 1) / (s + 1) * eta^s), as the paper has it
    cycle = [(-(-(deepest + 1) * eta**s // (s + 1)), s) for s in range(deepest, -1, -1)]
    wanted = request.trials or int(min(sum(trials for trials, _ in cycle), most))
    found: list[BracketView] = []
    while wanted > 0:
        trials, rungs = cycle[len(found) % len(cycle)]
        found.append(_bracket(min(trials, wanted), rungs, eta, epochs))
        wanted -= trials
    return found


def _bracket(trials: int, rungs: int, eta: int, epochs: int) -> BracketView:
    rungs = min(rungs, _whole_log(eta, trials))
    return BracketView(
        rungs=[RungView(epochs=epochs // eta ** (rungs - k), trials=trials // eta**k) for k in range(rungs + 1)]
    )


def _whole_log(base: int, value: int) -> int:
    """The largest whole number whose power of the base is at most the value; floats would be wrong at 3^5."""
    power = 0
    while base ** (power + 1) <= value:
        power += 1
    return power


def trials_of(found: Iterable[BracketView]) -> int:
    """How many trials they draw together."""
    return sum(bracket.rungs[0].trials for bracket in found)


def planned_epochs(found: Iterable[BracketView]) -> int:
    """What they train together, if no trial fails: each rung adds the epochs since the one before."""
    total = 0
    for bracket in found:
        before = 0
        for rung in bracket.rungs:
            total += rung.trials * (rung.epochs - before)
            before = rung.epochs
    return total


def problems(request: SweepRequest, most: float) -> list[Problem]:
    """What is wrong with a sweep's rungs. most: points that its space has."""
    if not halves(request):
        only = "It belongs to halving and hyperband; leave it out."
        given = {"eta": request.eta, "min_epochs": request.min_epochs}
        return [Problem(name, only) for name, value in given.items() if value is not None]
    found: list[Problem] = []
    eta, epochs, smallest = eta_of(request), epochs_of(request), request.min_epochs or MIN_EPOCHS
    if request.notebook is not None:
        text = "Halving pauses trainings, and a notebook cannot be paused between two epochs. Take asha or random."
        found.append(Problem("strategy", text))
    if "epochs" in request.space:
        text = "Trials are compared at the same epochs, so all have the same number of them; take it out of the space."
        found.append(Problem("epochs", text))
    if "early_stopping_patience" in request.space or request.base.get("early_stopping_patience"):
        text = "The rungs end the worse trials; early stopping would end some before their rung. Leave it empty."
        found.append(Problem("early_stopping_patience", text))
    if request.pruner not in {None, "none"}:
        found.append(Problem("pruner", "The rungs end the worse trials; there is no pruner beside them."))
    if request.epochs is not None:
        found.append(Problem("budget", "The rungs decide how many epochs are trained; give the number of trials."))
    if smallest > epochs:
        text = f"A trial has {counted(epochs, 'epoch')}, and the first rung would come after {smallest}."
        found.append(Problem("min_epochs", f"{text} Give more epochs, or fewer to the first rung."))
    elif smallest * eta > epochs:
        text = f"There is one rung alone: with eta {eta} and {smallest} at the first rung, a second one needs"
        found.append(Problem("min_epochs", f"{text} {smallest * eta} epochs, and a trial has {epochs}."))
    elif wrong := _trials_problem(request, most):
        found.append(Problem("trials", wrong))
    return found


def _trials_problem(request: SweepRequest, most: float) -> str | None:
    eta, trials = eta_of(request), trials_of(brackets(request, most))
    if trials < eta:
        return f"The best 1/{eta} of {counted(trials, 'trial')} is none; take at least {eta} trials, or a smaller eta."
    if trials > most:
        return f"The space has {counted(int(most), 'point')}, and {trials} different trials are wanted; take fewer."
    if trials > MAX_TRIALS:
        return f"It would have {trials:,} trials, and {MAX_TRIALS:,} are the most."
    return None


# ── who goes on ─────────────────────────────────────────────────────────────────────────────────────────────────
def value_at(curve: Mapping[int, float] | Sequence[CurvePoint], epochs: int, *, higher: bool) -> float | None:
    """What a trial is judged by at a rung: its best value until there. None: it has not come so far."""
    points = dict(curve) if isinstance(curve, Mapping) else {point.epoch: point.value for point in curve}
    if max(points, default=0) < epochs:
        return None
    return (max if higher else min)((value for epoch, value in points.items() if epoch <= epochs), default=None)


def ranked(values: Mapping[int, float], *, higher: bool) -> list[int]:
    """Trials by their values, the best first; of equals the earlier one is better."""
    return sorted(values, key=lambda trial: (-values[trial] if higher else values[trial], trial))

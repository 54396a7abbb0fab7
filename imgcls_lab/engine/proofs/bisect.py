"""Where two runs that should be equal part: the first step, and in it the images, module, gradient or weight.

Called by `imgcls-lab bisect` and `run.bisect()`. What both wrote of their steps is searched first, then both compute a
few steps again: once for the first step that differs, and once for what differs in it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from imgcls_lab import run_layout
from imgcls_lab.engine.proofs import causes
from imgcls_lab.engine.proofs.causes import Side
from imgcls_lab.engine.proofs.record import Record
from imgcls_lab.engine.proofs.rerun import OnPhase, Rerun, compute, prepare, workplace
from imgcls_lab.engine.proofs.verify import first_difference, recorded, started_at
from imgcls_lab.engine.proofs.watch import Watched
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.errors import ConflictError, ModelError
from imgcls_lab.forks import Beginning, checkpoints_in, step_of
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import Bisection, Difference

Stopped = Callable[[], bool]


class Named(NamedTuple):
    """A run that is compared. name: as people call it."""

    folder: Path
    name: str


class _Found(NamedTuple):
    """What differs first in a step: as in `Bisection`, and a sentence."""

    part: Any
    name: str
    sentence: str


def bisect(
    one: Named,
    other: Named,
    *,
    on_phase: OnPhase = lambda _name, _done, _total: None,
    stopped: Stopped = lambda: False,
) -> Bisection:
    """Find where two runs part. Raises ConflictError for runs that cannot be compared, ModelError as `verify` does."""
    (before, mine), (after, theirs) = recorded(one.folder), recorded(other.folder)
    sides = tuple(
        Side(named.folder, content, record, causes.config_of(content), named.name)
        for named, content, record in ((one, before, mine), (other, after, theirs))
    )
    found = causes.differences(sides[0], sides[1])
    facts: dict[str, Any] = {"one": one.folder.name, "other": other.folder.name, "differences": found}
    start = started_at(mine)
    if start != started_at(theirs):
        raise ConflictError(
            f"“{one.name}” begins behind step {start} and “{other.name}” behind step {started_at(theirs)}, so their "
            "steps are not the same ones. Bisect two runs that begin alike.",
            reason="other_start",
        )
    last = min(mine.steps[-1], theirs.steps[-1])
    steps = [step for step in mine.steps if step <= last and step in {*theirs.steps}]
    if mine.hashes.get(0) != theirs.hashes.get(0):
        sentence = f"They begin with other weights{_because(found)}."
        return Bisection(**facts, first_step=0, after_step=0, replays=0, part="start", name="", sentence=sentence)
    differs = first_difference(mine, theirs, steps)
    if differs is None:
        sentence = f"They are the same in all that both have recorded, to step {last}."
        return Bisection(**facts, first_step=None, after_step=last, replays=0, part="", name="", sentence=sentence)
    same = max((step for step in steps if step < differs and step in mine.hashes), default=start)
    search = _Search((one, other), (before, after), (mine, theirs), on_phase, stopped)
    first = search.first_step(same, differs)
    part = search.part(same, first)
    sentence = f"Step {first} is the first that differs: {part.sentence}{_because(found)}."
    return Bisection(
        **facts, first_step=first, after_step=same, replays=search.replays, part=part.part, name=part.name,
        sentence=sentence,
    )  # fmt: skip


def _because(found: list[Difference]) -> str:
    return f". What sets the runs apart: {'; '.join(each.text for each in found[:3])}" if found else ""


class _Search:
    """Computes steps of both runs again. replays: how often."""

    def __init__(
        self,
        runs: tuple[Named, Named],
        manifests: tuple[dict[str, Any], dict[str, Any]],
        records: tuple[Record, Record],
        on_phase: OnPhase,
        stopped: Stopped,
    ) -> None:
        self._runs, self._manifests, self._records = runs, manifests, records
        self._on_phase, self._stopped = on_phase, stopped
        self.replays = 0

    def first_step(self, same: int, differs: int) -> int:
        """The first step that differs, between one that is the same and one that is not."""
        if differs - same == 1:
            return differs
        (mine, _), (theirs, _) = (self._replay(number, same, differs, 0) for number in (0, 1))
        steps = [step for step in mine.steps if same < step <= differs]
        return next((step for step in steps if mine.hashes.get(step) != theirs.hashes.get(step)), differs)

    def part(self, same: int, step: int) -> _Found:
        """What differs first in a step."""
        (_, mine), (_, theirs) = (self._replay(number, same, step, step) for number in (0, 1))
        if mine is None or theirs is None:
            return _Found("unknown", "", "its parts cannot be looked at where several processes train")
        return _first_part(mine, theirs, self._runs)

    def _replay(self, number: int, same: int, until: int, watch: int) -> tuple[Record, Watched | None]:
        """Raises ConflictError where a run cannot be computed again to the bit, so that nothing would be told."""
        run, content = self._runs[number], self._manifests[number]
        self.replays += 1
        with workplace(run.folder) as place:
            again = place / run.folder.name
            at = _checkpoint_before(run.folder, same)
            prepare(run.folder, again, content, at)
            rerun = Rerun(at, until, 1, watch)
            record = compute(again, rerun, self._on_phase, self._stopped)
            own = [step for step in self._records[number].steps if (at.step if at else 0) < step <= until]
            if (wrong := first_difference(self._records[number], record, own)) is not None:
                now = manifest.read_whole(again) or content
                side = Side(run.folder, content, self._records[number], causes.config_of(content))
                found = causes.differences(side, Side(again, now, record, causes.config_of(now)))
                why = "; ".join(each.text for each in found) or "nothing that is recorded differs"
                raise ConflictError(
                    f"“{run.name}” itself cannot be computed again: step {wrong} comes out otherwise ({why}). "
                    f"{causes.remedy(found)}".strip(),
                    reason="not_reproducible",
                )
            try:
                return record, Watched.read(again) if watch else None
            except OSError:
                return record, None


def _checkpoint_before(folder: Path, step: int) -> Beginning | None:
    """The newest checkpoint that a run keeps at that step or before; None: it is computed from its beginning."""
    kept = [path for path in checkpoints_in(folder / run_layout.CHECKPOINTS) if 0 < step_of(path.name) <= step]
    for path in sorted(kept, key=lambda each: step_of(each.name), reverse=True):
        try:
            return Beginning.read(path)
        except ModelError:
            continue  # damaged: one before it will do
    return None


def _first_part(one: Watched, other: Watched, runs: tuple[Named, Named]) -> _Found:
    """In the order in which a step computes."""
    if len(one.images) != len(other.images):
        sizes = f"{counted(len(one.images), 'image')} in “{runs[0].name}” and {len(other.images)} in “{runs[1].name}”"
        return _Found("batch", "", f"the step trains on {sizes}")
    pairs = list(zip(one.images, other.images, strict=False))
    for (mine, theirs), labels in zip(pairs, zip(one.labels, other.labels, strict=False), strict=False):
        if mine != theirs:
            return _Found("batch", theirs, f"“{runs[1].name}” trains on “{theirs}” where “{runs[0].name}” has “{mine}”")
        if labels[0] != labels[1]:
            return _Found("batch", mine, f"the label of “{mine}” is {labels[0]} in one and {labels[1]} in the other")
    changed = [name for name, mine, theirs in zip(one.images, one.pixels, other.pixels, strict=False) if mine != theirs]
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        return _Found("image", changed[0], f"the pixels of “{changed[0]}”{more} differ")
    for part, what in (("outputs", "the output of {}"), ("gradients", "the gradient of {}")):
        for (name, mine), (_same_name, theirs) in zip(getattr(one, part), getattr(other, part), strict=False):
            if mine != theirs:
                kind = "module" if part == "outputs" else "gradient"
                return _Found(kind, name, f"the same images give another result: {what.format(name)} differs first")
    if one.rates != other.rates:
        return _Found("rate", "lr", f"the learning rate is {one.rates[0]:g} in one and {other.rates[0]:g} in the other")
    for (name, mine), (_same_name, theirs) in zip(one.weights, other.weights, strict=False):
        if mine != theirs:
            return _Found("parameter", name, f"equal gradients move {name} otherwise: the optimizer's state or options")
    return _Found("unknown", "", "nothing in the step itself differs when it is computed again")

"""Computes steps of a run again in a fresh process, and says whether they are the same to the last bit.

Called by `imgcls-lab verify`, `run.verify()` and the task of that kind. It changes nothing in the run's folder but
`certificate.json`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from imgcls_lab import run_layout
from imgcls_lab.config import TrainConfig
from imgcls_lab.engine import hardware
from imgcls_lab.engine.proofs import causes
from imgcls_lab.engine.proofs.causes import Side
from imgcls_lab.engine.proofs.record import Record
from imgcls_lab.engine.proofs.rerun import OnPhase, Rerun, compute, prepare, workplace
from imgcls_lab.engine.reporting import manifest
from imgcls_lab.engine.training.weights_hash import HASH_EVERY
from imgcls_lab.errors import ConflictError, ModelError, NotFoundError
from imgcls_lab.forks import Beginning, checkpoints_in, step_of
from imgcls_lab.plurals import counted
from imgcls_lab.schemas import Certificate, VerifyRequest

_MEAN = "loss/train"  # over the steps since the last point of the curve


def verify(
    folder: Path,
    request: VerifyRequest | None = None,
    *,
    on_phase: OnPhase = lambda _name, _done, _total: None,
    stopped: Callable[[], bool] = lambda: False,
) -> Certificate:
    """Compute steps again and compare. request: which; by default the first 20.

    Raises ConflictError for a run that trains or has nothing to compare, NotFoundError for a checkpoint, ModelError
    where the steps cannot be computed, JobCancelledError when `stopped` says so.
    """
    wanted = request or VerifyRequest.model_validate({})
    before, record = recorded(folder)
    at = _beginning(folder, wanted.at) if wanted.at else None
    first = at.step if at else started_at(record)
    steps = [step for step in record.steps if step > first]
    if not steps:
        raise ConflictError(
            f"The run has kept nothing of a step after {first}, so there is nothing to compare. Verify it from an "
            "earlier checkpoint.",
            reason="no_steps",
        )
    if not any(step in record.hashes for step in steps):
        raise ConflictError(
            f"The run has kept no hash of its weights after step {first}, so nothing proves what they were. Verify it "
            "from an earlier checkpoint.",
            reason="no_hashes",
        )
    until = _until(record, steps, first + wanted.steps)
    with workplace(folder) as place:
        again = place / folder.name
        config = prepare(folder, again, before, at)
        _check_device(before, config)
        repeated = compute(again, Rerun(at, until, HASH_EVERY), on_phase, stopped)
        after = manifest.read_whole(again)
        if after is None:
            raise ModelError("The steps could not be computed again: the process wrote no manifest.")
        sides = Side(folder, before, record, config), Side(again, after, repeated, config)
        certificate = _certificate(sides, at, first, until)
    run_layout.write_atomic(folder / run_layout.CERTIFICATE, certificate.model_dump_json(indent=1))
    return certificate


def recorded(folder: Path) -> tuple[dict[str, Any], Record]:
    """The manifest and the events of a run. Raises ConflictError: nothing to compare; ModelError: it is damaged."""
    found, record = manifest.read_whole(folder), Record.read(folder)
    if found is None or not record.steps:
        raise ConflictError(
            "This run has trained no step yet, so there is nothing to compare. Verify it when it has.",
            reason="no_steps",
        )
    if not record.hashes:
        raise ConflictError(
            "This run was trained by a version that kept no hashes of the weights, so nothing proves what they were. "
            "Train it again with this version; then it can be verified.",
            reason="no_hashes",
        )
    return found, record


def started_at(record: Record) -> int:
    """Steps done when the run began: of a fork those of its parent."""
    return record.started.resume_step if record.started else 0


def _beginning(folder: Path, name: str) -> Beginning:
    """A checkpoint: its name, best, last, an epoch (12) or “step 340”. Raises NotFoundError, ModelError."""
    place = folder / run_layout.CHECKPOINTS
    names = {path.name: path.name for path in checkpoints_in(place)}
    names |= {f"step {step_of(each)}": each for each in sorted(names)}  # of two attempts the later one
    for path in (place / run_layout.BEST, place / run_layout.LAST, *place.glob("epoch-*")):
        if path.is_dir():
            names |= dict.fromkeys((path.name, path.name.removeprefix("epoch-").lstrip("0")), path.name)
    if name not in names:
        there = ", ".join(each for each in names if not each.startswith(("a", "epoch-"))) or "none"
        raise NotFoundError(f"The run keeps no checkpoint “{name}”; there are: {there}.", reason="no_checkpoint")
    return Beginning.read((place / names[name]).resolve())


def _until(record: Record, steps: list[int], limit: int) -> int:
    """The last step to compute: within the limit, or behind it where no hash would be compared before."""
    hashed = [step for step in steps if step in record.hashes]
    within = [step for step in steps if step <= limit]
    if within and (not hashed or hashed[0] <= limit):
        return within[-1]
    return hashed[0] if hashed else steps[0]


def _check_device(before: dict[str, Any], config: TrainConfig) -> None:
    """Raises ConflictError where there is no device of the kind that the run had."""
    had = str(before["device"]).partition(":")[0]
    if hardware.pick_device(config).type != had:
        named = before["hardware"].get("gpu") or before["hardware"].get("processor")
        raise ConflictError(
            f"The run trained on “{named}” ({had}), and this process has no such device: each rounds in its own way, "
            "so the bits would prove nothing. Verify it on such a machine.",
            reason="device",
        )


def _certificate(sides: tuple[Side, Side], at: Beginning | None, first: int, until: int) -> Certificate:
    before, after = sides
    compared = [step for step in before.record.steps if first < step <= until]
    hashes = sum(step in before.record.hashes for step in compared)
    first_step = first_difference(before.record, after.record, compared)
    found = causes.differences(before, after)
    facts: dict[str, Any] = {
        "run": before.folder.name, "identical": first_step is None, "checkpoint": at.path.name if at else "",
        "from_step": first, "last_step": until, "steps": len(compared), "hashes": hashes, "first_step": first_step,
        "differences": found, "made_at": time.time(),
    }  # fmt: skip
    what = "; ".join(each.text for each in found[:3]) + (f"; and {len(found) - 3} more" if len(found) > 3 else "")
    remedy = ""
    if first_step is None:
        sentence = f"Bit-identical from step {first + 1} to {until}: {counted(hashes, 'hash', 'hashes')} of the weights"
        sentence += f" and the losses agree{f', though {what}' if what else ''}."
    else:
        why = what or "nothing that is recorded differs, so the machine itself or the device's own order of adding does"
        sentence = f"Step {first_step} is the first that differs: {why}."
        remedy = causes.remedy(found)
    return Certificate(**facts, sentence=sentence, remedy=remedy)


def first_difference(one: Record, other: Record, steps: list[int]) -> int | None:
    """The first of these steps of which anything differs that both have kept."""
    return next((step for step in steps if _differs(one, other, step, steps)), None)


def _differs(one: Record, other: Record, step: int, steps: list[int]) -> bool:
    if step in one.hashes and one.hashes[step] != other.hashes.get(step):
        return True
    if step != steps[-1] and one.ended.get(step) != other.ended.get(step):
        return True
    mine, theirs = dict(one.metrics.get(step, {})), dict(other.metrics.get(step, {}))
    if _window(one, step, steps) != _window(other, step, steps):
        mine.pop(_MEAN, None)  # of other steps: the interval of the log was another one
        theirs.pop(_MEAN, None)
    return bool(mine and theirs) and mine != theirs


def _window(record: Record, step: int, steps: list[int]) -> int:
    """Behind which step the mean loss of a step begins."""
    return max((each for each in record.metrics if steps[0] <= each < step), default=0)

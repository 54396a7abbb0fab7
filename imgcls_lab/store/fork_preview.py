"""What a fork would do, before it is made: the learning rate from its checkpoint on, by either schedule.

Called by `store.runs.fork_preview`. It is the engine's own function, on the steps that the fork would have: the images
of an epoch are those that its parent has counted. Another revision of the data may leave out some of them.
"""

from __future__ import annotations

from pydantic import BaseModel, Field, ValidationError

from imgcls_lab.planning.lr_schedules import lr_curve
from imgcls_lab.planning.steps import ForkPoint, plan_steps
from imgcls_lab.run_layout import MANIFEST
from imgcls_lab.run_paths import read_json
from imgcls_lab.schemas import ForkPreview, RateCurve
from imgcls_lab.settings import Settings
from imgcls_lab.store.forking import Planned, epochs_at


class _Data(BaseModel):
    train_images: int = Field(ge=1)


class _Counted(BaseModel):
    """What a manifest says of an epoch."""

    data: _Data
    processes: int = Field(ge=1)


def preview(settings: Settings, planned: Planned) -> ForkPreview:
    """Of a fork that is possible. Raises ConfigError for more processes than there are images for."""
    at, counted = planned.beginning, _counted(settings, planned)
    done = (at.epoch, at.epoch_steps(planned.configs[0]))
    continued = restarted = None
    if counted is not None:
        continued = _rates(planned, counted, ForkPoint(at.step, *done), at.plateau_decays)
        restarted = _rates(planned, counted, ForkPoint(at.step, *done, restart=True), 0)
    return ForkPreview(epoch=epochs_at(planned.parent, *done), continued=continued, restarted=restarted)


def _rates(planned: Planned, counted: _Counted, place: ForkPoint, plateau_decays: int) -> RateCurve | None:
    before, after = planned.configs
    processes = counted.processes if after.num_processes == before.num_processes else None
    steps = plan_steps(after, counted.data.train_images, processes, place)
    curve = lr_curve(after, steps, plateau_decays)
    if curve is None:
        return None
    return RateCurve(epoch=[steps.epochs_before(step) for step in curve.step], lr=curve.lr)


def _counted(settings: Settings, planned: Planned) -> _Counted | None:
    """None where the parent's manifest is not there yet, is damaged, or is that of an earlier version."""
    try:
        return _Counted.model_validate(read_json(settings.run_dir(planned.parent.id), MANIFEST))
    except (OSError, ValueError, ValidationError):
        return None
